"""Recipes: typed settings, read from YAML with inheritance, overlays and overrides."""
