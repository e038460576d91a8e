"""Window and full context: tokens (closed.py, wander.py, tokens.py, prefix.py), time (timing.py), quality (quality.py)."""
