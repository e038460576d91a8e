"""What the pool asks of the ways to run slots: in this process, in threads, in worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Operation = str
"""``reset`` (payload: a Task) or ``step`` (payload: an action)."""


@dataclass(frozen=True, slots=True)
class SlotError:
    """The episode in this slot is lost; ``reason`` is a phrase such as ``timed out after 120 s``."""

    reason: str


class Backend(Protocol):
    slow: int
    """Operations so far that took more than half the timeout."""

    def submit(self, operation: Operation, requests: Mapping[int, Any]) -> None:
        """Begin an operation on these slots, none of which has one under way."""

    def take(self, seconds: float | None) -> dict[int, Any]:
        """What came of it so far: slot → Observation, Step or SlotError; nothing when nothing is under way.

        Waits until there is something, at most so long; None: as long as it takes. Slots that were not asked may be
        answered too, with the error by which they lost their episode. Raises EnvironmentSetupError where the
        environment does.
        """

    def drop(self) -> None:
        """Forget what is under way: nobody will take it."""

    def recycle(self, busy: set[int], resets: int) -> None:
        """Renew what has served more than ``resets`` resets and holds no slot of ``busy``."""

    def close(self) -> None:
        """End everything; safe to call twice."""
