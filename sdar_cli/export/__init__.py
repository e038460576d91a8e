"""A run's weights as a folder that other programs load, with a card that says what was measured."""
