"""The shop's stock, read-only: products and goals in one SQLite file, and a BM25 index beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.bm25 import Index
from sdar_envs.webshop.manifest import DATABASE, INDEX, Digest, read_manifest
from sdar_envs.webshop.product import Product, from_json
from sdar_envs.webshop.stored_goals import HumanGoals, StoredGoals, SyntheticGoals

KEPT = 1024
"""Products kept in memory."""


class Store:
    """An imported or generated catalogue (``Store.open``). Cheap to open; threads may share one, processes open
    their own and share its pages."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            EnvironmentSetupError: there is no whole store in the folder.
        """
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.digest = self.manifest.digest
        self._index = Index.open(folder / INDEX)
        self.database = open_read_only(folder / DATABASE)
        self._product = lru_cache(maxsize=KEPT)(self._read_product)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """
        Raises:
            EnvironmentSetupError: there is no whole store in the folder.
        """
        return cls(folder)

    def product(self, asin: str) -> Product:
        """KeyError where the store has none."""
        return self._product(asin)

    def _read_product(self, asin: str) -> Product:
        row = self.database.execute("SELECT content FROM products WHERE asin = ?", (asin,)).fetchone()
        if row is None:
            raise KeyError(asin)
        return from_json(row[0])

    def products(self) -> Iterator[Product]:
        """All products, in the order in which they were imported."""
        for (content,) in self.database.execute("SELECT content FROM products ORDER BY number"):
            yield from_json(content)

    def search(self, query: str, k: int = 50) -> list[str]:
        """The asins of the ``k`` products that fit best, best first; none for words that no product has."""
        numbers = [hit.document for hit in self._index.search(query, k)]
        marks = ",".join("?" * len(numbers))
        asins = dict(self.database.execute(f"SELECT number, asin FROM products WHERE number IN ({marks})", numbers))
        return [asins[number] for number in numbers]

    def __len__(self) -> int:
        return self.manifest.counts["products"]

    def goals(self, kind: Literal["synthetic", "human"] = "synthetic") -> StoredGoals:
        """All goals of a kind in a fixed order, each read when it is asked for."""
        if kind == "human":
            return HumanGoals(self.database, self.manifest.counts["human_goals"])
        return SyntheticGoals(self.database, self.manifest.counts["synthetic_goals"])

    def check(self) -> None:
        """Read all of it and compare with the hashes it was written with: seconds to a minute.

        Raises:
            EnvironmentSetupError: something has changed.
        """
        self._index.check()
        digest, problem = Digest(), ""
        try:
            products = sum(1 for _ in digest.products(self.database))
            if (products, digest.finish(self.database)) != (len(self), self.digest) or len(self._index) != products:
                problem = "its content is not what was written"
        except sqlite3.Error as error:
            problem = str(error)
        if problem:
            raise EnvironmentSetupError(
                f"{self.folder / DATABASE} is damaged ({problem}): remove the folder and make it again with "
                "`sdar data webshop`"
            )

    def close(self) -> None:
        self.database.close()


def open_read_only(file: Path) -> sqlite3.Connection:
    """A connection that never writes, not even beside the file, and that threads may share."""
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)
