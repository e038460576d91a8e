"""The goals of a store as sequences that read each goal when it is asked for."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, overload

from sdar_envs.webshop.database import Database
from sdar_envs.webshop.goals import Goal, count_synthetic, human_goal, synthetic_goal
from sdar_envs.webshop.product import from_json


class StoredGoals(Sequence[Goal]):
    """A sequence over rows of the database; iterating it reads every product once."""

    def __init__(self, database: Database, count: int) -> None:
        self._database, self._count = database, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Goal: ...
    @overload
    def __getitem__(self, index: slice) -> list[Goal]: ...

    def __getitem__(self, index: int | slice) -> Goal | list[Goal]:
        if isinstance(index, slice):
            return [self._goal(number) for number in range(self._count)[index]]
        return self._goal(range(self._count)[index])

    @abstractmethod
    def _goal(self, number: int) -> Goal:
        """The goal with this number, from 0 to the count less one."""

    @abstractmethod
    def number(self, goal_id: str) -> int | None:
        """The number of the goal with this id; None where there is none. No goal is made for it."""


class SyntheticGoals(StoredGoals):
    def _goal(self, number: int) -> Goal:
        # Several products of the same start are impossible: one without a goal has no row.
        row = self._database.execute(
            "SELECT start, content FROM synthetic JOIN products ON product = products.number "
            "WHERE start <= ? ORDER BY start DESC LIMIT 1",
            (number,),
        ).fetchone()
        with self._database.guarded():
            if row is None:
                raise KeyError(f"no goal {number}")
            return synthetic_goal(from_json(row[1]), number - row[0])

    def number(self, goal_id: str) -> int | None:
        asin, _, choice = goal_id.rpartition("/")
        row = self._database.execute(
            "SELECT start, content FROM synthetic JOIN products ON product = products.number WHERE asin = ?", (asin,)
        ).fetchone()
        with self._database.guarded():
            if row is None or not _is_number(choice) or int(choice) >= count_synthetic(from_json(row[1])):
                return None
            return int(row[0]) + int(choice)

    def __iter__(self) -> Iterator[Goal]:
        rows = self._database.execute(
            "SELECT content FROM synthetic JOIN products ON product = products.number ORDER BY start"
        )
        for (content,) in rows:
            with self._database.guarded():
                product = from_json(content)
            for choice in range(count_synthetic(product)):
                yield synthetic_goal(product, choice)


class HumanGoals(StoredGoals):
    _ROWS = "SELECT place, human.content, products.content FROM human JOIN products ON product = products.number"

    def _goal(self, number: int) -> Goal:
        return self._written(self._database.execute(f"{self._ROWS} WHERE human.number = ?", (number,)).fetchone())

    def number(self, goal_id: str) -> int | None:
        asin, _, place = goal_id.rpartition("/human-")
        if not _is_number(place):
            return None
        row = self._database.execute(
            "SELECT human.number FROM human JOIN products ON product = products.number WHERE asin = ? AND place = ?",
            (asin, int(place)),
        ).fetchone()
        with self._database.guarded():
            return None if row is None else int(row[0])

    def __iter__(self) -> Iterator[Goal]:
        return map(self._written, self._database.execute(f"{self._ROWS} ORDER BY human.number"))

    def _written(self, row: tuple[Any, ...] | None) -> Goal:
        with self._database.guarded():
            if row is None:
                raise KeyError("a goal is missing")
            place, content, product = row
            entry = json.loads(content)
            texts = [entry["instruction"], *entry["attributes"], *entry["options"]]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("a goal is no text")
            return human_goal(from_json(product), place, entry)


def _is_number(text: str) -> bool:
    """Whether it is a number as ids hold it, short enough for the database."""
    return text.isascii() and text.isdigit() and len(text) < 10 and text == str(int(text))
