"""What may go with time: old checkpoints of runs that are over, and old traces in MLflow."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sdar_cli.errors import RunError, UserError
from sdar_cli.runs.checkpoints import Checkpoints
from sdar_cli.runs.listing import OVER, Listed, list_all
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.store import RunFolder
from sdar_cli.runs.trash import empty, set_aside, size_of

UNITS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
PAGE = 500
"""Traces a call of MLflow's search."""
BATCH = 100
"""Traces a call of MLflow's deletion, which takes a transaction each."""


@dataclass(frozen=True, slots=True)
class OldCheckpoints:
    run: Listed
    folders: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        return sum(map(size_of, self.folders))


@dataclass(frozen=True, slots=True)
class OldTraces:
    uri: str
    experiment_id: str
    experiment: str
    before_ms: int
    """Milliseconds since the epoch."""
    count: int


def seconds(text: str, option: str) -> float:
    """``30d``, ``12h``, ``2w`` in seconds.

    Raises:
        UserError: it is no duration.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", text.strip())
    if match is None:
        raise UserError(f"{option} is {text!r}, but must be a number with h, d or w behind it, for example 30d")
    return float(match[1]) * UNITS[match[2]]


def old_checkpoints(root: Path, keep: int, older_than: float, now: float | None = None) -> list[OldCheckpoints]:
    """All but the newest ``keep`` checkpoints of the runs that ended ``older_than`` seconds ago, or before, and but
    the best that ``train.keep_best`` asks for.

    Runs that are at work, or that were interrupted and may go on, keep theirs.
    """
    latest = (time.time() if now is None else now) - older_than
    found = []
    for run in list_all(root):
        if run.status not in OVER or run.status == "interrupted" or (run.ended or run.started) > latest:
            continue
        checkpoints = Checkpoints(run.folder)
        kept = checkpoints.kept(keep, _keep_best(run.folder))
        if folders := tuple(one.path for one in checkpoints.whole() if one not in kept):
            found.append(OldCheckpoints(run, folders))
    return found


def _keep_best(folder: Path) -> int:
    """As the run's recipe has it; 0 where it cannot be read, or is older than the key."""
    try:
        told = RunFolder(folder).state.settings["train"]["keep_best"]
    except (RunError, LookupError, TypeError):
        return 0
    return told if type(told) is int else 0


def remove_checkpoints(old: Sequence[OldCheckpoints], root: Path, tick: Callable[[], None] = lambda: None) -> int:
    """Remove them; returns the bytes that were freed. A run that has begun to work since keeps all."""
    freed = 0
    for one in old:
        with suppress(RunError), RunLock(one.run.folder):
            for folder in one.folders:
                size = size_of(folder)
                set_aside(folder, root.absolute())
                freed += size
        tick()
    empty(root.absolute())
    return freed


def old_traces(root: Path, older_than: float, now: float | None = None) -> list[OldTraces]:
    """Traces of before, in the experiments that the runs of this folder went to.

    Raises:
        RunError: a store cannot be read.
    """
    from sdar_cli.tracking.location import is_missing, redact, usable
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.wire import one_line

    before = int(1000 * ((time.time() if now is None else now) - older_than))
    used = {(run.tracking_uri, run.experiment) for run in list_all(root) if run.tracking_uri and run.experiment}
    found = []
    for uri, name in sorted(used):
        if is_missing(uri):
            continue
        try:
            client = import_mlflow().MlflowClient(tracking_uri=usable(uri))
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                continue
            count = _count(client, experiment.experiment_id, before)
        except Exception as error:
            raise RunError(f"the MLflow store {redact(uri)} cannot be read ({one_line(error)}): start it") from None
        if count:
            found.append(OldTraces(uri, experiment.experiment_id, name, before, count))
    return found


def remove_traces(old: Sequence[OldTraces], tick: Callable[[int], None] = lambda count: None) -> int:
    """Delete them by MLflow's own means; returns how many there were."""
    from sdar_cli.tracking.location import usable
    from sdar_cli.tracking.quiet import import_mlflow

    total = 0
    for one in old:
        client = import_mlflow().MlflowClient(tracking_uri=usable(one.uri))
        while True:
            gone = client.delete_traces(one.experiment_id, max_timestamp_millis=one.before_ms, max_traces=BATCH)
            total += gone
            tick(gone)
            if gone < BATCH:
                break
    return total


def _count(client, experiment_id: str, before_ms: int) -> int:
    count, token = 0, None
    while True:
        page = client.search_traces(
            locations=[experiment_id],
            filter_string=f"trace.timestamp_ms <= {before_ms}",
            max_results=PAGE,
            page_token=token,
            include_spans=False,
        )
        count, token = count + len(page), page.token
        if not token:
            return count
