"""BM25 as Lucene computes it, over the passages' contents, title included."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.retriever.engine import Bar, Engine, Hit, Progress, Settings

if TYPE_CHECKING:
    from sdar_cli.retriever.corpus import Corpus
    from sdar_envs.bm25 import Index

FOLDER = "bm25"


class Bm25(Engine):
    name = "bm25"

    def __init__(self, index: Index) -> None:
        self._index = index
        self.at_once = os.cpu_count() or 1  # each search holds a score for every passage

    @classmethod
    def build(cls, folder: Path, corpus: Corpus, settings: Settings, bar: Bar) -> Mapping[str, Any]:
        from sdar_envs.bm25 import Index

        with bar("indexing words") as progress:
            Index.build(folder / FOLDER, _counted(corpus, progress))
        return {}

    @classmethod
    def open(cls, folder: Path, facts: Mapping[str, Any], settings: Settings) -> Bm25:
        from sdar_envs.bm25 import Index

        return cls(Index.open(folder / FOLDER))

    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        return [[Hit(hit.document, float(hit.score)) for hit in self._index.search(query, topk)] for query in queries]

    def __len__(self) -> int:
        return len(self._index)


def _counted(corpus: Corpus, progress: Progress) -> Iterator[str]:
    for number, text in enumerate(corpus.texts(), start=1):
        yield text
        progress(number, len(corpus))
