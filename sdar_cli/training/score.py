"""Log-probabilities without gradient, once a step: teacher, reference, and the policy before its updates.

Each runs only where it is needed: the teacher and the others when the objective asks for them, the reference when
TRL's k3 term is on, the old policy also when the rollout is spread over several updates or was sampled by another
engine. Those of the same weights are one pass, in which shared beginnings of prompts are computed once
(``prefix_pass``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import add_fused_lm_head

from sdar_cli.errors import UserError
from sdar_cli.training import ranks
from sdar_cli.training.correction import importance_ratios
from sdar_cli.training.oom import failing, ran_out, rows_are_whole
from sdar_cli.training.prefix_pass import Runner, Target, shares_prefixes
from sdar_cli.training.rows import Row
from sdar_cli.training.sharded import prepare_reference, whole_weights

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from sdar_cli.objectives.objective import Objective
    from sdar_cli.objectives.settings import Settings
    from sdar_cli.training.ema import MovingAverage
    from sdar_cli.training.trainer import SDARTrainer

TEACHER = "teacher_logps"
CPU_TOKENS = 4096
"""Of a pass on a CPU, at most: a larger one is slower, as it leaves the caches."""


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
            self.frozen = prepare_reference(frozen, trainer.accelerator)
        self._shares = shares_prefixes(trainer.accelerator.unwrap_model(trainer.model))
        self._seconds = {"time/teacher": 0.0, "time/scoring": 0.0}

    def timings(self) -> dict[str, float]:
        return dict(self._seconds)

    def seconds_total(self) -> float:
        return sum(self._seconds.values())

    def score(
        self, rows: Sequence[Row], objective: Objective, settings: Settings, *, several_updates: bool
    ) -> dict[str, list[Tensor]]:
        """One vector (T_i,) a row for each pass that ran; without rows the same names, and no vector. Every rank must
        call: a pass needs the parts of the weights that lie with others.

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
        ratio = objective.ratio and several_updates
        reference = self.trainer.beta != 0.0 or needs.reference
        old = needs.old or ratio or sampled_elsewhere
        passes: dict[str, list[str]] = {}
        if needs.teacher and settings.divergence == "sampled":
            passes.setdefault(self._weights_of_teacher, []).append(TEACHER)
        if reference:
            passes.setdefault("start", []).append("ref_logps")
        if old:
            passes.setdefault("policy", []).append("old_logps")
        for weights, names in passes.items():
            out |= self._pass(rows, weights, names)
        self.trainer.memory.agree()
        if reference and self.trainer.beta != 0.0:
            out["ref_per_token_logps"] = out["ref_logps"]
        if reference and not needs.reference:
            del out["ref_logps"]
        if ratio or (sampled_elsewhere and objective.ratio):
            out["old_per_token_logps"] = out["old_logps"]
        if sampled_elsewhere:
            out["importance_sampling_ratio"] = importance_ratios(rows, out["old_logps"])
        return out

    def teacher(self) -> tuple[PreTrainedModel, AbstractContextManager]:
        """The teacher's model (``teacher.kind``), and the context in which to run it."""
        return self._model(self._weights_of_teacher)

    def teacher_log_probs(self, rows: Sequence[Row]) -> list[Tensor]:
        """The teacher's alone, (T_i,) a row."""
        return self._pass(rows, self._weights_of_teacher, [TEACHER])[TEACHER]

    def add_teacher_seconds(self, seconds: float) -> None:
        """Of teacher passes that ran inside the loss."""
        self._seconds["time/teacher"] += seconds

    @property
    def _weights_of_teacher(self) -> str:
        return {"live": "policy", "ema": "average", "frozen": "start"}[self.trainer.recipe.teacher.kind]

    def _model(self, weights: str) -> tuple[PreTrainedModel, AbstractContextManager]:
        """``policy``: those that train; ``average``: their moving average; ``start``: those RL starts from."""
        if weights == "start" and self.frozen is not None:
            return self.frozen, nullcontext()
        trainer = self.trainer
        if weights == "start":
            return trainer.model, trainer.accelerator.unwrap_model(trainer.model).disable_adapter()
        return trainer.model, self.average.in_place() if weights == "average" else nullcontext()

    def _pass(self, rows: Sequence[Row], weights: str, names: Sequence[str]) -> dict[str, list[Tensor]]:
        """One vector a row under each of the names, of which ``TEACHER`` stands for the prompts with skills.

        The seconds are shared by the names as their tokens are.
        """
        start = time.perf_counter()
        trainer = self.trainer
        model, switch = self._model(weights)
        targets = [
            Target(row.teacher_prompt_ids if name == TEACHER else row.prompt_ids, row.completion_ids, row.mask)
            for name in names
            for row in rows
        ]
        together = self._in_step(weights)
        checkpointing = trainer.args.gradient_checkpointing_kwargs
        readable = ranks.in_step() if together else whole_weights(trainer, model)
        with readable, switch, disable_gradient_checkpointing(trainer.model, checkpointing):
            found = trainer.preemption.droppable_call(lambda: self._log_probs(model, targets, together), alone=True)
        self._add_seconds(time.perf_counter() - start, rows, names)
        return {name: found[i * len(rows) : (i + 1) * len(rows)] for i, name in enumerate(names)}

    def _log_probs(self, model: PreTrainedModel, targets: Sequence[Target], together: bool) -> list[Tensor]:
        """Where memory runs out, once in a run, all are scored anew in passes of half the tokens."""
        memory = self.trainer.memory
        if together or not rows_are_whole():
            with failing(memory.cannot("scoring")):
                return self._runner(model, together).log_probs(targets)
        while True:
            runner = self._runner(model, together)
            try:
                return runner.log_probs(targets)
            except RuntimeError as error:
                if not ran_out(error):
                    raise
                failed = error
            tokens = sum(len(target.prompt) + len(target.completion) for target in targets)
            memory.halve("scoring", min(runner.budget, tokens), failed)

    def _runner(self, model: PreTrainedModel, together: bool) -> Runner:
        trainer = self.trainer
        budget, device = trainer.memory.limit("scoring"), trainer.accelerator.device
        return Runner(
            model,
            shared=self._shares,
            layers=trainer.accelerator.unwrap_model(trainer.model).config.get_text_config().num_hidden_layers,
            pad=trainer._tokenizer.pad_token_id,
            device=device,
            budget=min(budget, CPU_TOKENS) if device.type == "cpu" else budget,
            autocast=trainer.accelerator.autocast,
            forwards=ranks.most if together else int,
        )

    def _in_step(self, weights: str) -> bool:
        """Whether ranks run their forward passes side by side, each layer put together while it is needed: FSDP2. An
        average is written into whole weights, and DeepSpeed's hooks keep count of layers."""
        return bool(self.trainer.accelerator.is_fsdp2) and weights != "average"

    def _add_seconds(self, seconds: float, rows: Sequence[Row], names: Sequence[str]) -> None:
        """To teacher and scoring, in proportion to the tokens they read."""
        completions = sum(len(row.completion_ids) for row in rows)
        tokens = {
            name: completions + sum(len(row.teacher_prompt_ids if name == TEACHER else row.prompt_ids) for row in rows)
            for name in names
        }
        for name, own in tokens.items():
            share = own / max(1, sum(tokens.values()))
            self._seconds["time/teacher" if name == TEACHER else "time/scoring"] += seconds * share
