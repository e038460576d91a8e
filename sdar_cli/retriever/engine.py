"""What an engine is: it finds passages by their number in the corpus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sdar_cli.errors import EnvironmentSetupError

if TYPE_CHECKING:
    from sdar_cli.retriever.corpus import Corpus

Progress = Callable[[int, int], None]
"""Called with what is done and all of it."""
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Opens a progress display for a stage of the given name."""


class Hit(NamedTuple):
    document: int
    """The passage's number: its place in the corpus, from 0."""
    score: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose; each engine names the fields it reads in ``Engine.settings``."""

    model: str | None = None
    """Folder or hub id of the encoder; None: the one that the index was built with."""
    device: str | None = None
    """Of the encoder, ``cpu`` or ``cuda``; None: ``cpu``."""
    index_type: str | None = None
    """Building: ``flat`` (exact, the default) or ``hnsw``."""
    in_memory: bool = False
    """Opening: read the vectors into memory instead of mapping their file."""
    ef_search: int | None = None
    """Opening: how many candidates an HNSW search keeps; None: as the index says."""


class Engine(ABC):
    """One way to search a corpus. ``search`` may be called from several threads."""

    name: ClassVar[str]
    settings: ClassVar[frozenset[str]] = frozenset()
    """The fields of ``Settings`` that this engine reads."""
    at_once: int = 1
    """How many searches may be under way at a time; more would only compete for memory and cores."""

    @classmethod
    def check(cls, settings: Settings, *, building: bool) -> None:
        """What can be said before long work.

        Raises:
            EnvironmentSetupError: a package is missing, or a setting is not for this engine.
        """
        for field in fields(settings):
            if getattr(settings, field.name) and field.name not in cls.settings:
                option = field.name.replace("_", "-")
                raise EnvironmentSetupError(f"--{option} is not for {cls.name}: leave it out, or choose another engine")

    @classmethod
    @abstractmethod
    def build(cls, folder: Path, corpus: Corpus, settings: Settings, bar: Bar) -> Mapping[str, Any]:
        """Write the index into ``folder``, which exists; returns what ``open`` needs to know, as JSON values."""

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, facts: Mapping[str, Any], settings: Settings) -> Engine:
        """Open what ``build`` wrote.

        Raises:
            EnvironmentSetupError: it is damaged.
        """

    @abstractmethod
    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        """The best passages for each query, best first: at most ``topk``, fewer where no more were found."""

    @abstractmethod
    def __len__(self) -> int:
        """How many passages were indexed."""
