"""Parts of ``step.py``."""
