"""The parts of ``benchmarks/calibration.py``: worlds, one module a kind of statistic, the table, the figures."""
