"""Two panels side by side: from the same world or not, and which tasks they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from sdar_cli.evaluation.panel import Panel


@dataclass(frozen=True, slots=True)
class PanelDiff:
    first: Panel
    second: Panel
    only_first: tuple[str, ...]
    """Task ids, in the order of their panel."""
    only_second: tuple[str, ...]
    shared: tuple[str, ...]
    """In the order of the first panel."""
    same_order: bool
    """Whether the shared tasks come in one order in both."""

    @classmethod
    def of(cls, first: Panel, second: Panel) -> Self:
        """Tasks count as shared by their ids alone, which mean the same only in one environment and its options."""
        in_first, in_second = set(first.task_ids), set(second.task_ids)
        shared = tuple(task for task in first.task_ids if task in in_second)
        return cls(
            first,
            second,
            only_first=tuple(task for task in first.task_ids if task not in in_second),
            only_second=tuple(task for task in second.task_ids if task not in in_first),
            shared=shared,
            same_order=shared == tuple(task for task in second.task_ids if task in in_first),
        )

    @property
    def equal(self) -> bool:
        """Whether results on them may be compared: the hashes are equal."""
        return self.first.digest == self.second.digest

    @property
    def other_settings(self) -> dict[str, tuple[Any, Any]]:
        """Options of the environment that differ, by name, None where a panel has no such option; empty too where
        a file is too old to hold them."""
        a, b = self.first.settings, self.second.settings
        if not a or not b:
            return {}
        return {key: (a.get(key), b.get(key)) for key in sorted({*a, *b}) if a.get(key) != b.get(key)}

    def to_json(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            "same": {
                name: getattr(self.first, name) == getattr(self.second, name)
                for name in ("environment", "options", "split", "seed")
            },
            "other_options": {key: list(pair) for key, pair in self.other_settings.items()},
            "shared": len(self.shared),
            "same_order": self.same_order,
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
        }
