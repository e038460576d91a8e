"""One MLflow run: parameters, metrics, artifacts, evaluations and traces, in any MLflow store.

    tracker = Tracker.start("sqlite:///runs/mlflow.db", "quickstart", "quickstart-1", yaml, params)
    tracker.metrics(1, {"rollout/success": 0.25})
    tracker.finish("FINISHED")

A store that cannot be reached stops the run at the start, with a sentence. Later it does not: writes
wait and are tried again (see outbox.py), since ``metrics.jsonl`` holds the same numbers.
"""

from __future__ import annotations

import json
import math
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sdar_cli.errors import RunFailed
from sdar_cli.tracking import dataset, notes, tables
from sdar_cli.tracking.experiment import experiment as find_experiment
from sdar_cli.tracking.experiment import opening
from sdar_cli.tracking.location import redact
from sdar_cli.tracking.orphan import find_orphan, mark
from sdar_cli.tracking.outbox import Outbox, one_line
from sdar_cli.tracking.quiet import import_mlflow
from sdar_cli.tracking.registry import Registration, Version
from sdar_cli.tracking.traces import Signals, build_trace, choose
from sdar_cli.tracking.wire import METRICS_PER_CALL, PARAMS_PER_CALL, batches, is_refusal, metric_name, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sdar_cli.evaluation.panel import Panel
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.rollout.episode import Episode

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """Made by ``start``; writes from one thread of the main process."""

    def __init__(self, client: MlflowClient, uri: str, experiment_id: str, run_id: str, say: Callable) -> None:
        self._client = client
        self._uri = uri
        self._experiment_id = experiment_id
        self._say = say
        self._outbox = Outbox(redact(uri), say, is_refusal)
        self._monitor: Any = None
        self._tables: list[str] = []
        self._registration: Registration | None = None
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
            with opening(uri):
                client = mlflow.MlflowClient(tracking_uri=uri)
                experiment_id = find_experiment(client, uri, experiment) if run_id is None else ""
            listed = None
            if run_id is None:
                tags = {**(tags or {}), **mark(tags or {})}
                run_id = find_orphan(client, experiment_id, tags)
            if run_id is None:
                labels = {"mlflow.source.name": "sdar", "mlflow.source.type": "LOCAL", **(tags or {})}
                if parent is not None:
                    labels["mlflow.parentRunId"] = parent
                run_id = client.create_run(experiment_id, run_name=run_name, tags=labels).info.run_id
                known: Mapping[str, str] = {}
            else:
                run = client.get_run(run_id)
                experiment_id, known = run.info.experiment_id, run.data.params
                listed = run.data.tags.get(tables.TAG)
                client.update_run(run_id, status="RUNNING")
                for key, value in (tags or {}).items():
                    client.set_tag(run_id, key, value)
            tracker = cls(client, uri, experiment_id, run_id, say)
            tracker.resume_tables(listed)
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
        for batch in batches(entries, METRICS_PER_CALL):
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
        """Send the numbers, at the evaluation's step (0: the base); save it as JSON, its episodes as CSV and table."""
        self.metrics(evaluation.step or 0, evaluation.metrics())
        name = f"evaluations/{evaluation.name}"
        table = tables.of_evaluation(evaluation)
        self.artifact_text(f"{name}.json", json.dumps(evaluation.to_json(), indent=1))
        self.artifact_text(f"{name}.csv", table.csv)
        self.table(table)

    def table(self, table: tables.Table) -> None:
        """Save a table that MLflow shows as one; a table of the same name is replaced."""
        self.artifact_text(table.path, table.text)
        if table.path not in self._tables:
            self._tables.append(table.path)
            self.tag(tables.TAG, tables.listed(self._tables))

    def resume_tables(self, tag: str | None) -> None:
        """Go on listing tables where the run's tag of that name left off."""
        self._tables = tables.read_listed(tag)

    def panel(self, panel: Panel, file: Path) -> None:
        """Name the panel as the dataset that the run is evaluated on; once is enough, twice is the same."""
        self._put("the panel", self._client.log_inputs, self.run_id, datasets=[dataset.of_panel(panel, file)])

    def describe(self, markdown: str) -> None:
        """Set our part of the run's description; what a person wrote around it is kept."""

        def write() -> None:
            old = self._client.get_run(self.run_id).data.tags.get(notes.TAG)
            new = notes.merged(old, markdown)
            if new is not None and new != old:
                self._client.set_tag(self.run_id, notes.TAG, new)

        self._put("the description", write)

    def register(self, version: Version) -> None:
        """Make a checkpoint a version of a registered model, once a run and step.

        It writes files, perhaps far away, so it stands outside of the queue, where nothing waits for it; what
        fails is tried again when the run is finished.
        """
        self._registration = Registration(self._client, self.run_id, self._experiment_id, version)
        self._try_to_register()

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
        self.close()

    def close(self) -> None:
        """Try what waits once more, and leave the run as it is."""
        self._outbox.close()
        if self._registration is not None and (error := self._try_to_register()) is not None:
            self._say(f"the checkpoint was not registered in MLflow ({one_line(error)}): it is in the run's folder")

    def _try_to_register(self) -> Exception | None:
        try:
            if self._registration is not None:
                self._registration()
        except Exception as error:
            return error
        self._registration = None
        return None

    def _put(self, what: str, function: Callable, *args: Any, **kwargs: Any) -> None:
        self._outbox.put(what, lambda: function(*args, **kwargs))

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(metric_name(key), shortened(value)) for key, value in params.items()]
        for batch in batches(entries, PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=batch)

    def _watch_system(self, resumed: bool) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(self.run_id, resume_logging=resumed, tracking_uri=self._uri)
        self._monitor.start()
