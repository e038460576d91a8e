"""Studies: a space of settings, its cells over several seeds, and the workers that run them."""
