"""The generated corpus on disk: ``<cache>/search-qa/<hash>/`` holds its pages, their index and the byte offsets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import cache_root
from sdar_envs.search_qa.corpus import FILE, Corpus, Progress, index_corpus
from sdar_envs.search_qa.drafts import drafted, write_lines
from sdar_envs.search_qa.world import pages

GENERATOR = 1
"""Raised whenever the same world would get other pages or questions."""


@dataclass(frozen=True, slots=True)
class World:
    """A generated world; ``entities`` counts its countries."""

    entities: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where its corpus is or will be."""
        from sdar_envs.bm25.format import FORMAT

        content = json.dumps(asdict(self) | {"generator": GENERATOR, "index": FORMAT}, sort_keys=True)
        return cache_root() / "search-qa" / hashlib.sha256(content.encode()).hexdigest()[:16]


def generate(world: World, progress: Progress | None = None) -> Path:
    """Write the world's corpus and index it, if that is not done; returns the folder."""
    folder = world.folder
    if not folder.is_dir():
        lines = list(corpus_lines(world))
        with drafted(folder) as draft:
            write_lines(draft / FILE, lines)
            index_corpus(draft / FILE, draft, progress and (lambda done, _: progress(done, len(lines))))
    return folder


def open_generated(world: World) -> Corpus:
    """The world's corpus, made first where it is missing."""
    folder = generate(world)
    return Corpus(folder / FILE, folder)


def export(world: World, file: Path) -> int:
    """Write the corpus as JSON lines, for a retrieval server; returns the number of documents."""
    lines = list(corpus_lines(world))
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_lines(draft, lines)
        os.replace(draft, file)
    except OSError as error:
        raise EnvironmentSetupError(
            f"the corpus cannot be written to {file} ({error.strerror}): name another file"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return len(lines)


def corpus_lines(world: World) -> Iterator[str]:
    """The corpus in Search-R1's format."""
    for number, (title, text) in enumerate(pages(world.entities, world.seed)):
        yield json.dumps({"id": str(number), "contents": f'"{title}"\n{text}'})
