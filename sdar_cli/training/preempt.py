"""Ctrl-C during training: finish the step, save, stop; a second one leaves at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

from transformers import TrainerCallback

if TYPE_CHECKING:
    from sdar_cli.training.events import Listener


class StopOnSignal(TrainerCallback):
    """Use as a context manager around ``trainer.train()``; ``stopped`` says whether it was asked to."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.stopped = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopOnSignal:
        for number in self.SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_step_end(self, args, state, control, **kwargs):
        if self.stopped:
            control.should_save = True
            control.should_training_stop = True
        return control

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        self.listener.message("stopping: this step is finished and saved first; Ctrl-C again leaves at once")
