"""What the pool asks of the ways to run slots: in this process, in threads, in worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sdar_cli.rollout.worker import Operation


@dataclass(frozen=True, slots=True)
class SlotError:
    """The episode in this slot is lost; ``reason`` is a phrase such as ``timed out after 120 s``."""

    reason: str


class Backend(Protocol):
    def call(self, operation: Operation, requests: Mapping[int, Any]) -> dict[int, Any]:
        """Apply an operation to these slots: slot → Observation, Step or SlotError.

        Slots that were not asked may be answered too, with the error by which they lost their episode.
        Raises EnvironmentSetupError where the environment does.
        """

    def recycle(self, busy: set[int], resets: int) -> None:
        """Renew what has served more than ``resets`` resets and holds no slot of ``busy``."""

    def close(self) -> None:
        """End everything; safe to call twice."""
