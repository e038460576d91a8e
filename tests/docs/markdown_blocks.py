"""Fenced blocks of the documentation, each with the directive before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!--[ ]*(?P<directive>(?:run|slow|file)\b[^>]*?)[ ]*-->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    directive: str | None
    """``run``; ``slow: what runs it``; ``file: name``."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Commands after ``$``, each with the output lines that the page shows."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, m.start("language")) + 1, m["language"], m["directive"], m["text"])
        for m in _BLOCK.finditer(text)
    ]
