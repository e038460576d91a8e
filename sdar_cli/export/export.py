"""``sdar export``: weights, card, recipe and evaluations in one folder, which appears as a whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunError, UserError
from sdar_cli.evaluation.files import write_json
from sdar_cli.export.card import make_card, sdar_version
from sdar_cli.export.evidence import Evidence, gather_evidence
from sdar_cli.export.loading import transformers_line, vllm_line
from sdar_cli.export.recipe import public_recipe
from sdar_cli.export.source import Source, find_source
from sdar_cli.export.weights import Written, write_adapter, write_whole
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.events import Listener

FORMAT = 1
RECORD = "sdar_export.json"
"""By which a folder is known as an export."""


@dataclass(frozen=True, slots=True)
class Exported:
    folder: Path
    source: Source
    written: Written
    evidence: Evidence
    as_adapter: bool

    @property
    def kind(self) -> str:
        """``adapter``, ``merged`` or ``whole``."""
        if self.as_adapter:
            return "adapter"
        return "merged" if self.source.adapter else "whole"

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "run": self.source.run.name,
            "checkpoint": self.source.checkpoint,
            "step": self.source.step,
            "kind": self.kind,
            "dtype": self.written.dtype,
            "parameters": self.written.parameters,
            "quantised": None if self.source.quantised is None else self.source.quantised.kind,
            "base_model": self.source.origin,
            "seed": self.source.recipe.seed,
            "recipe_digest": self.source.run.state.recipe_digest,
            "sdar": sdar_version(),
            "versions": self.source.run.state.versions,
            "measured": self.evidence.to_json(),
        }

    @property
    def load(self) -> dict[str, str | None]:
        """How to load it, by program."""
        place = str(self.folder)
        return {
            "transformers": transformers_line(self.source, place, as_adapter=self.as_adapter),
            "vllm": vllm_line(self.source, place, as_adapter=self.as_adapter),
        }


def export_run(
    target: RunFolder | ModelFolder,
    *,
    checkpoint: str,
    to: Path | None,
    as_adapter: bool,
    dtype: str | None,
    force: bool,
    display: Listener,
) -> Exported:
    """Write a checkpoint of a run, or its base, for other programs.

    Args:
        checkpoint: ``last``, ``base`` or a step.
        to: the folder; None: one in the run's.
        as_adapter: the adapter by itself instead of whole weights.
        dtype: None: what the training computed in; for an adapter float32.
        force: an earlier export in the folder's place is replaced.

    Raises:
        UserError: the target is a bare model, there is no adapter, or the folder cannot be taken.
        RunError: there is no such checkpoint, or the disk does not take the weights.
        ModelError: the weights cannot be read.
    """
    source = find_source(target, checkpoint)
    if as_adapter and not source.adapter:
        raise UserError(
            f"{source.checkpoint} of {source.run.name} has no adapter, its weights being whole: leave --adapter out"
        )
    name = f"{source.checkpoint}{'-adapter' if as_adapter else ''}"
    folder = (to or source.run.path / "export" / name).absolute()
    _check_place(folder, force)
    evidence = gather_evidence(source)
    recipe = public_recipe(source.recipe)
    kind = dtype or ("float32" if as_adapter else source.recipe.model.dtype)
    with _whole(folder) as beside:
        display.phase(f"writing {source.checkpoint}" + (", the adapter merged" * (source.adapter and not as_adapter)))
        written = (write_adapter if as_adapter else write_whole)(source, beside, kind)
        exported = Exported(folder, source, written, evidence, as_adapter)
        card = make_card(source, written, evidence, recipe, as_adapter=as_adapter)
        (beside / "README.md").write_text(str(card), encoding="utf-8")
        (beside / "recipe.yaml").write_text(recipe, encoding="utf-8")
        (beside / "evaluations").mkdir()
        if evidence.panel is not None:
            evidence.panel.save(beside / "panel.json")
        for path in evidence.files:
            shutil.copy(path, beside / "evaluations" / path.name)
        write_json(beside / RECORD, exported.to_json())
    return exported


def _check_place(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder with --to")
    if not any(folder.iterdir()):
        return
    if not _is_export(folder):
        raise UserError(f"{folder} holds something else than an export of sdar's: name another folder with --to")
    if not force:
        raise UserError(f"{folder} holds an export already: name another folder with --to, or add --force")


def _is_export(folder: Path) -> bool:
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside, put into the place when the block ends well, with all of it on the disk.

    Raises:
        RunError: the disk does not take it.
    """
    from safetensors import SafetensorError

    beside: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        beside.chmod(0o755)
        yield beside
        for path in beside.rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        _replace(beside, folder)
    except (OSError, SafetensorError) as error:  # of a full disk too it is safetensors that speaks
        why = getattr(error, "strerror", None) or error
        raise RunError(
            f"the export cannot be written to {folder} ({why}): make room there, or name another folder with --to"
        ) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _replace(beside: Path, folder: Path) -> None:
    aside = None
    if folder.exists():
        aside = folder.with_name(f".{folder.name}-old-{os.getpid()}-{time.monotonic_ns()}")
        os.replace(folder, aside)
    try:
        os.replace(beside, folder)
    except OSError:
        if aside is not None:
            os.replace(aside, folder)
        raise
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
