"""Window and full context: tokens (closed, wander, tokens, prefix), time (timing), quality."""
