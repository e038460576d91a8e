"""Building an index in bounded memory.

Texts are read once. Their postings go to disk in runs sorted by term; when all are counted, every run is
scattered into the final arrays. In memory are one run, the vocabulary, and one byte a document.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import length_hint
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.bm25.analysis import analyse
from sdar_envs.bm25.format import write_manifest
from sdar_envs.bm25.lengths import decode, encode

RUN_POSTINGS = 1 << 22
"""Postings held in memory while reading: about 70 MB."""
REPORT_EVERY = 500
"""Documents between two reports of progress."""


def build(
    folder: Path, texts: Iterable[str], progress: Callable[[int, int], None] | None, *, k1: float, b: float
) -> None:
    """``Index.build``; the draft lies beside the folder until it is whole."""
    if not (k1 > 0 and 0 <= b <= 1):
        raise ValueError(f"BM25 needs k1 > 0 and b from 0 to 1, not {k1} and {b}")
    if folder.exists():
        raise EnvironmentSetupError(f"{folder} is there already: remove it, or build the index elsewhere")
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        reader = _Reader(draft)
        total = length_hint(texts)
        for done, text in enumerate(texts, start=1):
            reader.add(analyse(text))
            if progress is not None and (done % REPORT_EVERY == 0 or done == total):
                progress(done, total)
        with _writing(folder):
            reader.write(k1, b)
            draft.chmod(0o755)
            os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentSetupError(
            f"the index {folder} cannot be written ({error.strerror}): free space there, or name another folder"
        ) from error


class _Reader:
    """What is known after some texts: vocabulary, lengths, and the run of postings that is not on disk yet."""

    def __init__(self, draft: Path) -> None:
        self.draft = draft
        self.numbers: dict[str, int] = {}
        """Term → number in order of first appearance."""
        self.norms = bytearray()
        self.tokens = 0
        self.counts = np.zeros(0, np.int64)
        """Postings on disk by term number."""
        self.runs = 0
        self._first = 0
        self._clear()

    def _clear(self) -> None:
        self._terms, self._frequencies, self._per_document = array("i"), array("i"), array("i")
        self._first = len(self.norms)

    def add(self, terms: list[str]) -> None:
        frequencies = Counter(terms)
        numbers = self.numbers
        self._terms.extend([numbers.setdefault(term, len(numbers)) for term in frequencies])
        self._frequencies.extend(frequencies.values())
        self._per_document.append(len(frequencies))
        self.norms.append(encode(len(terms)))
        self.tokens += len(terms)
        if len(self._terms) >= RUN_POSTINGS:
            with _writing(self.draft):
                self._spill()

    def _spill(self) -> None:
        """Put the run on disk, sorted by term; documents stay in order within a term."""
        terms = np.frombuffer(self._terms, np.int32) if self._terms else np.zeros(0, np.int32)
        frequencies = np.frombuffer(self._frequencies, np.int32) if self._terms else terms
        documents = np.repeat(
            np.arange(self._first, len(self.norms), dtype=np.int32), np.array(self._per_document, np.int64)
        )
        order = np.argsort(terms, kind="stable")
        counts = np.bincount(terms, minlength=len(self.numbers))
        for name, values in (
            ("documents", documents[order]),
            ("frequencies", frequencies[order]),
            ("counts", counts),
        ):
            np.save(self.draft / f"run-{self.runs}-{name}.npy", values)
        counts[: len(self.counts)] += self.counts
        self.counts = counts
        self.runs += 1
        self._clear()

    def write(self, k1: float, b: float) -> None:
        """The final files, from the runs."""
        self._spill()
        terms = sorted((term.encode(), number) for term, number in self.numbers.items())
        order = np.array([number for _, number in terms], np.int64)
        starts = np.concatenate([[0], np.cumsum(self.counts[order])])
        cursors = np.empty(len(terms), np.int64)
        cursors[order] = starts[:-1]
        self._write_vocabulary([term for term, _ in terms])
        np.save(self.draft / "starts.npy", starts)
        with_terms = len(self.norms) - self.norms.count(0)
        self._scatter(cursors, int(starts[-1]), inverse_norms(k1, b, self.tokens, with_terms))
        write_manifest(
            self.draft,
            {
                "documents": len(self.norms),
                "documents_with_terms": with_terms,
                "terms": len(terms),
                "postings": int(starts[-1]),
                "k1": k1,
                "b": b,
            },
        )

    def _write_vocabulary(self, terms: list[bytes]) -> None:
        (self.draft / "terms.bin").write_bytes(b"".join(terms))
        np.save(self.draft / "term_starts.npy", np.cumsum([0, *map(len, terms)], dtype=np.int64))

    def _scatter(self, cursors: np.ndarray, postings: int, inverse: np.ndarray) -> None:
        """Every run's postings to their places; ``cursors`` says where each term goes on."""
        out = [
            np.lib.format.open_memmap(self.draft / name, "w+", dtype, (postings,))
            for name, dtype in (("documents.npy", np.int32), ("divisors.npy", np.float32))
        ]
        inverse_by_document = np.frombuffer(self.norms, np.uint8)
        for run in range(self.runs):
            files = [self.draft / f"run-{run}-{name}.npy" for name in ("documents", "frequencies", "counts")]
            documents, frequencies, counts = (np.load(file) for file in files)
            firsts = np.cumsum(counts) - counts
            places = np.arange(len(documents)) + np.repeat(cursors[: len(counts)] - firsts, counts)
            out[0][places] = documents
            norms = inverse[inverse_by_document[documents]]
            out[1][places] = np.float32(1) + frequencies.astype(np.float32) * norms
            cursors[: len(counts)] += counts
            for file in files:
                file.unlink()
        for values in out:
            values.flush()


def inverse_norms(k1: float, b: float, tokens: int, documents: int) -> np.ndarray:
    """float32 (256,): 1 / (k1 (1 - b + b · length / mean length)) by the code of a length."""
    one, k1_, b_ = np.float32(1), np.float32(k1), np.float32(b)
    mean = np.float32(tokens / documents) if documents else one
    lengths = np.array([decode(code) for code in range(256)], np.float32)
    lengths[0] = 1  # without a term there is no posting that asks for it
    return one / (k1_ * ((one - b_) + b_ * lengths / mean))
