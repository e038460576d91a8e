"""Rollouts: tasks in, episodes out."""
