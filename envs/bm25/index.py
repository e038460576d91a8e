"""An index to search, by BM25 as Lucene 8 and 9 compute it.

A document scores, for every term of the query, idf · f / (f + k1 (1 - b + b · length / mean length)), where f is the
term's frequency in it, length the number of its terms as one byte keeps it (``lengths.py``), and
idf = ln(1 + (N - d + 0.5) / (d + 0.5)) for d of the N documents that have terms. Parts are 32-bit floats, written
w - w / (1 + f / norm) with w = idf times the term's count in the query; their sum is taken in 64 bits.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.reading import Unreadable
from sdar_envs.bm25.analysis import analyse
from sdar_envs.bm25.building import build
from sdar_envs.bm25.format import Manifest, check_contents, open_array, read_manifest


@dataclass(frozen=True, slots=True)
class Hit:
    document: int
    """Its place in the texts that were indexed, from 0."""
    score: float


class Index:
    """A built index, memory-mapped. Any number of threads may search it; processes share its pages."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            EnvironmentSetupError: the folder holds no whole index.
        """
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        counts = self.manifest
        try:
            self._documents = open_array(folder / "documents.npy", np.int32, counts.postings)
            self._divisors = open_array(folder / "divisors.npy", np.float32, counts.postings)
            self._starts = open_array(folder / "starts.npy", np.int64, counts.terms + 1)
            self._term_starts = open_array(folder / "term_starts.npy", np.int64, counts.terms + 1)
            self._terms = np.zeros(0, np.uint8)
            if counts.terms:
                self._terms = np.memmap(folder / "terms.bin", np.uint8, "r").view(np.ndarray)
            if (self._starts[-1], self._term_starts[-1]) != (counts.postings, len(self._terms)):
                raise ValueError("its files do not go together")
        except (OSError, ValueError, Unreadable) as error:
            raise EnvironmentSetupError(f"the index in {folder} is damaged ({error}): build the index again") from None
        self._place = lru_cache(maxsize=1 << 16)(self._find)

    @staticmethod
    def build(
        folder: Path,
        texts: Iterable[str],
        progress: Callable[[int, int], None] | None = None,
        *,
        k1: float = 0.9,
        b: float = 0.4,
    ) -> None:
        """Index ``texts`` into ``folder``, which appears complete or not at all; memory does not grow with them
        but for their vocabulary and a byte each. ``progress`` gets (done, all), all 0 where it is not known."""
        build(folder, texts, progress, k1=k1, b=b)

    @classmethod
    def open(cls, folder: Path) -> Index:
        """
        Raises:
            EnvironmentSetupError: the folder holds no whole index.
        """
        return cls(folder)

    def __len__(self) -> int:
        return self.manifest.documents

    def check(self) -> None:
        """Read all of it and compare with the hashes it was written with.

        Raises:
            EnvironmentSetupError: a file has changed.
        """
        check_contents(self.folder, self.manifest)

    def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best documents, best first, equal ones by their number; none for words that no text has.

        A term that the query repeats counts as often.

        Raises:
            EnvironmentSetupError: what the index holds contradicts itself.
        """
        try:
            return self._search(query, k)
        except (IndexError, ValueError, OverflowError) as error:
            raise EnvironmentSetupError(
                f"the index in {self.folder} is damaged (a search fails: {error}): build the index again"
            ) from None

    def _search(self, query: str, k: int) -> list[Hit]:
        postings = []
        for term, times in Counter(analyse(query)).items():
            place = self._place(term.encode())
            if place is not None:
                postings.append((*self._postings(place), np.float32(times)))
        if not postings or k < 1:
            return []
        scores = np.zeros(self.manifest.documents, np.float64)
        for documents, divisors, idf, times in postings:
            weight = times * idf
            scores[documents] += weight - weight / divisors
        found = np.flatnonzero(scores)
        values = scores[found].astype(np.float32)
        if len(found) > k:
            least = np.partition(values, len(values) - k)[len(values) - k]
            kept = values >= least
            found, values = found[kept], values[kept]
        best = np.argsort(-values, kind="stable")[:k]
        return [Hit(int(found[place]), float(values[place])) for place in best]

    def _find(self, term: bytes) -> int | None:
        """The place of a term among the sorted terms."""
        place = bisect_left(range(self.manifest.terms), term, key=self._term)
        return place if place < self.manifest.terms and self._term(place) == term else None

    def _term(self, place: int) -> bytes:
        return self._terms[self._term_starts[place] : self._term_starts[place + 1]].tobytes()

    def _postings(self, place: int) -> tuple[np.ndarray, np.ndarray, np.float32]:
        """Documents, divisors and inverse document frequency of a term."""
        start, end = int(self._starts[place]), int(self._starts[place + 1])
        count = end - start
        idf = np.float32(math.log(1 + (self.manifest.documents_with_terms - count + 0.5) / (count + 0.5)))
        return self._documents[start:end], self._divisors[start:end], idf
