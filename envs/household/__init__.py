"""A controlled household world for studying whether skills move into the weights."""
