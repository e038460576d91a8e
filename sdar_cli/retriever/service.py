"""A corpus and the engine that searches it, opened from what the command names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import is_folder
from sdar_cli.retriever.bm25 import Bm25
from sdar_cli.retriever.corpus import Corpus
from sdar_cli.retriever.dense import Dense
from sdar_cli.retriever.engine import Bar, Engine, Settings
from sdar_cli.retriever.engines import ENGINES
from sdar_cli.retriever.protocol import Found
from sdar_cli.retriever.store import cached, read_manifest


@dataclass(frozen=True, slots=True)
class Service:
    corpus: Corpus
    engine: Engine

    def retrieve(self, queries: list[str], topk: int) -> Found:
        """The passages for each query; a blank query finds nothing, whatever the engine."""
        asked = [query for query in queries if query.strip()]
        hits = iter(self.engine.search(asked, topk) if asked else [])
        return [
            [(self.corpus.passage(hit.document), hit.score) for hit in next(hits)] if query.strip() else []
            for query in queries
        ]


def plan(index: Path | None, corpus: Path | None, settings: Settings, bar: Bar) -> Callable[[], Service]:
    """Find out what is to be served, and build what the cache lacks; the call that is returned loads it.

    An index's folder; a faiss file with its corpus; or a corpus alone, by BM25.

    Raises:
        EnvironmentSetupError: something is missing, damaged, or does not go together.
    """
    if index is None:
        if corpus is None:
            raise EnvironmentSetupError(
                "there is nothing to serve: name a corpus with --corpus, or a folder that `sdar retriever build` "
                "made with --index"
            )
        Bm25.check(settings, building=False)
        return _folder(cached(corpus, Bm25, bar), _unless_packed(corpus), settings)
    if is_folder(index):
        return _folder(index, corpus, settings)
    if not os.path.lexists(index):
        raise EnvironmentSetupError(f"there is no index at {index}: make one with `sdar retriever build`")
    return _faiss_file(index, corpus, settings, bar)


def _folder(folder: Path, corpus: Path | None, settings: Settings) -> Callable[[], Service]:
    manifest = read_manifest(folder)
    engine = ENGINES.get(manifest.engine or "")
    if engine is None:
        raise EnvironmentSetupError(
            f"{folder} is an index of the kind {manifest.engine!r}, which this version does not know: build it again, "
            f"as one of {', '.join(ENGINES)}"
        )
    engine.check(settings, building=False)

    def load() -> Service:
        opened = Corpus.open(folder, manifest.source, corpus)
        return _checked(opened, engine.open(folder, manifest.facts, settings), folder)

    return load


def _faiss_file(file: Path, corpus: Path | None, settings: Settings, bar: Bar) -> Callable[[], Service]:
    if corpus is None or settings.model is None:
        raise EnvironmentSetupError(
            f"{file} is a file, so a faiss index: name its corpus with --corpus and the model that it was built with "
            "with --model"
        )
    Dense.check(settings, building=False)
    folder = cached(corpus, None, bar)
    source = read_manifest(folder).source

    def load() -> Service:
        return _checked(Corpus.open(folder, source, _unless_packed(corpus)), Dense.open_file(file, settings), file)

    return load


def _unless_packed(corpus: Path) -> Path | None:
    """A ``.gz`` lies unpacked in the folder of its offsets."""
    return None if corpus.suffix == ".gz" else corpus


def _checked(corpus: Corpus, engine: Engine, where: Path) -> Service:
    if len(engine) != len(corpus):
        raise EnvironmentSetupError(
            f"{where} indexes {len(engine)} passages and {corpus.file} holds {len(corpus)}: name the corpus that it "
            "was built from with --corpus, or build it again"
        )
    return Service(corpus, engine)
