"""What a checkpoint holds beside the weights: optimiser and random states, whole or in parts, written and read."""
