"""Objectives as pure functions on tensors of shape (B, T): rows × response tokens."""
