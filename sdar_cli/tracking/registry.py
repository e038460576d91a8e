"""A run's last checkpoint as a version in MLflow's model registry.

The weights are copied where they are small, and pointed to where they are not: nobody asked for a second copy of
billions of parameters. Either way the version says where the checkpoint lies (tag ``sdar.checkpoint``), and
``models:/NAME/latest`` is the newest. MLflow keeps that alias to itself, so none is set.

It is the last checkpoint and not the best one, because it is what the run's final evaluation played: the best of
many evaluations looks better than it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.tracking.notes import shortened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

COPIED_BYTES = 200 * 2**20
"""Checkpoints up to this size are copied into the registry's artifacts."""
POINTER = "checkpoint.json"
"""What a version holds instead of weights that are larger."""
SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")
NOT_MODEL = ("trainer_state.json", "sdar.json", "warmup.json", "manifest.json")
"""State that a training goes on from, and nobody else reads."""
VERSIONS = "mlflow.modelVersions"
"""Tag of a logged model by which the lists of runs and models name its version."""
STEP = "sdar.step"
ENDS = 2**20
"""Bytes at either end of a large file that its fingerprint reads."""


@dataclass(frozen=True, slots=True)
class Version:
    """What becomes a version of a registered model."""

    name: str
    """Of the registered model."""
    checkpoint: Path
    """A Hugging Face folder, or an adapter's."""
    step: int
    recipe_yaml: str
    description: str
    """Markdown."""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Shown beside the model, and in the list of models; measured at ``step``."""


class Registration:
    """Called until it ends well; a call goes on where the one before it failed, or the process was killed.

    ``at`` is the time that the version's metrics carry, alike in every call.
    """

    def __init__(self, client: MlflowClient, run_id: str, experiment_id: str, version: Version, at: int) -> None:
        self._client, self._run_id, self._experiment_id, self._version = client, run_id, experiment_id, version
        self._at = at

    def __call__(self) -> None:
        """Raises whatever the store raises."""
        found, model = self._version_of_before(), self._model_of_before()
        if found is not None and model is None:  # its model was removed by hand
            return
        model = model or self._make_model()
        made = found or self._make_version(model)
        shown = json.dumps([{"name": made.name, "version": int(made.version)}])
        if model.tags.get(VERSIONS) != shown:
            self._client.set_logged_model_tags(model.model_id, {VERSIONS: shown})

    def _make_model(self) -> LoggedModel:
        version = self._version
        return self._client.create_logged_model(
            self._experiment_id,
            name=logged_name(f"{version.tags.get('sdar.run', 'run')}-step-{version.step}"),
            source_run_id=self._run_id,
            tags={**version.tags, STEP: str(version.step)},
            model_type="transformers",
        )

    def _make_version(self, model: LoggedModel) -> ModelVersion:
        client, version = self._client, self._version
        if model.status != "READY":
            self._log_files(model)
            self._log_metrics(model)
            client.finalize_logged_model(model.model_id, "READY")
        self._make_name()
        return client.create_model_version(
            version.name,
            # The folder itself: models:/ID is looked up in the store of MLFLOW_TRACKING_URI, not in this one.
            source=model.artifact_location,
            run_id=self._run_id,
            tags={**version.tags, STEP: str(version.step)},
            description=shortened(version.description),
            model_id=model.model_id,
        )

    def _version_of_before(self) -> ModelVersion | None:
        """What an earlier call registered, before its process was killed."""
        return self._of_this_step(self._client.search_model_versions(f"run_id='{self._run_id}'"))

    def _model_of_before(self) -> LoggedModel | None:
        """What an earlier call made and could not finish."""
        wanted = f"source_run_id='{self._run_id}'"
        return self._of_this_step(self._client.search_logged_models([self._experiment_id], wanted))

    def _of_this_step(self, found: Iterable[Any]) -> Any:
        return next((one for one in found if one.tags.get(STEP) == str(self._version.step)), None)

    def _log_files(self, model: LoggedModel) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            stage(self._version.checkpoint, self._version.step, folder)
            (folder / "recipe.yaml").write_text(self._version.recipe_yaml, encoding="utf-8")
            self._client.log_model_artifacts(model.model_id, str(folder))

    def _log_metrics(self, model: LoggedModel) -> None:
        from mlflow.entities import LoggedModelOutput, Metric

        step = self._version.step
        outputs = self._client.get_run(self._run_id).outputs
        if model.model_id not in [one.model_id for one in (outputs.model_outputs if outputs else [])]:
            self._client.log_outputs(self._run_id, [LoggedModelOutput(model.model_id, step)])
        entries = [
            Metric(name, value, self._at, step, model_id=model.model_id, run_id=self._run_id)
            for name, value in self._version.metrics.items()
        ]
        if entries:
            self._client.log_batch(self._run_id, metrics=entries)

    def _make_name(self) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

        about = f"Last checkpoints of the runs of {self._version.name}: one version a run."
        try:
            self._client.create_registered_model(self._version.name, description=about)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise


def stage(checkpoint: Path, step: int, folder: Path) -> None:
    """Put into ``folder`` what a version holds: all that loads the model, or a pointer beside what is small."""
    files = model_files(checkpoint)
    copied = sum(file.stat().st_size for file in files) <= COPIED_BYTES
    for file in files:
        if copied or file.suffix != ".safetensors":
            shutil.copyfile(file, folder / file.name)
    if not copied:
        about = {"checkpoint": str(checkpoint), "step": step, "files": {one.name: fingerprint(one) for one in files}}
        (folder / POINTER).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def model_files(checkpoint: Path) -> list[Path]:
    """Weights, configuration and tokenizer of a checkpoint, without the state of its training."""
    found = [file for file in checkpoint.iterdir() if file.is_file() and file.suffix in SUFFIXES]
    return sorted(file for file in found if file.name not in NOT_MODEL)


def fingerprint(file: Path) -> dict[str, Any]:
    """Size and SHA-256; of a file above 2 MiB the hash of its two ends, since whole weights take minutes to read."""
    size = file.stat().st_size
    with file.open("rb") as content:
        if size <= 2 * ENDS:
            return {"bytes": size, "sha256": hashlib.sha256(content.read()).hexdigest()}
        ends = content.read(ENDS)
        content.seek(-ENDS, 2)
        return {"bytes": size, "sha256_of_both_mebibytes": hashlib.sha256(ends + content.read()).hexdigest()}


def model_name(text: str) -> str:
    """A name that the registry takes: without ``/`` and ``:``, which its addresses are made of."""
    return re.sub(r"[/:%\"']", "-", text).strip() or "sdar"


def logged_name(name: str) -> str:
    """A name of a logged model: MLflow refuses ``/ : . % " '``."""
    return re.sub(r"[/:.%\"']", "-", name)
