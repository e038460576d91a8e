"""What a run that is over could not send: found in its folder, and sent."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from sdar_cli.errors import RunError
from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.spool import FILE, SENT
from sdar_cli.tracking.write import parse, read_number

FOLDER = "tracking"
"""Of a run: its training's writes; those of later evaluations have folders in it."""
_LATER = "evaluation-"


def later(run: RunFolder) -> Path:
    """A fresh folder for the writes of one evaluation of a run."""
    return run.path / FOLDER / f"{_LATER}{secrets.token_hex(4)}"


def clear(folder: Path) -> None:
    """Remove what ``later`` gave, when all of it has arrived."""
    if folder.name.startswith(_LATER):
        shutil.rmtree(folder, ignore_errors=True)


def waiting(run: RunFolder) -> int:
    """Writes that MLflow lacks."""
    return sum(map(_count, _folders(run)))


def send(run: RunFolder, say: Callable[[str], None]) -> tuple[int, int]:
    """Send what waits; returns how many writes arrived, and how many the store still lacks.

    Raises:
        RunError: the run is at work, and sends by itself; or it was never tracked.
    """
    from sdar_cli.tracking.outbox import Spooled
    from sdar_cli.tracking.quiet import import_mlflow

    state = run.state
    if state.mlflow_run_id is None or state.tracking_uri is None:
        raise RunError(f"the run {run.name} has no MLflow run: it ended before it made one")
    there = left = 0
    with run.lock():
        for folder in _folders(run):
            if count := _count(folder):
                import_mlflow()
                home = folder.parent
                again = "do this again when it is there"
                outbox = Spooled(folder, state.tracking_uri, state.mlflow_run_id, say, home=home, remedy=again)
                outbox.start()
                missing = outbox.finish()
                there, left = there + count, left + missing
                if missing:
                    break
            clear(folder)
    return there - left, left


def _folders(run: RunFolder) -> list[Path]:
    home = run.path / FOLDER
    return [file.parent for file in (home / FILE, *sorted(home.glob(f"{_LATER}*/{FILE}"))) if file.is_file()]


def _count(folder: Path) -> int:
    sent = read_number(folder / SENT)
    try:
        with open_regular(folder / FILE) as file:
            return sum(entry.get("n", 0) > sent for text in file if (entry := parse(text)) is not None)
    except (Unreadable, OSError):
        return 0
