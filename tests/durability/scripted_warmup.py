"""A cache of warm-ups whose trainings are a few files each, without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.training import ranks, warmup_cache
from sdar_cli.training.events import Listener
from sdar_cli.training.warmup import WarmupReport

KEY = "0123456789abcdef" * 4


class Said(Listener):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


class Warmups:
    """How often one was trained, and what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained = 0
        self.word, self.seconds = b"warm", 1.5
        self.meanwhile: Callable[[], object] = lambda: None
        self.patch = monkeypatch
        monkeypatch.setattr(ranks, "world", lambda: 1)
        monkeypatch.setattr(warmup_cache, "warmup_key", lambda *about: KEY)
        monkeypatch.setattr(warmup_cache, "_train", self._train)

    def base(self, cache: Path, said: Listener | None = None) -> warmup_cache.WarmBase:
        self.patch.setattr(warmup_cache, "cache_root", lambda: cache)
        nothing: Any = None
        return warmup_cache.warm_base(nothing, nothing, nothing, said or Said())

    def _train(self, recipe: Any, environment: Any, bank: Any, scratch: Path, listener: Listener) -> WarmupReport:
        self.trained += 1
        self.meanwhile()
        folder = scratch / "model"
        folder.mkdir()
        for name in ("model.safetensors", "tokenizer.json"):
            (folder / name).write_bytes(self.word * 30)
        return WarmupReport(folder, 3, 0, 9, 2, self.seconds, 10.0, 5.0, {}, ({"step": 1.0},))
