"""What training tells the outside: tracking, checkpoints' bookkeeping and the display listen here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.rollout.episode import Episode


class Listener:
    """Every method does nothing until overridden."""

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins (``warm-up``, ``base evaluation``, ``training``, …), of ``total`` units."""

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Progress within the phase."""

    def rollout(self, step: int, episodes: Sequence[Episode], signals: Mapping) -> None:
        """A training rollout and its (episode, turn) → gap and gate summary."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of one finished step."""

    def evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        """A finished evaluation with the episodes it counted."""

    def saving(self, step: int) -> None:
        """A checkpoint is about to be written: what it must never be ahead of is put on the disk now."""

    def checkpoint(self, step: int, folder: Path) -> None:
        """A complete checkpoint."""

    def message(self, text: str) -> None:
        """One line for the user."""


class Listeners(Listener):
    """Passes every event on to each listener, in order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def phase(self, name: str, total: int | None = None) -> None:
        for listener in self._listeners:
            listener.phase(name, total)

    def advance(self, done: int, total: int, note: str = "") -> None:
        for listener in self._listeners:
            listener.advance(done, total, note)

    def rollout(self, step: int, episodes: Sequence[Episode], signals: Mapping) -> None:
        for listener in self._listeners:
            listener.rollout(step, episodes, signals)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        for listener in self._listeners:
            listener.metrics(step, values)

    def evaluation(self, evaluation: Evaluation, episodes: Sequence[Episode]) -> None:
        for listener in self._listeners:
            listener.evaluation(evaluation, episodes)

    def saving(self, step: int) -> None:
        for listener in self._listeners:
            listener.saving(step)

    def checkpoint(self, step: int, folder: Path) -> None:
        for listener in self._listeners:
            listener.checkpoint(step, folder)

    def message(self, text: str) -> None:
        for listener in self._listeners:
            listener.message(text)
