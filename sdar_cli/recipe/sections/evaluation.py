"""``evaluation``: the panel, when it is visited, and what is kept of it."""

from __future__ import annotations

from sdar_cli.recipe.sections.rollout import Sampling
from sdar_cli.recipe.sections.section import Count, Positive, Section, Seed


class Evaluation(Section):
    split: str = "test"
    tasks: Positive = 128
    """Size of the panel; each task is visited once."""
    panel: str | None = None
    """A panel file; null: drawn from ``split`` by ``panel_seed``."""
    panel_seed: Seed = 0
    every: Count = 0
    """Steps between evaluations without skills while training; 0: none between base and end."""
    transcripts: Count = 16
    """Tasks of the panel, the first ones, whose episodes are kept word for word, each response token with the
    teacher's gap and the gate; 0: none. Of the base and of the end, not of evaluations between."""
    sampling: Sampling = Sampling(temperature=0.4)
