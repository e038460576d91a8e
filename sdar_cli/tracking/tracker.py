"""One MLflow run: parameters, metrics, artifacts, evaluations and traces, in any MLflow store.

    tracker = Tracker.start("sqlite:///runs/mlflow.db", "quickstart", "quickstart-1", yaml, params, spool=folder)
    tracker.metrics(1, {"rollout/success": 0.25})
    tracker.finish("FINISHED")

Writes are put down in the spool and sent by a thread of their own (see spool.py, sender.py), so that a store that is
away stops nothing. A server that is away when a run begins is waited for some seconds, and the run made there later,
by the first write that arrives; a SQLite file that cannot be used then stops the run with a sentence.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sdar_cli.errors import RunFailed, SdarError, without_credentials
from sdar_cli.stop import LAST_WORDS, STOP
from sdar_cli.tracking import dataset, tables
from sdar_cli.tracking.creation import beginning, create, creation, tag
from sdar_cli.tracking.delivery import Delivery, within
from sdar_cli.tracking.known import REPLAYED, Known, ranges
from sdar_cli.tracking.location import is_elsewhere, redact
from sdar_cli.tracking.outbox import AtOnce, Outbox, Spooled
from sdar_cli.tracking.quiet import import_mlflow
from sdar_cli.tracking.registry import Version
from sdar_cli.tracking.spool import CREATE, LIMIT
from sdar_cli.tracking.system import SystemMonitor, check_settings
from sdar_cli.tracking.traces import Signals, build_trace, choose
from sdar_cli.tracking.wire import clean, metric_name, one_line
from sdar_cli.tracking.write import Write

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sdar_cli.evaluation.panel import Panel
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.rollout.episode import Episode

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """Made by ``start``; writes from one thread of the main process, and from the one that measures its load."""

    def __init__(
        self,
        client: MlflowClient | None,
        uri: str,
        run_id: str,
        say: Callable[[str], None],
        outbox: Outbox | None = None,
        home: Path | None = None,
        salt: str = "",
    ) -> None:
        self._outbox = outbox or AtOnce(Delivery(uri, run_id, client=client), say)
        self._home = home
        self._salt = salt if outbox is not None else secrets.token_hex(8)
        self._monitor: SystemMonitor | None = None
        self._version: dict[str, Any] | None = None
        self._note: Callable[[str], None] | None = None
        self._run_id = run_id
        self._token = secrets.token_hex(16)
        self.skipped = 0
        """Metric values that were not finite, and hence not sent."""

    @property
    def run_id(self) -> str:
        """Empty as long as the store was away since the run began."""
        return self._run_id or self._outbox.run_id

    @classmethod
    def start(
        cls,
        uri: str,
        experiment: str,
        run_name: str,
        recipe_yaml: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        system_metrics: bool = False,
        spool: Path | None = None,
        limit: int = LIMIT,
        remedy: str = "",
        salt: str = "",
        before: Callable[[], Known] = Known,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> Self:
        """Open a run, or go on with ``run_id``; ``parent`` shows it below another run.

        Args:
            params: flat (dotted key → value); a resumed run keeps those that it has.
            spool: a folder within the run's, in which writes wait; without one they are written at once.
            limit: bytes that may wait there.
            remedy: what sends later what waits when the run ends.
            before: what the store has of ``run_id`` already, where there is no spool yet (earlier.py).
            salt: tells episodes from those of the same step that the run's training wrote.
            say: gets a sentence about each later problem.

        Raises:
            RunError: a variable of MLflow's says nothing that the load can be measured by; no run was made.
            RunFailed: the store cannot be used (of one elsewhere, for a run with a spool: it says no to the run); or
                the disk is full.
        """
        import_mlflow()
        if system_metrics:
            check_settings()
        first = beginning(tags or {}, params, recipe_yaml)
        made = creation(experiment, run_name, tags or {}, parent)
        is_later = run_id is None and spool is not None and is_elsewhere(uri)
        if (run_id is None and not is_later) or spool is None:
            try:
                deliver = Delivery(uri, run_id or "")
                deliver.run_id = run_id = run_id or create(deliver.make(), uri, made)
                for kind, _, content in first:
                    deliver(Write(0, kind, int(1000 * time.time()), content))
            except Exception as error:
                raise _unusable(uri, error) from error
            first = []
        if spool is None:
            tracker = cls(None, uri, run_id or "", say)
        else:
            home = spool.absolute().parent
            outbox = Spooled(spool, uri, run_id or "", say, home=home, limit=limit, remedy=remedy, before=before)
            tracker = cls(None, uri, run_id or "", say, outbox, home, salt)
            if not outbox.run_id:
                tracker._put(CREATE, made, key=CREATE)
            for kind, key, content in first:
                tracker._put(kind, content, key=key)
            outbox.start()
            if not outbox.run_id and (error := outbox.wait_for_run()) is not None:
                raise _unusable(uri, error) from error
        if system_metrics:
            tracker._watch_system()
        return tracker

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Send one step's metrics; values that are not finite are left out and counted.

        Of each metric and step the first value counts: a step that is played again after a restart is not sent again,
        and the run's tag ``sdar.replayed`` names it.
        """
        self._tell_made()
        if self._is_known(step, values):
            self.tag(REPLAYED, ranges(self._outbox.replay(step)))

    def _is_known(self, step: int, values: Mapping[str, float]) -> bool:
        """Put values down; whether each was there before."""
        finite = {metric_name(name): float(value) for name, value in values.items() if math.isfinite(value)}
        self.skipped += sum(not math.isfinite(value) for value in values.values())
        return self._outbox.metrics(step, finite) == 0 and bool(finite)

    def artifact_text(self, path: str, text: str) -> None:
        """Save a text as an artifact of this path."""
        self._put("text", {"path": path, "text": text}, key=f"text/{path}")

    def artifact_file(self, file: Path, folder: str | None = None) -> None:
        """Save a file, or a folder with all it holds, as an artifact (within ``folder`` of the artifacts)."""
        self._put("file", {"path": within(file, self._home), "folder": folder})

    def evaluation(self, evaluation: Evaluation) -> None:
        """Send the numbers, at the evaluation's step (0: the base); save it as JSON, its episodes as CSV and table."""
        self._is_known(evaluation.step or 0, evaluation.metrics())
        name = f"evaluations/{evaluation.name}"
        table = tables.of_evaluation(evaluation)
        self.artifact_text(f"{name}.json", json.dumps(evaluation.to_json(), indent=1))
        self.artifact_text(f"{name}.csv", table.csv)
        self.table(table)

    def table(self, table: tables.Table) -> None:
        """Save a table that MLflow shows as one; a table of the same name is replaced."""
        self._put("table", {"path": table.path, "text": table.text}, key=f"text/{table.path}")

    def panel(self, panel: Panel, file: Path) -> None:
        """Name the panel as the dataset that the run is evaluated on; once is enough, twice is the same."""
        self._put("panel", dataset.of_panel(panel, file), key="panel")

    def describe(self, markdown: str) -> None:
        """Set our part of the run's description; what a person wrote around it is kept."""
        self._put("description", {"markdown": clean(without_credentials(markdown))}, key="description")

    def register(self, version: Version) -> None:
        """Make a checkpoint a version of a registered model, once a run and step: when the run is finished, as a
        registry that fails shall not keep the run open."""
        self._version = {
            "name": version.name,
            "checkpoint": within(version.checkpoint, self._home),
            "step": version.step,
            "recipe_yaml": without_credentials(version.recipe_yaml),
            "description": without_credentials(version.description),
            "tags": dict(version.tags),
            "metrics": dict(version.metrics),
        }

    def episodes(
        self,
        step: int,
        episodes: Sequence[Episode],
        mode: str,
        signals: Signals | None = None,
        limit: int | None = None,
    ) -> int:
        """Write episodes as traces of this run, at most ``limit`` of them; returns how many.

        ``mode`` is ``train``, ``no_skills`` or ``skills``; ``signals`` are keyed by position in ``episodes``. Those of
        a step that is played again are not written again.
        """
        built = [
            build_trace(
                episodes[position],
                run=self.run_id or self._token,
                step=step,
                mode=mode,
                position=position,
                signals=signals,
                salt=self._salt,
            )
            for position in choose(episodes, limit)
        ]
        if built:
            self._outbox.traces(f"traces/{mode}/{step}", built)
        return len(built)

    def warm_up(self, content: Mapping[str, Any]) -> None:
        """Write a warm-up as a run of its own, once a store (see warmup.py)."""
        self._put("warmup", content, key=f"warmup/{content['key']}", once=True)

    def tag(self, key: str, value: str) -> None:
        self._put("tag", tag(key, value), key=f"tag/{key}")

    def untag(self, key: str) -> None:
        """Remove a tag; one that is not there is no mistake."""
        self._put("untag", {"key": key}, key=f"tag/{key}")

    def on_made(self, note: Callable[[str], None]) -> None:
        """``note`` gets the run's id at the first ``metrics``, ``sync`` or ``close`` by which it is known."""
        self._note = note

    def _tell_made(self) -> None:
        if self._note is not None and self.run_id:
            self._note(self.run_id)
            self._note = None

    def sync(self) -> None:
        """Put on the disk itself what waits for the store, as a checkpoint is about to be."""
        self._outbox.sync()
        self._tell_made()

    def finish(self, status: Status = "FINISHED", seconds: float | None = None) -> int:
        """Close the run, and wait while the store takes what it lacks; returns how many writes it still lacks.

        Args:
            seconds: longest wait; None: while writes arrive. A process that was asked to leave waits seconds.
        """
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
        self._put("end", {"status": status}, key="state")
        if self._version is not None:
            self._put("version", self._version, key=f"version/{self._version['step']}", once=True)
        return self.close(LAST_WORDS if seconds is None and status == "KILLED" else seconds)

    def close(self, seconds: float | None = None) -> int:
        """As ``finish``, but leave the run as it is."""
        if STOP.asked:
            seconds = STOP.left(LAST_WORDS if seconds is None else seconds)
        left = self._outbox.finish(seconds)
        self._tell_made()
        return left

    def _put(self, kind: str, content: Mapping[str, Any], *, key: str | None = None, once: bool = False) -> None:
        self._outbox.put(kind, content, key=key, once=once)

    def _watch_system(self) -> None:
        def put(step: int, values: Mapping[str, float]) -> None:
            with suppress(SdarError):  # of a disk, of which training hears by itself
                self._is_known(step, values)

        self._monitor = SystemMonitor(self._outbox.next_system_step, put)
        self._monitor.start()


def _unusable(uri: str, error: Exception) -> RunFailed:
    store, why = redact(uri), one_line(error)
    return RunFailed(f"the MLflow store {store} cannot be used ({why}): start it, or set tracking.uri to another one")
