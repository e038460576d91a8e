"""``sdar export``: weights, card, recipe and evaluations in one folder, which appears as a whole."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import UserError
from sdar_cli.evaluation.files import write_json
from sdar_cli.export.card import make_card, sdar_version
from sdar_cli.export.evidence import Evidence, gather_evidence
from sdar_cli.export.loading import transformers_line, vllm_line
from sdar_cli.export.place import FORMAT, RECORD, check_place, marks, whole
from sdar_cli.export.recipe import public_recipe
from sdar_cli.export.source import Source, find_source
from sdar_cli.export.weights import Written, write_adapter, write_whole
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.events import Listener


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
        force: an earlier export in the folder's place is replaced, unless there is anything else in it.

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
    folder = (to or source.run.path / "export" / name).resolve()
    check_place(folder, force)
    evidence = gather_evidence(source)
    recipe = public_recipe(source.recipe)
    kind = dtype or ("float32" if as_adapter else source.recipe.model.dtype)
    with whole(folder) as beside:
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
        write_json(beside / RECORD, {**exported.to_json(), "files": marks(beside)})
    return exported
