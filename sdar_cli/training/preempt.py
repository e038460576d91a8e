"""Told to leave in a training: finish the step under way, or drop it, whichever fits the time; save; stop.

Until its first optimiser update a step has changed nothing but random states and what the retrieval learnt, which a
``StepStart`` brings back: the checkpoint is that of the step before, and whoever resumes from it plays the step again,
bit for bit. A step is finished where the longest of the last ones and the longest checkpoint would fit the rest of
the grace time, and dropped where they would not, or turn out not to. Behind an update it is finished in any case.

The processes of a run agree at the end of each step, of each rollout and of each checkpoint: a signal to one of them
stops all at the same step.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from transformers import TrainerCallback

from sdar_cli.errors import RunFailed, SdarError
from sdar_cli.stop import STOP
from sdar_cli.training import ranks
from sdar_cli.training.step_start import StepStart

if TYPE_CHECKING:
    from transformers import TrainerControl

    from sdar_cli.training.trainer import SDARTrainer

T = TypeVar("T")

REMEMBERED = 5
"""Steps, the longest of which says how long one takes."""
AGAIN = 1.0
"""Seconds after which a long call is interrupted anew, should whoever was called have swallowed it."""
HOME_STRETCH = 0.1
"""Share of the grace time that is kept for what follows the checkpoint, and as much for one that was not timed yet."""


class StepDropped(RunFailed):
    """The step under way, or the evaluation behind one, does not fit the time that is left; on all processes alike."""

    def __init__(self, sentence: str = "the step was dropped", number: int = signal.SIGTERM) -> None:
        super().__init__(sentence, number)
        self.number = number
        """The signal that asked for it."""


class _Now(BaseException):
    """Raised by the alarm in the middle of a call, past those who catch each ``Exception``."""


class Preemption(TrainerCallback):
    """Of a trainer; at work within ``training()``, and nothing outside of it."""

    def __init__(self, trainer: SDARTrainer) -> None:
        self._trainer = trainer
        self.stopped = False
        """Whether the training was ended, which all processes know."""
        self.failure: SdarError | None = None
        """What went wrong between two steps and ends the training, to be raised once that has ended."""
        self._active = False
        self._start: StepStart | None = None
        self._between = False
        """Whether a step has been finished, and no other begun."""
        self._evaluates = False
        self._began = 0.0
        self._steps: deque[float] = deque(maxlen=REMEMBERED)
        self._save = 0.0
        self._in_call = False
        self._alarm_before: object = None

    @contextmanager
    def training(self) -> Iterator[None]:
        """Around ``trainer.train()``."""
        self._active = True
        self._trainer.add_callback(self)
        try:
            with STOP.guard(), STOP.patiently(self._asked):
                yield
        finally:
            self._active = False
            self._trainer.remove_callback(self)
            self._disarm()

    @property
    def droppable(self) -> bool:
        """Whether the step under way has changed nothing yet that does not come back."""
        return self._start is not None

    def begin(self) -> None:
        """A step begins."""
        self._between = False
        if self._active:
            self._start, self._began = StepStart.take(self._trainer.loop.retriever), time.monotonic()

    def commit(self) -> None:
        """An optimiser update follows, or has been made."""
        self._start = None

    def restore(self) -> None:
        """Go back to the step's begin."""
        if self._start is not None:
            self._start.restore(self._trainer.loop.retriever)
        self._start = None
        self._trainer.model.zero_grad()

    def check(self, *progress: int) -> None:
        """Raises StepDropped where the time has come; every process has to ask, or this one to be alone."""
        if self._must_leave():
            raise StepDropped(number=STOP.signal)

    def check_alone(self) -> None:
        """``check``, where no other process would wait for this one."""
        if ranks.world() == 1:
            self.check()

    def agree(self) -> None:
        """``check`` on all processes: what one must do, all do."""
        if self._active:
            ranks.together(self.check)

    def droppable_call(self, work: Callable[[], T], *, alone: bool = False, plays: bool = False) -> T:
        """The call's value; StepDropped in the middle of it where the time comes.

        Args:
            alone: other processes would wait for this one, which therefore is not interrupted unless it is the only.
            plays: the call is an engine's, and vLLM in this process is not interrupted: it asks ``check`` itself.
        """
        if not self._active or (alone and ranks.world() > 1):
            return work()
        self.check()
        try:
            try:
                self._in_call = not (plays and self._holds_an_engine)
                self._arm()
                return work()
            finally:
                self._in_call = False
        except _Now:
            self._in_call = False
            raise StepDropped(number=STOP.signal) from None
        finally:
            self._disarm()

    def dropped(self, error: StepDropped) -> None:
        """The training was ended by it."""
        self._stop(error.number)

    def leaves(self) -> bool:
        """Whether a failure of the step is no more than the end of a training that was told to leave: what takes all
        processes of a job down takes its servers too."""
        if number := ranks.most(STOP.signal or 0):
            self._stop(number)
        return self.stopped

    def evaluate(self, control: TrainerControl, work: Callable[[], T]) -> T | None:
        """An evaluation between two steps, which is not waited for; None where it was dropped or failed, without a
        trace."""
        if self.stopped:
            return None
        start = StepStart.take(self._trainer.loop.retriever)
        self._evaluates = True
        try:
            with self.behind_step(control):
                return self.droppable_call(work, alone=True, plays=True)
        finally:
            self._evaluates = False
        start.restore(self._trainer.loop.retriever)
        return None

    @contextmanager
    def behind_step(self, control: TrainerControl) -> Iterator[None]:
        """Around work between two steps: what ends it, ends the training behind the step that is done, whose metrics
        are still to be told and whose checkpoint is to be written. Before the first step a failure is raised, as the
        checkpoint that training goes on from is there."""
        try:
            yield
        except StepDropped as dropped:
            self._stop(dropped.number)
            _end_of_training(control)
        except SdarError as error:
            if not ranks.is_shared(error):
                raise
            if self.leaves():
                _end_of_training(control)
            elif self._between:
                self.fail(control, error)
            else:
                raise

    def fail(self, control: TrainerControl, error: SdarError, *, save: bool = True) -> None:
        """The training ends with this error, on all processes alike.

        Args:
            save: the step that is done, first; False: not even where a checkpoint is due, unless a signal asked for
                one.
        """
        self.failure = error
        asked = self.stopped and control.should_save
        _end_of_training(control)
        control.should_save = save or asked

    def on_step_end(self, args, state, control, **kwargs):
        self._steps.append(time.monotonic() - self._began)
        self._start, self._between = None, True
        return self._end(control, save=True)

    def on_save(self, args, state, control, **kwargs):
        """A signal that came while a checkpoint was written."""
        return self._end(control, save=False)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        began = time.monotonic()
        yield
        self._save = max(self._save, time.monotonic() - began)

    def _end(self, control, *, save: bool):
        if number := ranks.most(STOP.signal or 0):
            self._stop(number)
            control.should_training_stop = True
            control.should_save = control.should_save or save
        return control

    def _stop(self, number: int) -> None:
        """All processes leave with the code of the signal that one of them got."""
        self.stopped = True
        if STOP.hear(number):
            self._say()

    @property
    def _holds_an_engine(self) -> bool:
        engine = self._trainer.recipe.engine
        return engine.kind == "vllm" and engine.mode == "colocate"

    def _asked(self) -> None:
        """In the middle of anything."""
        self._say()
        self._arm()

    def _say(self) -> None:
        if self.droppable and self._drop_at() <= time.monotonic():
            what = f"the step under way does not fit the {STOP.grace:g} s of grace, and what was before it is saved"
        else:
            what = "this step is finished and saved first"
        try:
            self._trainer.listener.message(f"stopping: {what}; Ctrl-C again leaves at once")
        except RuntimeError:  # standard error is in the middle of a line of somebody else's
            os.write(2, b"stopping\n")

    def _must_leave(self) -> bool:
        return self._active and STOP.asked and self._drop_at() <= time.monotonic()

    def _drop_at(self) -> float:
        """When what is under way is to be given up, by the monotonic clock; infinite where it cannot be."""
        if self._evaluates:
            return -math.inf
        if not self.droppable:
            return math.inf
        if STOP.since < self._began:  # no step begins any more
            return -math.inf
        save = (self._save or HOME_STRETCH * STOP.grace) + HOME_STRETCH * STOP.grace
        ends = self._began + max(self._steps, default=math.inf)
        return -math.inf if ends + save > STOP.deadline else STOP.deadline - save

    def _arm(self) -> None:
        if not (self._in_call and STOP.asked) or (at := self._drop_at()) == math.inf:
            return
        if self._alarm_before is None:
            self._alarm_before = signal.signal(signal.SIGALRM, self._alarm)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, at - time.monotonic()), AGAIN)

    def _disarm(self) -> None:
        if self._alarm_before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, self._alarm_before)
            self._alarm_before = None

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        if self._in_call and self._must_leave():
            raise _Now


def _end_of_training(control: TrainerControl) -> None:
    """Hugging Face's loop tells of the step that is done, saves, and plays no other."""
    control.should_save = control.should_training_stop = True
