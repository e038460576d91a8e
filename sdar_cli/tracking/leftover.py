"""What a run that is over could not send: found in its folder, and sent.

Whoever sends from a folder holds its lock: a training that of the run (and with it ``RUN/tracking``), an evaluation
that of the folder in there which it made for itself, and ``sdar runs send`` one after the other.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sdar_cli.errors import RunError
from sdar_cli.reading import Unreadable, open_regular
from sdar_cli.runs.disk import disk
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking import late
from sdar_cli.tracking.spool_file import FILE, SENT
from sdar_cli.tracking.write import parse, read_number

FOLDER = "tracking"
"""Of a run: its training's writes; those of later evaluations have folders in it."""
_LATER = "evaluation-"
LARGEST_HEAD = 1 << 26
"""Bytes of a spool's first line."""


@contextmanager
def later(run: RunFolder) -> Iterator[Path]:
    """A fresh folder for the writes of one evaluation of a run, which is removed if all of them have arrived."""
    folder = run.path / FOLDER / f"{_LATER}{secrets.token_hex(4)}"
    with disk(run.path, "what MLflow is to be sent"):
        folder.mkdir(parents=True)
    with RunLock(folder):
        try:
            yield folder
        finally:
            if not count(folder):
                shutil.rmtree(folder, ignore_errors=True)


def waiting(run: RunFolder) -> int:
    """Writes that MLflow lacks and nobody is sending."""
    return sum(count(folder) for folder in _folders(run) if not _is_held(run, folder))


def send(run: RunFolder, say: Callable[[str], None]) -> tuple[int, int]:
    """Send what waits; returns how many writes arrived, and how many the store still lacks.

    Raises:
        RunError: the run is at work, and sends by itself; or it was never tracked.
    """
    uri = run.state.tracking_uri
    if uri is None or (run.state.mlflow_run_id is None and not _folders(run)):
        raise RunError(f"the run {run.name} has no MLflow run: it ended before it made one")
    there, left, is_away = 0, 0, False
    with run.lock():
        for folder in _folders(run):
            run_id = run.state.mlflow_run_id or ""
            if folder.name != FOLDER and _is_held(run, folder):
                say(f"an evaluation of {run.name} is at work, and sends by itself")
                continue
            if is_away:
                found = missing = count(folder)
            elif folder.name == FOLDER:
                found, missing, new = _send(folder, uri, run_id, say)
                if new and not run_id:
                    run.update(mlflow_run_id=new)
            else:
                with _held(folder) as is_there:
                    found, missing, _ = _send(folder, uri, run_id, say) if is_there else (0, 0, "")
                    if not missing:
                        shutil.rmtree(folder, ignore_errors=True)
            there, left = there + found, left + missing
            is_away = is_away or _unsent(folder) > 0  # what is put aside alone holds up no others
    return there - left, left


def _send(folder: Path, uri: str, run_id: str, say: Callable[[str], None]) -> tuple[int, int, str]:
    """How many writes waited in a folder, how many wait there now, and the MLflow run's id, which may be new."""
    from sdar_cli.tracking.outbox import Spooled
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.sender import UNHURRIED

    waited = count(folder)
    if not waited:
        return 0, 0, run_id
    import_mlflow()
    outbox = Spooled(folder, uri, run_id, say, home=folder.parent, remedy="do this again when it is there")
    outbox.start()
    left = outbox.finish(patience=UNHURRIED)
    return waited, left, outbox.run_id


def count(folder: Path) -> int:
    """Writes that wait in a folder, those put aside included."""
    return sum(_unsent(one) for one in (folder, folder / late.FOLDER))


def _folders(run: RunFolder) -> list[Path]:
    home = run.path / FOLDER
    return [file.parent for file in (home / FILE, *sorted(home.glob(f"{_LATER}*/{FILE}"))) if file.is_file()]


def _is_held(run: RunFolder, folder: Path) -> bool:
    try:
        return (run.lock() if folder.name == FOLDER else RunLock(folder)).is_held()
    except RunError:
        if folder.is_dir():
            raise
        return False


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """An evaluation's folder, locked; False where that evaluation has removed it meanwhile."""
    with ExitStack() as lock:
        try:
            lock.enter_context(RunLock(folder))
        except RunError:
            if folder.is_dir():
                raise
        yield folder.is_dir()


def made(run: Path) -> str | None:
    """The id of a run's MLflow run where that was made, which ``run.json`` may not say yet."""
    try:
        with open_regular(run / FOLDER / FILE) as file:
            head = parse(file.readline(LARGEST_HEAD))
    except (Unreadable, OSError):
        return None
    return None if head is None or "spool" not in head else head["run"] or None


def _unsent(folder: Path) -> int:
    sent = read_number(folder / SENT)
    try:
        with open_regular(folder / FILE) as file:
            return sum(entry.get("n", 0) > sent for text in file if (entry := parse(text)) is not None)
    except (Unreadable, OSError):
        return 0
