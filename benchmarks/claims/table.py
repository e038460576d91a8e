"""The CSV of runs: one row a run, written whole beside itself and moved into place after each."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

from claims.methods import Overrides

Status = Literal["finished", "collapsed", "failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run. Shares are in [0, 1]; a cell that was not reached, or has no meaning, is None (empty in the CSV)."""

    study: str
    label: str
    method: str
    overrides: str
    """``key=value`` words on top of the recipe, sorted by key, beside the seed and the rulebook, which are one."""
    seed: int
    status: Status
    """``collapsed``: finished, but worse than its base without skills (interval below 0), or with skills below half."""
    steps: int
    tasks: int | None = None
    """Of the panel."""
    base_no_skills: float | None = None
    base_skills: float | None = None
    trained_no_skills: float | None = None
    trained_skills: float | None = None
    kl: float | None = None
    """This and the next five: over the last quarter of the steps. KL to the reference and entropy in nats a token."""
    entropy: float | None = None
    gate_mean: float | None = None
    gap_mean: float | None = None
    train_success: float | None = None
    train_success_min: float | None = None
    """Lowest success of one step's rollout, with skills in the prompt for ``skill_grpo``."""
    seconds: float | None = None
    """Wall clock, of the whole run."""
    cpu_seconds: float | None = None
    """Of the process, which other work on the machine does not lengthen."""
    commit: str = ""
    recipe: str = ""
    """First twelve digits of the resolved recipe's digest."""
    note: str = ""
    """What the run warned of, or the sentence that it failed with."""

    @property
    def key(self) -> tuple[str, int]:
        return (self.overrides, self.seed)

    def words(self) -> dict[str, str]:
        """As CSV cells."""
        return {field.name: _word(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def read(cls, words: dict[str, str]) -> Self:
        """From CSV cells; ValueError or KeyError where they are none."""
        return cls(**{field.name: _value(field.type, words[field.name]) for field in fields(cls)})


COLUMNS = tuple(field.name for field in fields(Row))


class Table:
    """The rows by overrides and seed, kept on disk where there is a file."""

    def __init__(self, rows: Iterable[Row] = (), file: Path | None = None) -> None:
        self._rows = {row.key: row for row in rows}
        self.file = file

    @classmethod
    def open(cls, file: Path) -> Self:
        """The table of a file, empty where there is none."""
        if not file.exists():
            return cls(file=file)
        with file.open(newline="", encoding="utf-8") as lines:
            return cls([Row.read(words) for words in csv.DictReader(lines)], file)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def get(self, overrides: Overrides, seed: int) -> Row | None:
        return self._rows.get((" ".join(overrides), seed))

    def holds(self, key: tuple[str, int]) -> bool:
        return key in self._rows

    def add(self, row: Row) -> None:
        """Keep a row, on disk too."""
        self._rows[row.key] = row
        self._write()

    def drop_failed(self) -> int:
        """Forget the runs that failed, so that they run again; how many there were."""
        failed = [row.key for row in self.rows if row.status == "failed"]
        for key in failed:
            del self._rows[key]
        if failed:
            self._write()
        return len(failed)

    def _write(self) -> None:
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".writing")
        with beside.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.words() for row in self.rows)
        beside.replace(self.file)


def _word(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _value(kind: object, word: str) -> object:
    if "None" in str(kind) and not word:
        return None
    if "float" in str(kind):
        return float(word)
    return int(word) if "int" in str(kind) else word
