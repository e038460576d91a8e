"""Panels, results, statistics and the internalisation report."""
