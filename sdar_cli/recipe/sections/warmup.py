"""``warmup``: supervised training before RL."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sdar_cli.recipe.sections.section import Fraction, Positive, Section, Seed


class Warmup(Section):
    """Supervised warm-up on expert demonstrations with skills in the prompt (TRL's SFTTrainer)."""

    demonstrations: Positive = 2000
    """Episodes of the expert."""
    epochs: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    batch: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    skills_share: Fraction = 1.0
    """Share of demonstrations with skills in the prompt; the others show none."""
    shuffle_rulebooks: bool = True
    """Household: a rulebook of its own for every demonstration, none of them the run's."""
    required_success: Fraction = 0.9
    """Success with skills that must be reached before RL starts."""
    seed: Seed | None = None
    """null: the recipe's seed."""
