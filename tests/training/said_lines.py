"""A listener that keeps what the user would be told."""

from __future__ import annotations

from sdar_cli.training.events import Listener


class Lines(Listener):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)
