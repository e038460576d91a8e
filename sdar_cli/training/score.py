"""Log-probabilities without gradient, once a step: teacher, reference, and the policy before its updates.

Each pass runs only where it is needed: the teacher and the others when the objective asks for them, the
reference when TRL's k3 term is on, the old policy also when the rollout is spread over several updates or
was sampled by another engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import add_fused_lm_head

from sdar_cli.errors import UserError
from sdar_cli.training.batch import collate
from sdar_cli.training.correction import importance_ratios
from sdar_cli.training.rows import Row, split_microbatches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from sdar_cli.objectives.objective import Objective
    from sdar_cli.objectives.settings import Settings
    from sdar_cli.training.ema import MovingAverage
    from sdar_cli.training.trainer import SDARTrainer


class Scorer:
    """Scores rows under the policy, the reference and the teacher.

    ``frozen`` holds the weights RL starts from where TRL has no reference model of them; a PEFT model
    needs neither: its adapter is switched off. ``average`` holds those of an ``ema`` teacher.
    """

    def __init__(
        self, trainer: SDARTrainer, frozen: PreTrainedModel | None, average: MovingAverage | None = None
    ) -> None:
        self.trainer = trainer
        self.average = average
        self.frozen = trainer.ref_model
        if self.frozen is None and frozen is not None:
            add_fused_lm_head(frozen, temperature=trainer.temperature)
            self.frozen = trainer.accelerator.prepare_model(frozen, evaluation_mode=True)
        self._seconds = {"time/teacher": 0.0, "time/scoring": 0.0}

    def timings(self) -> dict[str, float]:
        return dict(self._seconds)

    def seconds_total(self) -> float:
        return sum(self._seconds.values())

    def score(
        self, rows: Sequence[Row], objective: Objective, settings: Settings, *, several_updates: bool
    ) -> dict[str, list[Tensor]]:
        """One vector (T_i,) a row for each pass that ran; without rows the same names, and no vector.

        ``teacher_logps``, ``old_logps``, ``ref_logps``; and under the names that TRL's loss looks for, where
        it shall use them, ``ref_per_token_logps``, ``old_per_token_logps``, ``importance_sampling_ratio``.

        Raises:
            UserError: a replayed episode lacks the teacher's prompt, or log-probs of another engine.
        """
        recipe = self.trainer.recipe
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        out: dict[str, list[Tensor]] = {}
        needs = objective.needs(settings)
        if needs.teacher and any(row.teacher_prompt_ids is None for row in rows):
            raise UserError(
                "an episode lacks the teacher's prompt of a turn: record the rollouts again, with this method and this "
                "rollout.context"
            )
        sampled_elsewhere = recipe.engine.kind == "vllm"
        if needs.teacher and settings.divergence == "sampled":
            start = time.perf_counter()
            out["teacher_logps"] = self._pass(rows, self.teacher(), teacher=True)
            self._seconds["time/teacher"] = time.perf_counter() - start
        start = time.perf_counter()
        if self.trainer.beta != 0.0:
            out["ref_per_token_logps"] = self._pass(rows, self._reference(), teacher=False)
        if needs.reference:
            out["ref_logps"] = self._pass(rows, self._reference(), teacher=False)
        ratio = objective.ratio and several_updates
        if needs.old or ratio or sampled_elsewhere:
            out["old_logps"] = self._pass(rows, (self.trainer.model, nullcontext()), teacher=False)
        if ratio or (sampled_elsewhere and objective.ratio):
            out["old_per_token_logps"] = out["old_logps"]
        if sampled_elsewhere:
            out["importance_sampling_ratio"] = importance_ratios(rows, out["old_logps"])
        self._seconds["time/scoring"] = time.perf_counter() - start
        return out

    def teacher(self) -> tuple[PreTrainedModel, AbstractContextManager]:
        """The teacher's model (``teacher.kind``), and the context in which to run it."""
        kind = self.trainer.recipe.teacher.kind
        if kind == "frozen":
            return self._reference()
        if kind == "ema":
            return self.trainer.model, self.average.in_place()
        return self.trainer.model, nullcontext()

    def add_teacher_seconds(self, seconds: float) -> None:
        """Of teacher passes that ran inside the loss."""
        self._seconds["time/teacher"] += seconds

    @torch.no_grad()
    def _pass(
        self, rows: Sequence[Row], model_in: tuple[PreTrainedModel, AbstractContextManager], *, teacher: bool
    ) -> list[Tensor]:
        trainer = self.trainer
        model, switch = model_in
        budget = trainer.recipe.optimiser.tokens_per_microbatch
        out: list[Tensor | None] = [None] * len(rows)
        checkpointing = trainer.args.gradient_checkpointing_kwargs
        with switch, disable_gradient_checkpointing(trainer.model, checkpointing):
            for indices in split_microbatches(rows, range(len(rows)), budget):
                own = [rows[i] for i in indices]
                batch = collate(own, trainer._tokenizer.pad_token_id, trainer.accelerator.device, teacher=teacher)
                logps, _, _ = trainer._get_per_token_logps_and_entropies(
                    model,
                    torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                    torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
                    batch["completion_ids"].size(1),
                )
                logps = logps.float().cpu()
                for index, row, values in zip(indices, own, logps, strict=True):
                    out[index] = values[: len(row.completion_ids)]
        return out

    def _reference(self) -> tuple[PreTrainedModel, AbstractContextManager]:
        """The weights RL starts from."""
        if self.frozen is not None:
            return self.frozen, nullcontext()
        return self.trainer.model, self.trainer.accelerator.unwrap_model(self.trainer.model).disable_adapter()
