"""``skills``: the bank, and which of its skills are put in front of a reader."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sdar_cli.recipe.sections.section import Fraction, Positive, Section
from sdar_cli.skills.retrieval import RETRIEVERS


class Ucb(Section):
    """score = alpha·similarity + (1 − alpha)·(utility + kappa·√(ln(1 + N) / (1 + n)))."""

    alpha: Fraction = 0.6
    kappa: Annotated[float, Field(ge=0)] = 1.0
    rate: Fraction = 0.3
    """Of the moving average by which a utility follows the groups' success."""


class Skills(Section):
    bank: str | None = None
    """A folder; null: the environment's own bank."""
    retrieval: Literal[tuple(RETRIEVERS)] = "task_type"
    top_k: Positive = 3
    """Skills that ``keyword``, ``random`` and ``ucb`` retrieve beside the general ones."""
    ucb: Ucb = Ucb()
    corrupt: Fraction = 0.0
    """Share of the retrieved task skills that training replaces by skills of other tasks (a robustness
    study); evaluations and the warm-up see the right ones."""
    general: bool = True
    """Whether general skills go along."""
    placement: Literal["user", "system"] = "user"
    """In front of the first user message, or as the system message."""
