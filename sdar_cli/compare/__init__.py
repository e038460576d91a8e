"""Runs side by side: what may be compared, how sure the differences are, and how they are shown."""
