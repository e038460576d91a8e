"""Writing a SQLite file in batches such that a killed import goes on where it was.

How many records of the source are done stands in the file itself, and is committed together with what came of
them; so whenever the process ends, the two agree.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sdar_cli.errors import EnvironmentSetupError

BATCH = 2000
"""Records between two commits."""


class Spoilt(EnvironmentSetupError):
    """What is done of an import is of no use."""


@contextmanager
def open_database(file: Path) -> Iterator[sqlite3.Connection]:
    """A file to write batches to, in SQLite's write-ahead mode, which a killed process cannot corrupt."""
    try:
        database = sqlite3.connect(file, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA cache_size = {-64 * 1024}")
            database.execute("CREATE TABLE IF NOT EXISTS done (part TEXT PRIMARY KEY, content TEXT)")
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        if type(error) is sqlite3.DatabaseError:  # "malformed", "not a database": no want of room
            raise Spoilt(f"{file} was damaged ({error}): run the same command again") from error
        raise EnvironmentSetupError(
            f"{file} cannot be written ({error}): free space there and run the same command again, "
            "it goes on where it was"
        ) from error


@dataclass(slots=True)
class Done:
    """How far a part of the import is."""

    part: str
    records: int = 0
    """Of the source, from its beginning."""
    counts: dict[str, int] = field(default_factory=dict)
    """What came of them, by name."""
    finished: bool = False
    """The whole source was read."""
    _saved: int = 0

    @classmethod
    def load(cls, database: sqlite3.Connection, part: str) -> Self:
        """Where the last commit left the part."""
        row = database.execute("SELECT content FROM done WHERE part = ?", (part,)).fetchone()
        if row is None:
            return cls(part)
        try:
            records, counts, finished = json.loads(row[0])
            whole = all(type(count) is int for count in (records, *counts.values()))
        except (ValueError, TypeError, AttributeError, RecursionError):
            whole = False
        if not whole:
            raise Spoilt("what the import had done was damaged: run the same command again")
        return cls(part, records, counts, bool(finished), records)

    def count(self, name: str, times: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + times

    def begin(self, database: sqlite3.Connection) -> None:
        """Open the transaction that ``save`` commits."""
        database.execute("BEGIN")

    def save_now_and_then(self, database: sqlite3.Connection) -> None:
        """Commit every ``BATCH`` records, and open the next transaction."""
        if self.records - self._saved >= BATCH:
            self.save(database)
            self.begin(database)

    def save(self, database: sqlite3.Connection) -> None:
        """Commit what was written together with how far it goes."""
        content = json.dumps([self.records, self.counts, self.finished])
        database.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (self.part, content))
        database.execute("COMMIT")
        self._saved = self.records

    def finish(self, database: sqlite3.Connection) -> None:
        """Commit the end of the part."""
        self.finished = True
        self.save(database)
