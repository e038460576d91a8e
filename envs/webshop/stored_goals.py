"""The goals of a store as sequences that read each goal when it is asked for."""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import overload

from sdar_envs.webshop.goals import Goal, count_synthetic, human_goal, synthetic_goal
from sdar_envs.webshop.product import from_json


class StoredGoals(Sequence[Goal]):
    """A sequence over rows of the database; iterating it reads every product once."""

    def __init__(self, database: sqlite3.Connection, count: int) -> None:
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
        start, content = self._database.execute(
            "SELECT start, content FROM synthetic JOIN products ON product = products.number "
            "WHERE start <= ? ORDER BY start DESC LIMIT 1",
            (number,),
        ).fetchone()
        return synthetic_goal(from_json(content), number - start)

    def number(self, goal_id: str) -> int | None:
        asin, _, choice = goal_id.rpartition("/")
        row = self._database.execute(
            "SELECT start, content FROM synthetic JOIN products ON product = products.number WHERE asin = ?", (asin,)
        ).fetchone()
        if row is None or not _is_number(choice) or int(choice) >= count_synthetic(from_json(row[1])):
            return None
        return int(row[0]) + int(choice)

    def __iter__(self) -> Iterator[Goal]:
        rows = self._database.execute(
            "SELECT content FROM synthetic JOIN products ON product = products.number ORDER BY start"
        )
        for (content,) in rows:
            product = from_json(content)
            for choice in range(count_synthetic(product)):
                yield synthetic_goal(product, choice)


class HumanGoals(StoredGoals):
    _ROWS = "SELECT place, human.content, products.content FROM human JOIN products ON product = products.number"

    def _goal(self, number: int) -> Goal:
        return _written(self._database.execute(f"{self._ROWS} WHERE human.number = ?", (number,)).fetchone())

    def number(self, goal_id: str) -> int | None:
        asin, _, place = goal_id.rpartition("/human-")
        if not _is_number(place):
            return None
        row = self._database.execute(
            "SELECT human.number FROM human JOIN products ON product = products.number WHERE asin = ? AND place = ?",
            (asin, int(place)),
        ).fetchone()
        return None if row is None else int(row[0])

    def __iter__(self) -> Iterator[Goal]:
        return map(_written, self._database.execute(f"{self._ROWS} ORDER BY human.number"))


def _is_number(text: str) -> bool:
    """Whether it is a number as ids hold it, short enough for the database."""
    return text.isascii() and text.isdigit() and len(text) < 10 and text == str(int(text))


def _written(row: tuple[int, str, str]) -> Goal:
    place, entry, product = row
    return human_goal(from_json(product), place, json.loads(entry))
