"""The parts of ``benchmarks/claims.py``: methods and settings, studies, runs, the table, the analysis."""
