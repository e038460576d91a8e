"""Dense retrieval: E5 vectors in a faiss index."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import EnvironmentSetupError, ModelError
from sdar_cli.retriever.batcher import Batcher
from sdar_cli.retriever.encoder import BATCH, PASSAGE, QUERY, Encoder, check_model
from sdar_cli.retriever.engine import Bar, Engine, Hit, Settings
from sdar_cli.retriever.extras import require
from sdar_cli.retriever.vectors import new_index, read_index, set_ef_search, write_index

if TYPE_CHECKING:
    import numpy as np

    from sdar_cli.retriever.corpus import Corpus

FILE = "vectors.faiss"
ENCODED = "vectors.npy"
"""While building: the vectors, so that memory holds them no more than once, in the index."""
LINKED_AT_ONCE = 1 << 16
"""Vectors that HNSW takes between two reports of progress."""
WAITING = 256
"""Requests that may wait for a batch together."""
MOST = 512
"""Queries encoded and searched at a time."""


class Dense(Engine):
    name = "dense"
    settings = frozenset({"model", "device", "index_type", "in_memory", "ef_search"})
    at_once = WAITING

    def __init__(self, encoder: Encoder, index: Any) -> None:
        self._encoder = encoder
        self._index = index
        self._batcher = Batcher(self._search, MOST)

    @classmethod
    def check(cls, settings: Settings, *, building: bool) -> None:
        super().check(settings, building=building)
        require("dense", "faiss")
        if settings.model is not None:
            check_model(settings.model)
        elif building:
            raise _no_model()

    @classmethod
    def build(cls, folder: Path, corpus: Corpus, settings: Settings, bar: Bar) -> Mapping[str, Any]:
        encoder = _encoder(settings.model, settings)
        kind = settings.index_type or "flat"
        vectors = _encode(encoder, corpus, folder / ENCODED, bar)
        index = new_index(kind, encoder.dimension)
        step = len(vectors) if kind == "flat" else LINKED_AT_ONCE
        with bar("indexing vectors") as progress:
            for start in range(0, len(vectors), step):
                index.add(vectors[start : start + step])
                progress(index.ntotal, len(vectors))
        write_index(index, folder / FILE)
        (folder / ENCODED).unlink()
        return {"model": encoder.path, "index_type": kind}

    @classmethod
    def open(cls, folder: Path, facts: Mapping[str, Any], settings: Settings) -> Dense:
        model = facts.get("model")
        return cls.open_file(folder / FILE, settings, model if isinstance(model, str) else None)

    @classmethod
    def open_file(cls, file: Path, settings: Settings, model: str | None = None) -> Dense:
        """Open a faiss index, ours or not; ``model`` encodes the queries unless the settings name another.

        Raises:
            EnvironmentSetupError: the index is damaged, or not one for this model.
            ModelError: the model is missing or damaged.
        """
        index = read_index(file, in_memory=settings.in_memory)
        if settings.ef_search is not None:
            set_ef_search(index, settings.ef_search)
        encoder = _encoder(settings.model or model, settings)
        if index.d != encoder.dimension:
            raise EnvironmentSetupError(
                f"{file} holds vectors of {index.d} numbers and the model gives {encoder.dimension}: "
                "name the model that the index was built with, with --model"
            )
        return cls(encoder, index)

    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        return self._batcher.search(queries, topk)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def _search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        vectors = self._encoder.encode([QUERY + query for query in queries])
        scores, numbers = self._index.search(vectors, min(topk, len(self)))
        return [
            [Hit(number, score) for number, score in zip(*row, strict=True) if number >= 0]  # -1: no further one found
            for row in zip(numbers.tolist(), scores.tolist(), strict=True)
        ]


def _encode(encoder: Encoder, corpus: Corpus, file: Path, bar: Bar) -> np.ndarray:
    """(documents, dimension), float32, on disk."""
    from numpy.lib.format import open_memmap

    vectors = open_memmap(file, "w+", "float32", (len(corpus), encoder.dimension))
    texts = (PASSAGE + text for text in corpus.texts())
    done = 0
    with bar("encoding passages") as progress:
        while batch := list(islice(texts, BATCH)):
            vectors[done : done + len(batch)] = encoder.encode(batch)
            done += len(batch)
            progress(done, len(corpus))
    return vectors


def _encoder(model: str | None, settings: Settings) -> Encoder:
    if model is None:
        raise _no_model()
    return Encoder(model, settings.device or "cpu")


def _no_model() -> ModelError:
    return ModelError("dense retrieval needs its encoder: name it with --model, such as intfloat/e5-base-v2")
