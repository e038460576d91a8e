"""What the guards end a training for: the step that told them is finished, and no other is played.

A collapse is saved. The last of a row of steps of which every episode was lost is not, so that whoever goes on plays
it again, with an environment that has been mended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import TrainerCallback

from sdar_cli.training import ranks
from sdar_cli.training.failure import checking_draws

if TYPE_CHECKING:
    from transformers import TrainerControl

    from sdar_cli.errors import SdarError
    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.runs.store import Checkpoint
    from sdar_cli.training.build import Built
    from sdar_cli.training.preempt import Preemption
    from sdar_cli.training.watch import Watch


def train_until_collapse(built: Built, checkpoint: Checkpoint | None, evaluator: Evaluator, watch: Watch) -> bool:
    """``built.train``, ended early where the watch says so; True when it was asked to stop by a signal.

    A checkpoint at or behind the collapse is loaded, and nothing is played.

    Raises:
        RunFailed: a step met a NaN or an infinity, and what repeats it is saved; or the environment loses every
            episode, and the step that told so is not saved.
    """
    stop = _StopOnFinding(watch, built.trainer.preemption)
    built.trainer.add_callback(stop)
    try:
        with checking_draws(built.trainer, built.run.path):
            return built.train(checkpoint, evaluator)
    except _OverAlready:
        return False
    finally:
        built.trainer.remove_callback(stop)


class _OverAlready(Exception):
    """Leaves Hugging Face's loop, once it has loaded the checkpoint, before its first step."""


class _StopOnFinding(TrainerCallback):
    """Metrics are known between a step's end and its checkpoint, so the loop's own switches are set then."""

    def __init__(self, watch: Watch, preemption: Preemption) -> None:
        self._watch, self._preemption = watch, preemption
        self._control: TrainerControl | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        if ranks.from_main(lambda: self._watch.ended is not None):
            raise _OverAlready
        self._control = control
        self._watch.on_end, self._watch.on_failure = self._end, self._fail

    def on_step_end(self, args, state, control, **kwargs):
        self._control = control

    def _end(self) -> None:
        if self._control is not None:
            self._control.should_training_stop = True
            self._control.should_save = True

    def _fail(self, error: SdarError) -> None:
        self._preemption.fail(self._control, error, save=False)
