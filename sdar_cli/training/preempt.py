"""Ctrl-C during training: finish the step, save, stop; a second one leaves at once.

The processes of a run agree at the end of each step: a signal to one of them stops all at the same step.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from transformers import TrainerCallback

from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.training.events import Listener


TWICE_TOLD = 0.5
"""Seconds within which a second signal is the same wish: a cluster may tell the launcher and its processes."""


class StopOnSignal(TrainerCallback):
    """Use as a context manager around ``trainer.train()``; ``stopped`` says whether it was asked to."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.stopped = False
        self._since = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopOnSignal:
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_step_end(self, args, state, control, **kwargs):
        if ranks.any_rank(self.stopped):
            self._stop()
            control.should_save = True
            control.should_training_stop = True
        return control

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopped and (ranks.world() == 1 or time.monotonic() - self._since > TWICE_TOLD):
            raise KeyboardInterrupt
        self._stop()

    def _stop(self) -> None:
        if not self.stopped:
            self.stopped, self._since = True, time.monotonic()
            self.listener.message("stopping: this step is finished and saved first; Ctrl-C again leaves at once")
