"""A new SQLite store for MLflow in hundredths of a second: its tables are laid out once a session and then copied.

MLflow lays them out by all migrations of its history, a second of CPU each time. What is copied is what it laid
out itself, before anything else is in it; a test that is about that step runs ``sdar`` in a process of its own.
"""

from __future__ import annotations

import fcntl
import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE = "mlflow.store.db.utils"


def install(template: Path) -> None:
    """From now on, in this process; MLflow is not imported for it."""
    sys.meta_path.insert(0, _Finder(template))


class _Finder(MetaPathFinder):
    def __init__(self, template: Path) -> None:
        self._template = template

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            module._initialize_tables = _copying(module._initialize_tables, self._template)

        spec.loader.exec_module = execute_and_patch
        return spec


def _copying(lay_out: Callable[[Any], None], template: Path) -> Callable[[Any], None]:
    def initialize_tables(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database or engine.url.database == ":memory:":
            lay_out(engine)
            return
        with template.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                lay_out(engine)
                engine.dispose()
                beside = template.with_suffix(".new")
                _copy(Path(engine.url.database), beside)
                beside.rename(template)
                return
        engine.dispose()
        _copy(template, Path(engine.url.database))

    return initialize_tables


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
