"""What an objective is: a name, its formula, and up to three pure functions.

    advantages   whole rollout → a value for every turn, or for every token   (before the first update)
    reweigh      one micro-batch's tokens → its advantages, (B, T)            (inside the loss)
    term         one micro-batch's tokens → a scalar added to the policy loss (inside the loss)

An objective declares what it needs; nothing else is computed. A new one is a module here with an
``OBJECTIVE``, and a line in ``registry.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdar_cli.objectives.advantages import group_baseline

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.objectives.settings import Settings


@dataclass(frozen=True, slots=True)
class Needs:
    """Forward passes beside the loss's own, each once a step."""

    teacher: bool = False
    """The teacher's log-probs of the sampled tokens."""
    old: bool = False
    """The student's log-probs at rollout time, before the first update."""
    reference: bool = False
    """The reference model's, beside TRL's own k3 term."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One trainable episode. Lists run over its turns; tensors are (T_k,), without gradient."""

    group: int
    reward: float
    """The return: the environment's rewards summed, before any penalty."""
    won: bool
    fines: list[float]
    """Penalty of each turn, 0 where its action was valid, in advantage units."""
    old: list[Tensor] | None = None
    teacher: list[Tensor] | None = None
    reference: list[Tensor] | None = None


@dataclass(slots=True)
class Tokens:
    """One micro-batch. Shapes (B, T): rows × completion tokens; nothing but ``student``, ``entropy`` and
    ``divergence`` carries a gradient."""

    student: Tensor
    """log πθ(y_t | s_t)."""
    old: Tensor
    """The same at rollout time."""
    mask: Tensor
    """1 on tokens that the policy wrote."""
    turns: Tensor
    """Turn index of each token."""
    advantages: Tensor
    normaliser: Tensor | float
    """Response tokens of the whole optimiser update, over micro-batches and ranks (divided by the number of
    ranks where gradients are averaged over them)."""
    teacher: Tensor | None = None
    """log π(y_t | s_t⁺)."""
    entropy: Tensor | None = None
    """The student's, divided by log V: in [0, 1]."""
    divergence: Tensor | None = None
    """A full-vocabulary divergence between teacher and student, where one was asked for."""
    gap_mean: float = 0.0
    gap_std: float = 1.0
    """Of Δ over the rollout's response tokens, for ``gate.normalise=zscore``."""


@dataclass(frozen=True, slots=True)
class Term:
    """A loss term and what it is made of; ``gap`` and ``gate`` are (B, T), 0 where masked, detached."""

    loss: Tensor
    gap: Tensor
    gate: Tensor | None = None


Advantages = Callable[[Sequence[Trajectory], "Settings"], "list[list[float | Tensor]]"]
"""For every trajectory, for every turn: one value, or a tensor (T_k,). Fines are taken off."""


@dataclass(frozen=True, slots=True)
class Objective:
    name: str
    formula: str
    source: str
    advantages: Advantages = group_baseline
    reweigh: Callable[[Tokens, Settings], tuple[Tensor, Tensor]] | None = None
    """Returns advantages and the gap, both (B, T)."""
    term: Callable[[Tokens, Settings], Term] | None = None
    whole_batch: bool = False
    """Whether ``advantages`` looks beyond groups: it then gets the trajectories of every rank."""
    policy: bool = True
    """Whether there is a policy-gradient term."""
    ratio: bool = True
    """Whether the policy term is clipped by the ratio to the rollout-time policy; else it is A·∇logp."""
    kl_in_reward: bool = False
    """Whether the KL to the reference is taken off the reward (k1) instead of added to the loss (k3)."""
    skills_in_prompt: bool = False
    """Whether the policy itself reads the skills while training."""
    forms: tuple[str, ...] = ()
    """Values of ``distill.form`` that it knows, its own first."""
    settings: frozenset[str] = field(default_factory=frozenset)
    """Recipe keys, or sections, that it reads and others do not."""
    teaches: Callable[[Settings], bool] = lambda settings: False
    """Whether a teacher has any effect under these settings."""
    needs: Callable[[Settings], Needs] = lambda settings: Needs()

    def reads(self, dotted: str) -> bool:
        """Whether it is among the methods that read a recipe key."""
        return any(dotted == key or dotted.startswith(f"{key}.") for key in self.settings)
