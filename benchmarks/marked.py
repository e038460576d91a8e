"""What a program writes into a page, between two marks that name the program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path


def embed(page: Path, name: str, text: str) -> None:
    """Write the text between the page's marks, the page replaced whole. ValueError where there are none."""
    before, _, after = _parts(page, name)
    beside = page.with_suffix(".new")
    beside.write_text(f"{before}{_begin(name)}\n\n{text.strip()}\n\n{_end(name)}{after}", encoding="utf-8")
    os.replace(beside, page)


def embedded(page: Path, name: str) -> str:
    """What stands between the marks. ValueError where there are none."""
    return _parts(page, name)[1].strip()


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _begin(name: str) -> str:
    return f"<!-- begin: {name} -->"


def _end(name: str) -> str:
    return f"<!-- end: {name} -->"


def _parts(page: Path, name: str) -> tuple[str, str, str]:
    before, begin, rest = page.read_text(encoding="utf-8").partition(_begin(name))
    inside, end, after = rest.partition(_end(name))
    if not (begin and end):
        raise ValueError(f"{page} lacks the marks {_begin(name)} and {_end(name)}: put them where the tables belong")
    return before, inside, after
