"""Training: episodes → rows → log-probabilities → objective → optimiser."""
