"""Log-probabilities without gradient, once a step: teacher, reference, and the policy before its updates.

Each pass runs only where it is needed: the teacher when a distillation term asks for it, the reference
when the KL coefficient is not 0, the old policy when the rollout is spread over several updates or was
sampled by another engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import add_fused_lm_head

from sdar_cli.training.batch import collate
from sdar_cli.training.rows import Row, split_microbatches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from sdar_cli.training.trainer import SDARTrainer

IMPORTANCE_CAP = 2.0
"""Upper bound of the ratio between the policy and an engine that sampled for it (truncated IS)."""


class Scorer:
    """Scores rows under the policy, the reference and the teacher.

    ``frozen`` holds the weights RL starts from where TRL has no reference model of them; a PEFT model
    needs neither: its adapter is switched off.
    """

    def __init__(self, trainer: SDARTrainer, frozen: PreTrainedModel | None) -> None:
        self.trainer = trainer
        self.frozen = trainer.ref_model
        if self.frozen is None and frozen is not None:
            add_fused_lm_head(frozen, temperature=trainer.temperature)
            self.frozen = trainer.accelerator.prepare_model(frozen, evaluation_mode=True)
        self._seconds = {"time/teacher": 0.0, "time/scoring": 0.0}

    def timings(self) -> dict[str, float]:
        return dict(self._seconds)

    def seconds_total(self) -> float:
        return sum(self._seconds.values())

    def score(self, rows: Sequence[Row], *, several_updates: bool) -> dict[str, list[Tensor]]:
        """One vector (T_i,) a row for each pass that ran, under TRL's names for them."""
        recipe = self.trainer.recipe
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        out: dict[str, list[Tensor]] = {}
        if not rows:
            return out
        sampled_elsewhere = recipe.engine.kind == "vllm"
        if recipe.needs_teacher:
            start = time.perf_counter()
            out["teacher_logps"] = self._pass(rows, frozen=recipe.teacher.kind == "frozen", teacher=True)
            self._seconds["time/teacher"] = time.perf_counter() - start
        start = time.perf_counter()
        if self.trainer.beta != 0.0:
            out["ref_per_token_logps"] = self._pass(rows, frozen=True, teacher=False)
        if several_updates or sampled_elsewhere:
            out["old_per_token_logps"] = self._pass(rows, frozen=False, teacher=False)
        if sampled_elsewhere:
            out["importance_sampling_ratio"] = [
                torch.exp(old - torch.tensor(row.sampler_logprobs)).clamp(max=IMPORTANCE_CAP)
                for old, row in zip(out["old_per_token_logps"], rows, strict=True)
            ]
        self._seconds["time/scoring"] = time.perf_counter() - start
        return out

    @torch.no_grad()
    def _pass(self, rows: Sequence[Row], *, frozen: bool, teacher: bool) -> list[Tensor]:
        trainer = self.trainer
        model, switch = self._model(frozen)
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

    def _model(self, frozen: bool):
        """The model to run and the context to run it in."""
        if not frozen:
            return self.trainer.model, nullcontext()
        if self.frozen is not None:
            return self.frozen, nullcontext()
        return self.trainer.model, self.trainer.accelerator.unwrap_model(self.trainer.model).disable_adapter()
