"""Episodes that the environment lost: how many, of how many, and what became of it.

They are flagged in their records, never trained on, and not solved where tasks are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sdar_cli.rollout.episode import StopReason

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation

PREFIX = "rollout/lost/"
"""Of the metrics that count a step's lost episodes by kind; a step that lost none has none."""
EPISODES, SHARE = "rollout/episodes", f"rollout/stop/{StopReason.ENVIRONMENT_ERROR}"

_KINDS = {
    "crashed": "crashed",
    "closed its pipe": "crashed",
    "timed out": "timed_out",
    "raised": "raised",
    "answered garbage": "garbage",
    "took": "memory",
    "its worker was replaced": "beside_another",
}
_KIND = re.compile(rf"(?:(?:goal|parse|prompt|followup) )?({'|'.join(_KINDS)})\b")


def kind_of(error: str | None) -> str:
    """The kind of loss that a reason (``SlotError.reason``) tells: one of a few names, ``other`` for what is none."""
    found = _KIND.match(error or "")
    return _KINDS[found[1]] if found else "other"


@dataclass(frozen=True, slots=True)
class Flagged:
    episodes: int
    of: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Kind → episodes, by name."""

    @classmethod
    def of_journal(cls, rows: Iterable[Mapping[str, float]]) -> Self:
        """Of a training, all its resumptions together: rows of a journal."""
        lost, played, reasons = 0, 0, Counter[str]()
        for row in rows:
            if not row.get(EPISODES):
                continue
            played += round(row[EPISODES])
            lost += round(row[EPISODES] * row.get(SHARE, 0.0))
            reasons.update({k.removeprefix(PREFIX): round(v) for k, v in row.items() if k.startswith(PREFIX)})
        return cls(lost, played, dict(sorted(reasons.items())))

    @classmethod
    def of_evaluations(cls, evaluations: Iterable[Evaluation]) -> Self:
        records = [record for evaluation in evaluations for record in evaluation.records]
        lost = [record for record in records if record.stop == StopReason.ENVIRONMENT_ERROR]
        return cls(len(lost), len(records), dict(sorted(Counter(kind_of(record.error) for record in lost).items())))

    def to_json(self) -> dict[str, Any]:
        return {"episodes": self.episodes, "of": self.of, "reasons": dict(self.reasons)}

    def __str__(self) -> str:
        """``3 of 48 episodes (crashed 1, timed out 2)``."""
        parts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self.reasons.items())
        return f"{self.episodes} of {self.of} episodes" + (f" ({parts})" if parts else "")
