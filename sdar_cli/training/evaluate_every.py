"""Evaluations between the steps of a training: ``evaluation.every``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import TrainerCallback

from sdar_cli.training import ranks

if TYPE_CHECKING:
    from transformers import TrainerControl

    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.training.build import Built


class EvaluateEvery(TrainerCallback):
    """Evaluation without skills every ``evaluation.every`` steps; the last is left to the final report.

    A signal ends it, as does a failure, and the step behind which it stands is saved without; whoever goes on from
    there makes up for it.
    """

    def __init__(self, built: Built, evaluator: Evaluator) -> None:
        self.built, self.evaluator = built, evaluator

    def on_train_begin(self, args, state, control, **kwargs):
        if state.global_step and self._is_due(state.global_step):
            name = f"trained-step-{state.global_step}-no_skills"
            if not ranks.from_main(lambda: name in self.built.run.evaluations()):
                self._evaluate(control)
        return control

    def on_step_end(self, args, state, control, **kwargs):
        if self._is_due(state.global_step):
            self._evaluate(control)
        return control

    def _is_due(self, step: int) -> bool:
        recipe = self.built.trainer.recipe
        return step % recipe.evaluation.every == 0 and step < recipe.train.steps

    def _evaluate(self, control: TrainerControl) -> None:
        built, preemption = self.built, self.built.trainer.preemption
        listener, play = built.listener, built.evaluate
        played = preemption.evaluate(
            control, lambda: play(self.evaluator, "no_skills", label="trained", listener=listener)
        )
        if played is not None:
            with preemption.behind_step(control):
                listener.evaluation(*played)
            listener.phase("training", built.trainer.recipe.train.steps)
