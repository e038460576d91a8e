"""The terms of a micro-batch's loss beside TRL's policy loss, from the log-probs that TRL's loss computed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sdar_cli.objectives.gap import token_gap
from sdar_cli.objectives.objective import Term, Tokens
from sdar_cli.training.failure import check_finite
from sdar_cli.training.signals import Signals
from sdar_cli.training.trl_seam import ranks_differ

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.batch import Batch
    from sdar_cli.training.trainer import SDARTrainer


@dataclass(frozen=True, slots=True)
class TermSums:
    """What a step's micro-batches have added up to."""

    sums: dict[str, float]
    signals: Signals


class Terms:
    """Computes losses for a trainer, and keeps what a step's metrics need of them."""

    def __init__(self, trainer: SDARTrainer) -> None:
        self.trainer = trainer
        self.inputs: Batch | None = None
        """The micro-batch whose loss was computed last."""
        self.signals = Signals()
        self.sums: dict[str, float] = {}
        """Term → sum over the step's micro-batches."""
        self.gap_moments = (0.0, 1.0)
        """Mean and deviation of the rollout's gaps, for a gate that standardises them."""
        self.computing = False
        """Whether TRL's loss is being computed."""
        self._seen: Tokens | None = None
        self._gap: Tensor | None = None
        self._entropies: Tensor | None = None
        config = trainer.accelerator.unwrap_model(trainer.model).config
        self._log_vocabulary = math.log(config.get_text_config().vocab_size)

    def begin(self) -> None:
        """Forget the step before."""
        self.signals = Signals()
        self.sums = defaultdict(float, {"loss/distill": 0.0} if self.trainer.objective.term is not None else {})

    def sums_so_far(self) -> TermSums:
        return TermSums(self.sums.copy(), self.signals.copy())

    def go_back(self, sums: TermSums) -> None:
        """Forget the micro-batches since, also one that was not finished."""
        self.sums, self.signals = sums.sums, sums.signals
        self.inputs, self._seen, self._gap, self._entropies = None, None, None, None
        self.computing = False

    def loss(self, inputs: Batch, policy: Callable[[], Tensor]) -> Tensor:
        """TRL's policy loss, the objective's own term, and the entropy bonus where asked for.

        Args:
            policy: computes TRL's loss; its forward pass must go through ``see``.
        """
        trainer = self.trainer
        self.inputs, self.computing = inputs, True
        with ranks_differ(trainer.accelerator):
            losses = {"policy": policy()}
        self.computing = False
        tokens, self._seen = self._seen, None
        if trainer.recipe.policy.entropy_coef:
            chosen = self._entropies.masked_fill(~tokens.mask.bool(), 0.0)
            losses["entropy"] = -trainer.recipe.policy.entropy_coef * chosen.sum() / tokens.normaliser
        if tokens.teacher is not None:
            term = self._term(tokens)
            self.signals.add(term, tokens.mask, tokens.turns, inputs["episodes"])
            if trainer.objective.term is not None:
                losses["distill"] = term.loss
        check_finite(trainer.state.global_step + 1, losses)
        for name, value in losses.items():
            self.sums[f"loss/{name}"] += value.item()
        self._entropies = None
        return sum(losses.values())

    def see(self, model, *args, **kwargs) -> tuple[Tensor, Tensor, Tensor | None]:
        """The forward pass of TRL's loss, also the moment at which the objective may reweigh the advantages."""
        trainer = self.trainer
        capture = nullcontext([])
        if "teacher_prompt_ids" in self.inputs:
            self.inputs["teacher_logps"] = trainer.full_vocabulary.score_teacher(self.inputs)
            capture = trainer.full_vocabulary.capture(model)
        with capture as states:
            scored = trainer.score_tokens(model, *args, wanted=self._mask(), **kwargs)
        self._entropies = scored[1]
        self._seen = self._tokens(*scored[:2], states)
        if trainer.objective.reweigh is not None and self._seen.teacher is not None:
            self.inputs["advantages"], self._gap = trainer.objective.reweigh(self._seen, trainer.settings)
        return scored

    def coefficients(self) -> dict[str, float]:
        """What a schedule may move."""
        objective, settings = self.trainer.objective, self.trainer.settings
        out = {"teacher/active": float(objective.needs(settings).teacher)}
        if objective.term is not None:
            out["distill/coef"] = settings.coef
        if objective.reads("gate") and settings.form == "gated":
            out["gate/beta"] = settings.beta
        if objective.reads("credit.mu"):
            out["credit/mu"] = settings.mu
        return out

    def _mask(self) -> Tensor:
        """(B, T), 1 on tokens that the policy wrote."""
        return self.inputs["completion_mask"] * self.inputs["tool_mask"]

    def _tokens(self, student: Tensor, entropies: Tensor, states: list[Tensor]) -> Tokens:
        inputs, trainer = self.inputs, self.trainer
        mask = self._mask()
        return Tokens(
            student=student,
            old=inputs.get("old_logps", student.detach()),
            mask=mask,
            turns=inputs["turns"],
            advantages=inputs["advantages"],
            normaliser=inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes,
            teacher=inputs.get("teacher_logps"),
            entropy=entropies / self._log_vocabulary,
            divergence=trainer.full_vocabulary.divergence(states, mask) if states else None,
            gap_mean=self.gap_moments[0],
            gap_std=self.gap_moments[1],
        )

    def _term(self, tokens: Tokens) -> Term:
        """The objective's term; for one that has none, only what there is to see of the teacher."""
        if self.trainer.objective.term is not None:
            return self.trainer.objective.term(tokens, self.trainer.settings)
        gap, self._gap = self._gap, None
        if gap is None:
            gap = token_gap(tokens.student.detach(), tokens.teacher, tokens.mask)
        return Term(torch.zeros(()), gap)
