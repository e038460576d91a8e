"""The engines by name. A further one is a module with an ``Engine``, and a line here."""

from __future__ import annotations

from sdar_cli.retriever.bm25 import Bm25
from sdar_cli.retriever.dense import Dense
from sdar_cli.retriever.engine import Engine

ENGINES: dict[str, type[Engine]] = {engine.name: engine for engine in (Bm25, Dense)}
