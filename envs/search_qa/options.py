"""What a recipe may set under ``environment.options`` of Search-QA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sdar_envs.base import Options
from sdar_envs.search_qa import official
from sdar_envs.search_qa.client import ServerSettings
from sdar_envs.search_qa.corpus import FILE
from sdar_envs.search_qa.generated import World
from sdar_envs.search_qa.world import MOST_ISLANDS, TEST_SHARE

PATH = "/retrieve"
"""Where a Search-R1 server listens."""
DEFAULT_URL = f"http://127.0.0.1:8000{PATH}"


class SearchQaOptions(Options):
    beside_tasks: ClassVar[frozenset[str]] = frozenset(
        {"data", "retriever", "urls", "dialect", "timeout", "tries", "connections", "brief"}
    )
    only_where: ClassVar[Mapping[str, tuple[str, str]]] = dict.fromkeys(
        ("entities", "seed", "train", "test"), ("questions", "generated")
    )

    questions: Literal["official", "generated"] = "official"
    data: str | None = None
    """Official questions: the folder that holds ``train.parquet`` and ``test.parquet``; null: ``SDAR_SEARCH_QA``."""
    retriever: Literal["bm25", "http"] | None = None
    """``http``: servers, the default for official questions. ``bm25``: an index in this process, the default for
    generated ones; with official questions it is over ``corpus.jsonl`` in the data folder."""
    urls: Annotated[list[str], Field(min_length=1)] = [DEFAULT_URL]
    """Retrieval servers, asked in turn."""
    topk: Annotated[int, Field(ge=1, le=100)] = 3
    """Documents that a search returns."""
    max_searches: Annotated[int, Field(ge=1)] = 3
    """Turns that may search, invalid ones counted too; a search on a later turn is not made, and ends the episode."""
    dialect: Literal["query", "queries"] = "query"
    """Of the servers: one query in a request, as the released scripts ask, or a list, as Search-R1's own server
    wants."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds for one try; ``ServerSettings`` says of what."""
    tries: Annotated[int, Field(ge=1)] = 10
    """For one search, before the episode is given up."""
    connections: Annotated[int, Field(ge=1)] = 16
    """Most requests of this process under way at once."""
    brief: bool = False
    """Prompts in very few words, for a tiny model whose tokens are words."""
    entities: Annotated[int, Field(ge=TEST_SHARE, le=MOST_ISLANDS)] = 40
    """Generated questions: countries of the world, each with 24 pages beside its own; a fifth is held out."""
    seed: int = 0
    """Generated questions: the seed of the world."""
    train: Annotated[int, Field(ge=1)] = 1024
    """Generated questions: how many to train on."""
    test: Annotated[int, Field(ge=1)] = 256
    """Generated questions: how many are held out."""

    @field_validator("urls")
    @classmethod
    def _web_addresses(cls, urls: list[str]) -> list[str]:
        return [_endpoint(url) for url in urls]

    @model_validator(mode="after")
    def _one_source(self) -> SearchQaOptions:
        if self.data is not None and self.questions == "generated":
            raise ValueError("data holds official questions: set questions=official, or leave data out")
        return self

    @property
    def world(self) -> World:
        return World(self.entities, self.seed)

    @property
    def source(self) -> World | ServerSettings | Path:
        """What is searched."""
        if (self.retriever or ("http" if self.questions == "official" else "bm25")) == "http":
            return ServerSettings(tuple(self.urls), self.dialect, self.timeout, self.tries, self.connections)
        return self.world if self.questions == "generated" else official.data_folder(self.data) / FILE


def _endpoint(url: str) -> str:
    """A server's address with the protocol's path where it has none; ValueError when it is no web address."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or any(character.isspace() for character in url):
        raise ValueError(f"{url!r} is no web address: write it as {DEFAULT_URL}")
    return parts._replace(path=PATH).geturl() if parts.path in ("", "/") else url
