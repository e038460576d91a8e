"""One MLflow run: parameters, metrics, artifacts, evaluations and traces, in any MLflow store.

    tracker = Tracker.start("sqlite:///runs/mlflow.db", "quickstart", "quickstart-1", yaml, params)
    tracker.metrics(1, {"rollout/success": 0.25})
    tracker.finish("FINISHED")

A store that cannot be reached stops the run at the start, with a sentence. Later it does not: writes
wait and are tried again (see outbox.py), since ``metrics.jsonl`` holds the same numbers.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import posixpath
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sdar_cli.errors import RunFailed
from sdar_cli.tracking.location import ARTIFACTS, redact, sqlite_file
from sdar_cli.tracking.outbox import Outbox, one_line
from sdar_cli.tracking.quiet import import_mlflow
from sdar_cli.tracking.traces import Signals, build_trace, choose

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.rollout.episode import Episode

Status = Literal["FINISHED", "FAILED", "KILLED"]

PARAM_LIMIT = 500
"""Characters of a parameter that every supported MLflow server accepts; the recipe holds the whole."""
METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100


class Tracker:
    """Made by ``start``; writes from one thread of the main process."""

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, run_id: str, say: Callable) -> None:
        self._client = client
        self._uri = uri
        self._experiment_id = experiment_id
        self._outbox = Outbox(redact(uri), say, _is_refusal)
        self._monitor: Any = None
        self.run_id = run_id
        self.skipped = 0
        """Metric values that were not finite, and hence not sent."""

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
        say: Callable[[str], None] = lambda sentence: None,
    ) -> Self:
        """Open a run, or go on with ``run_id``; ``parent`` shows it below another run.

        ``params`` are flat (dotted key → value); ``say`` gets a sentence about each later problem.
        A resumed run keeps the parameters that it has. Raises RunFailed when the store cannot be used.
        """
        mlflow = import_mlflow()
        try:
            with _opening(uri):
                client = mlflow.MlflowClient(tracking_uri=uri)
                experiment_id = _experiment(client, uri, experiment) if run_id is None else ""
            if run_id is None:
                labels = {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL", **(tags or {})}
                if parent is not None:
                    labels["mlflow.parentRunId"] = parent
                run_id = client.create_run(experiment_id, run_name=run_name, tags=labels).info.run_id
                known: Mapping[str, str] = {}
            else:
                run = client.get_run(run_id)
                experiment_id, known = run.info.experiment_id, run.data.params
                client.update_run(run_id, status="RUNNING")
                for key, value in (tags or {}).items():
                    client.set_tag(run_id, key, value)
            tracker = cls(client, uri, experiment_id, run_id, say)
            tracker._log_params({key: value for key, value in params.items() if key not in known})
            client.log_text(run_id, recipe_yaml, "recipe.yaml")
        except Exception as error:
            raise RunFailed(
                f"the MLflow store {redact(uri)} cannot be used ({one_line(error)}): "
                "start it, or set tracking.uri to another one"
            ) from error
        if system_metrics:
            tracker._watch_system(resumed=bool(known))
        return tracker

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Send one step's metrics in one call; values that are not finite are left out and counted."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.skipped += len(values) - len(finite)
        entries = [Metric(metric_name(name), value, now, step) for name, value in finite.items()]
        for batch in _batches(entries, METRICS_PER_CALL):
            self._put(f"metrics of step {step}", self._client.log_batch, self.run_id, metrics=batch)

    def artifact_text(self, path: str, text: str) -> None:
        """Save a text as an artifact of this path."""
        self._put(path, self._client.log_text, self.run_id, text.encode(errors="replace").decode(), path)

    def artifact_file(self, file: Path, folder: str | None = None) -> None:
        """Save a file, or a folder with all it holds, as an artifact (within ``folder`` of the artifacts)."""
        send = self._client.log_artifacts if file.is_dir() else self._client.log_artifact
        if file.is_dir():
            folder = posixpath.join(folder or "", file.name)
        self._put(file.name, send, self.run_id, str(file), folder)

    def evaluation(self, evaluation: Evaluation) -> None:
        """Send the numbers, at the evaluation's step (0: the base); save it as JSON, its episodes as CSV."""
        self.metrics(evaluation.step or 0, evaluation.metrics())
        name = f"evaluations/{evaluation.name}"
        self.artifact_text(f"{name}.json", json.dumps(evaluation.to_json(), indent=1))
        self.artifact_text(f"{name}.csv", _table(evaluation))

    def episodes(
        self,
        step: int,
        episodes: Sequence[Episode],
        mode: str,
        signals: Signals | None = None,
        limit: int | None = None,
    ) -> int:
        """Write episodes as traces of this run, at most ``limit`` of them; returns how many.

        ``mode`` is ``train``, ``no_skills`` or ``skills``; ``signals`` are keyed by position in ``episodes``.
        """
        from mlflow.tracing.client import TracingClient

        tracing = TracingClient(self._uri)
        chosen = choose(episodes, limit)
        built = [
            build_trace(
                episodes[position],
                experiment=self._experiment_id,
                run=self.run_id,
                step=step,
                mode=mode,
                position=position,
                signals=signals,
            )
            for position in chosen
        ]

        def write() -> None:
            for info, _ in built:
                tracing.start_trace(info)
            tracing.log_spans(self._experiment_id, [span for _, spans in built for span in spans])

        if built:
            self._put(f"traces of step {step}", write)
        return len(built)

    def has_run(self, tags: Mapping[str, str]) -> bool:
        """Whether the experiment has a run with these tags."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return bool(self._client.search_runs([self._experiment_id], wanted, max_results=1))

    def tag(self, key: str, value: str) -> None:
        self._put(f"tag {key}", self._client.set_tag, self.run_id, key, value)

    def untag(self, key: str) -> None:
        """Remove a tag; one that is not there is no mistake."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        def write() -> None:
            try:
                self._client.delete_tag(self.run_id, key)
            except MlflowException as error:
                if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                    raise

        self._put(f"the end of tag {key}", write)

    def finish(self, status: Status = "FINISHED") -> None:
        """Close the run; what still waits is tried once more."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None
        self._put("the end of the run", self._client.set_terminated, self.run_id, status)
        self._outbox.close()

    def _put(self, what: str, function: Callable, *args: Any, **kwargs: Any) -> None:
        self._outbox.put(what, lambda: function(*args, **kwargs))

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(metric_name(key), _shortened(value)) for key, value in params.items()]
        for batch in _batches(entries, PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=batch)

    def _watch_system(self, resumed: bool) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(self.run_id, resume_logging=resumed, tracking_uri=self._uri)
        self._monitor.start()


def metric_name(name: str) -> str:
    """The name with characters that MLflow does not accept replaced by ``_``, at most 250 long."""
    return re.sub(r"[^\w./ :-]", "_", posixpath.normpath(name.lstrip("/")).replace("..", "__"))[:250]


@contextmanager
def _opening(uri: str) -> Iterator[None]:
    """Two runs that begin at once would both lay out a new SQLite store: one waits for the other."""
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="alembic")
            yield


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment's id, made when it is new; a SQLite store keeps its artifacts beside itself."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        file = sqlite_file(uri)
        location = None if file is None else (file.parent.absolute() / ARTIFACTS).as_uri()
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RunFailed(
            f"the MLflow experiment {name!r} was deleted: restore it with mlflow experiments restore "
            f"-x {found.experiment_id}, or set tracking.experiment to another name"
        )
    return found.experiment_id


def _is_refusal(error: Exception) -> bool:
    """Whether the store answered and said no, so that trying again is in vain."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return 400 <= error.get_http_status_code() < 500 and error.get_http_status_code() not in (408, 429)
    return isinstance(error, NotImplementedError | TypeError | ValueError | FileNotFoundError)


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= PARAM_LIMIT else text[: PARAM_LIMIT - 1] + "…"


def _batches(entries: list, size: int) -> list[list]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def _table(evaluation: Evaluation) -> str:
    from dataclasses import asdict

    text = io.StringIO()
    rows = [asdict(record) | {"skills": " ".join(record.skills)} for record in evaluation.records]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
