"""Writes as MLflow takes them: each can be sent twice, and is there once."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.tracking import notes, tables
from sdar_cli.tracking.creation import create
from sdar_cli.tracking.experiment import opening
from sdar_cli.tracking.location import is_missing, usable
from sdar_cli.tracking.quiet import draw_apart, import_mlflow
from sdar_cli.tracking.registry import Registration, Version
from sdar_cli.tracking.warmup import write_warmup
from sdar_cli.tracking.wire import METRICS_PER_CALL, PARAMS_PER_CALL, Verdict, batches, is_absent, refusal, shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sdar_cli.tracking.write import Write

Content = Mapping[str, Any]


class Delivery:
    """Of one run, to its store.

    Args:
        home: the run's folder, in which files may lie.
        traces: reads the episodes of a write that has them in a file.
        made: notes the id of a run that a write has made.
    """

    def __init__(
        self,
        uri: str,
        run_id: str,
        home: Path | None = None,
        *,
        client: MlflowClient | None = None,
        traces: Callable[[Write], list[Any]] = lambda write: [],
        made: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        self.uri, self.run_id = uri, run_id
        self._home, self._client, self._traces = home, client, traces
        self._made = made
        self._experiment = ""

    def __call__(self, write: Write) -> None:
        """Raises whatever MLflow raises."""
        send = getattr(self, f"_send_{write.kind}", None)
        if send is None:
            raise ValueError(f"a write of the kind {write.kind} is not known")
        send(write.content, write)

    def open(self, patience: float | None = None) -> MlflowClient:
        """The store's client; a SQLite file that is gone is not made anew, as the run is not in that one.

        ``patience``: seconds to wait for another process that opens such a file, or lays it out.
        """
        if is_missing(self.uri):
            raise ConnectionError("its file is not there")
        return self.make(patience)

    def make(self, patience: float | None = None) -> MlflowClient:
        """The same, also where the file is to be made."""
        if self._client is None:
            with opening(self.uri, patience):
                self._client = import_mlflow().MlflowClient(tracking_uri=usable(self.uri))
                draw_apart()
        return self._client

    def verdict(self, error: Exception) -> Verdict:
        """What a failed write is to be taken for. The store refused one write, not the run: what is deleted can be
        restored."""
        found = refusal(error)
        return found if found is Verdict.FAILED or self.is_there() else Verdict.FAILED

    def is_there(self) -> bool:
        """Whether the store answers, and holds the run."""
        try:
            return self.open().get_run(self.run_id).info.lifecycle_stage == "active"
        except Exception:
            return False

    @property
    def experiment(self) -> str:
        if not self._experiment:
            self._experiment = self.open().get_run(self.run_id).info.experiment_id
        return self._experiment

    def _send_create(self, content: Content, write: Write) -> None:
        self.run_id = self.run_id or create(self.open(), self.uri, content)
        self._made(self.run_id)

    def _send_metrics(self, content: Content, write: Write) -> None:
        from mlflow.entities import Metric

        entries = [Metric(name, value, write.at, content["step"]) for name, value in content["values"].items()]
        for batch in batches(entries, METRICS_PER_CALL):
            self.open().log_batch(self.run_id, metrics=batch)

    def _send_params(self, content: Content, write: Write) -> None:
        """Those that the run does not have: a parameter never changes."""
        from mlflow.entities import Param

        known = self.open().get_run(self.run_id).data.params
        missing = [Param(key, shortened(value)) for key, value in content["values"].items() if key not in known]
        for batch in batches(missing, PARAMS_PER_CALL):
            self.open().log_batch(self.run_id, params=batch)

    def _send_tag(self, content: Content, write: Write) -> None:
        self.open().set_tag(self.run_id, content["key"], content["value"])

    def _send_untag(self, content: Content, write: Write) -> None:
        try:
            self.open().delete_tag(self.run_id, content["key"])
        except Exception as error:
            if not is_absent(error) or not self.is_there():
                raise

    def _send_text(self, content: Content, write: Write) -> None:
        self.open().log_text(self.run_id, content["text"].encode(errors="replace").decode(), content["path"])

    def _send_file(self, content: Content, write: Write) -> None:
        path, folder = self._path(content["path"]), content["folder"]
        if path.is_dir():
            self.open().log_artifacts(self.run_id, str(path), posixpath.join(folder or "", path.name))
        else:
            self.open().log_artifact(self.run_id, str(path), folder)

    def _send_table(self, content: Content, write: Write) -> None:
        self._send_text(content, write)
        tag = self.open().get_run(self.run_id).data.tags.get(tables.TAG)
        listed = tables.read_listed(tag)
        if content["path"] not in listed:
            self.open().set_tag(self.run_id, tables.TAG, tables.listed([*listed, content["path"]]))

    def _send_panel(self, content: Content, write: Write) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = DatasetInput(Dataset(**content), [InputTag("mlflow.data.context", "evaluation")])
        self.open().log_inputs(self.run_id, datasets=[dataset])

    def _send_description(self, content: Content, write: Write) -> None:
        old = self.open().get_run(self.run_id).data.tags.get(notes.TAG)
        new = notes.merged(old, content["markdown"])
        if new is not None and new != old:
            self.open().set_tag(self.run_id, notes.TAG, new)

    def _send_traces(self, content: Content, write: Write) -> None:
        from mlflow.tracing.client import TracingClient

        from sdar_cli.tracking.traces import as_mlflow

        built = [
            as_mlflow(trace, self.run_id, self.experiment) for trace in content.get("traces") or self._traces(write)
        ]
        if built:
            self.open()
            tracing = TracingClient(usable(self.uri))
            for info, _ in built:
                tracing.start_trace(info)
            tracing.log_spans(self.experiment, [span for _, spans in built for span in spans])

    def _send_version(self, content: Content, write: Write) -> None:
        version = Version(**{**content, "checkpoint": self._path(content["checkpoint"])})
        Registration(self.open(), self.run_id, self.experiment, version, write.at)()

    def _send_warmup(self, content: Content, write: Write) -> None:
        write_warmup(self.open(), self.uri, content)

    def _send_running(self, content: Content, write: Write) -> None:
        self.open().update_run(self.run_id, status="RUNNING")

    def _send_end(self, content: Content, write: Write) -> None:
        self.open().set_terminated(self.run_id, content["status"], write.at)

    def _path(self, path: str) -> Path:
        return Path(path) if self._home is None else self._home / path


def within(path: Path, home: Path | None) -> str:
    """A path as it is kept: from the run's folder on where it lies there, so that the folder can move."""
    path = path.absolute()
    return str(path.relative_to(home)) if home is not None and path.is_relative_to(home) else str(path)
