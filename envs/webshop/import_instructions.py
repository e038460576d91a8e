"""First part of an import: instructions by asin into a SQLite file of their own, to be looked up by product."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdar_envs.webshop import batches
from sdar_envs.webshop.cleaning import read_human, read_instructions
from sdar_envs.webshop.json_files import Damage, DamagedFile, Sources, read_mapping, short

INSTRUCTIONS_DATABASE = "instructions.sqlite"


def import_instructions(sources: Sources, draft: Path, read: Callable[[int], None]) -> None:
    """Write ``instructions.sqlite`` into the draft, going on where an earlier call was stopped."""
    with batches.open_database(draft / INSTRUCTIONS_DATABASE) as database:
        for table, file, clean in (
            ("synthetic", sources.instructions, read_instructions),
            ("human", sources.human, read_human),
        ):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} (asin TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID")
            if file is not None:
                _import_mapping(database, table, file, clean, read)


def _import_mapping(
    database: sqlite3.Connection,
    table: str,
    file: Path,
    clean: Callable[[Any], Any],
    read: Callable[[int], None],
) -> None:
    done = batches.Done.load(database, table)
    if done.finished:
        read(file.stat().st_size)
        return
    done.begin(database)
    for number, (asin, entry) in enumerate(read_mapping(file, read), start=1):
        if number <= done.records:
            continue
        try:
            content = clean(entry)
        except Damage as damage:
            raise DamagedFile(f"{file}: asin {short(asin)} {damage}") from None
        # As in a Python mapping, the last of equal keys counts.
        database.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (asin, json.dumps(content)))
        done.records = number
        done.save_now_and_then(database)
    done.finish(database)


class Instructions:
    """What was imported, by asin."""

    def __init__(self, draft: Path) -> None:
        self._database = sqlite3.connect(draft / INSTRUCTIONS_DATABASE)

    def entry(self, asin: str) -> dict[str, Any] | None:
        return self._find("synthetic", asin)

    def human(self, asin: str) -> list[dict[str, Any]]:
        return self._find("human", asin) or []

    def close(self) -> None:
        self._database.close()

    def _find(self, table: str, asin: str) -> Any:
        row = self._database.execute(f"SELECT content FROM {table} WHERE asin = ?", (asin,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except (ValueError, TypeError):
            raise batches.Spoilt("what the import had done was damaged: run the same command again") from None
