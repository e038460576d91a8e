"""The shop's stock, read-only: products and goals in one SQLite file, and a BM25 index beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, walk
from sdar_envs.bm25 import Index
from sdar_envs.webshop.database import DamagedStore, Database
from sdar_envs.webshop.goals import count_synthetic
from sdar_envs.webshop.manifest import DATABASE, INDEX, MANIFEST, Digest, read_manifest
from sdar_envs.webshop.product import Product, from_json
from sdar_envs.webshop.stored_goals import HumanGoals, StoredGoals, SyntheticGoals

KEPT = 1024
"""Products kept in memory."""
_MOST_FILES = 1000


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
        self.database = Database(folder / DATABASE)
        try:
            self._check_counts()
        except BaseException:
            self.close()
            raise
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
        with self.database.guarded():
            return from_json(row[0])

    def products(self) -> Iterator[Product]:
        """All products, in the order in which they were imported."""
        for (content,) in self.database.execute("SELECT content FROM products ORDER BY number"):
            with self.database.guarded():
                product = from_json(content)
            yield product

    def search(self, query: str, k: int = 50) -> list[str]:
        """The asins of the ``k`` products that fit best, best first; none for words that no product has."""
        numbers = [hit.document for hit in self._index.search(query, k)]
        marks = ",".join("?" * len(numbers))
        asins = dict(self.database.execute(f"SELECT number, asin FROM products WHERE number IN ({marks})", numbers))
        with self.database.guarded():
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
        digest = Digest()
        with self.database.guarded():
            products = sum(1 for _ in digest.products(self.database))
            same = (products, digest.finish(self.database)) == (len(self), self.digest)
        if not same or len(self._index) != products:
            raise DamagedStore(self.database.file, "its content is not what was written")

    def _check_counts(self) -> None:
        """Whether the tables end where the manifest says, which takes a look at their last rows."""
        counts = self.manifest.counts
        ends: dict[str, int] = {}
        for name, table in (("products", "products"), ("human_goals", "human")):
            row = self.database.execute(f"SELECT MAX(number) FROM {table}").fetchone()
            ends[name] = 0 if row is None or row[0] is None else row[0] + 1
        last = self.database.execute(
            "SELECT start, content FROM synthetic JOIN products ON product = products.number "
            "ORDER BY start DESC LIMIT 1"
        ).fetchone()
        with self.database.guarded():
            ends["synthetic_goals"] = 0 if last is None else last[0] + count_synthetic(from_json(last[1]))
        wrong = [name.replace("_", " ") for name, end in ends.items() if end != counts[name]]
        if wrong or len(self._index) != counts["products"]:
            what = wrong[0] if wrong else "documents in its index"
            raise DamagedStore(self.database.file, f"it holds another number of {what} than {MANIFEST} says")

    def files(self) -> Iterator[os.DirEntry[str]]:
        """All that lies in its folder."""
        try:
            yield from (entry for entry in walk(self.folder, _MOST_FILES) if not entry.is_dir(follow_symlinks=False))
        except Unreadable as error:
            raise EnvironmentSetupError(f"{self.folder} {error}: remove what is not the store's") from None

    def close(self) -> None:
        self.database.close()
