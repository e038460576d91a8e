"""A store's SQLite file, read: whatever is wrong with it comes as one sentence, whenever it is met."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sdar_cli.errors import EnvironmentSetupError

TABLES = {
    "products": ("number", "asin", "content"),
    "synthetic": ("start", "product"),
    "human": ("number", "product", "place", "content"),
}
"""Table → its columns."""
_MADE_WITH_THEM = {"done"}
_LONGEST = 64 << 20
"""Bytes of a row; an import takes records of 16 MiB."""


class DamagedStore(EnvironmentSetupError):
    def __init__(self, file: Path, reason: object) -> None:
        what = "".join(letter if letter.isprintable() else " " for letter in str(reason))[:160]
        super().__init__(f"{file} is damaged ({what}): remove the folder and make it again with `sdar data webshop`")


class Database:
    """A connection that never writes, not even beside the file, and that threads may share."""

    def __init__(self, file: Path) -> None:
        """
        Raises:
            DamagedStore: it is no database, or has other tables than a store's; tables can be queries that never
                end, so nothing is asked of one that was not looked at.
        """
        self.file = file
        uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        with self.guarded():
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            with self.guarded():
                self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
                self._connection.execute("PRAGMA trusted_schema = OFF")
                self._connection.execute("PRAGMA cell_size_check = ON")
            self._check_tables()
        except BaseException:
            self.close()
            raise

    def execute(self, query: str, values: Sequence[Any] = ()) -> Rows:
        with self.guarded():
            return Rows(self, self._connection.execute(query, values))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """For whatever rests on the content: what it is not, is said."""
        try:
            yield
        except sqlite3.ProgrammingError:  # ours: a closed connection, another number of values
            raise
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, KeyError, OverflowError) as error:
            raise DamagedStore(self.file, error) from None

    def _check_tables(self) -> None:
        found = {
            name: kind for kind, name in self.execute("SELECT type, name FROM sqlite_master WHERE type <> 'index'")
        }
        if found.keys() - _MADE_WITH_THEM != TABLES.keys() or set(found.values()) != {"table"}:
            raise DamagedStore(self.file, "its tables are not those of a store")
        for table, columns in TABLES.items():
            rows = list(self.execute(f"PRAGMA table_xinfo({table})"))
            if tuple(row[1] for row in rows) != columns or any(row[6] for row in rows):
                raise DamagedStore(self.file, f"the table {table} is not a store's")


class Rows:
    """The rows of a query, one by one."""

    def __init__(self, database: Database, cursor: sqlite3.Cursor) -> None:
        self._database, self._cursor = database, cursor

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Any, ...]:
        with self._database.guarded():
            return next(self._cursor)

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)
