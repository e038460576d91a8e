"""Vector indexes in faiss's own files: built here, or by anyone else for the same corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable, open_regular

INDEX_TYPES = ("flat", "hnsw")
LINKS = 64
"""HNSW's M, as in the released wiki-18 index."""
EF_CONSTRUCTION = 200
EF_SEARCH = 128
"""Candidates kept while an HNSW index is built and searched; faiss's own defaults, 40 and 16, lose more passages."""


def new_index(kind: str, dimension: int) -> Any:
    """An empty index for unit vectors, ranked by inner product."""
    import faiss

    if kind == "flat":
        return faiss.IndexFlatIP(dimension)
    index = faiss.IndexHNSWFlat(dimension, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.hnsw.efSearch = EF_SEARCH
    return index


def write_index(index: Any, file: Path) -> None:
    import faiss

    try:
        faiss.write_index(index, str(file))
    except RuntimeError as error:
        raise OSError(f"faiss: {_first(error)}") from error


def read_index(file: Path, *, in_memory: bool = False) -> Any:
    """A faiss index, its vectors mapped into memory where faiss can (flat and HNSW from faiss 1.11 on, and IVF).

    Raises:
        EnvironmentSetupError: it cannot be read, or does not rank by inner product.
    """
    import faiss

    try:
        open_regular(file).close()
        index = faiss.read_index(str(file)) if in_memory else _map(str(file))
    except Unreadable as error:
        raise EnvironmentSetupError(f"the index {file} {error}: correct --index") from None
    except OSError as error:
        raise EnvironmentSetupError(f"the index {file} cannot be read ({error.strerror}): correct --index") from error
    except RuntimeError as error:
        raise EnvironmentSetupError(
            f"{file} is damaged or no faiss index ({_first(error)}): restore it from its source, or build it again"
        ) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise EnvironmentSetupError(f"{file} does not rank by inner product: build it with METRIC_INNER_PRODUCT")
    return index


def set_ef_search(index: Any, ef_search: int) -> None:
    """
    Raises:
        EnvironmentSetupError: the index is no HNSW.
    """
    import faiss

    graph = getattr(faiss.downcast_index(index), "hnsw", None)
    if graph is None:
        raise EnvironmentSetupError("--ef-search is for HNSW indexes, and this is none: leave it out")
    graph.efSearch = ef_search


def _map(file: str) -> Any:
    import faiss

    index = faiss.read_index(file, getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
    if isinstance(index, faiss.IndexIVF):  # has its own way to be mapped
        del index
        index = faiss.read_index(file, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    return index


def _first(error: RuntimeError) -> str:
    """What faiss says, without the C++ function it says it in."""
    text = " ".join(str(error).split())
    return text.rpartition(": ")[2][:160] if "Error in" in text else text[:160]
