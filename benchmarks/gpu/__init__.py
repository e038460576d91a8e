"""A GPU's speed at real shapes: the models (models.py), their operations (flops.py), the work (work.py), its time."""
