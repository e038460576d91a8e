"""The evaluations of a run's base and of its end, and which of them it has from before an interruption.

An evaluation's file is written last, after the journal and MLflow know of it: where there is one, all of it was done.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import RunError
from sdar_cli.evaluation.conditions import differing, episode_options
from sdar_cli.evaluation.evaluator import sampling_record
from sdar_cli.evaluation.files import digest
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.runs.manifest import LARGEST, MANIFEST
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.training.build import Built
    from sdar_cli.training.heard import Heard

MODES: tuple[Mode, ...] = ("no_skills", "skills")
WEIGHTS = "weights"
"""In an evaluation's ``extra``: ``weights_digest`` of what was measured."""
SHAPING = ("model", "pytorch_model", "adapter_model", "sdar.json")
"""Beginnings of the names of those files of a checkpoint that an episode depends on: weights, and the retrieval."""


def base_cells(evaluator: Evaluator, built: Built, run: RunFolder, base: Path, heard: Heard) -> dict[Mode, Evaluation]:
    """
    Args:
        base: folder of the base, or what names one elsewhere.

    Raises:
        RunError: the base was measured under other conditions than those of now.
    """
    weights = ranks.from_main(lambda: weights_digest(base))
    return _cells(evaluator, built, "base", weights, lambda mode: kept_base(run, evaluator, mode, weights), heard)


def trained_cells(evaluator: Evaluator, built: Built, run: RunFolder, heard: Heard) -> dict[Mode, Evaluation]:
    """Of the weights with which the training ended."""
    step = built.trainer.state.global_step
    weights = ranks.from_main(lambda: _weights_at(run, step))

    def kept(mode: Mode) -> Evaluation | None:
        return kept_trained(run, evaluator, mode, step, weights)

    return _cells(evaluator, built, "trained", weights, kept, heard)


def forget_later(run: RunFolder, step: int) -> None:
    """Remove what was measured behind the step from which the run goes on: it comes again, with the steps."""
    for name, file in run.evaluations().items():
        if (match := re.fullmatch(r"trained-step-(\d+)-(no_skills|skills)", name)) and int(match[1]) > step:
            file.unlink(missing_ok=True)


def _cells(
    evaluator: Evaluator,
    built: Built,
    label: str,
    weights: str | None,
    find: Callable[[Mode], Evaluation | None],
    heard: Heard,
) -> dict[Mode, Evaluation]:
    """Both cells of the weights as they are now: those that are kept, and the others measured."""
    cells: dict[Mode, Evaluation] = {}
    for mode in MODES:
        kept = ranks.from_main(lambda mode=mode: find(mode))
        if kept is not None:
            cells[mode] = kept
            heard.kept(kept)
            continue
        measured, episodes = built.evaluate(evaluator, mode, label=label, listener=heard.all, transcribe=True)
        cells[mode] = stamped(measured, weights)
        heard.all.evaluation(cells[mode], episodes)
    return cells


def _weights_at(run: RunFolder, step: int) -> str | None:
    """Of the checkpoint of a step, if that is the run's latest."""
    latest = run.latest_checkpoint()
    return weights_digest(latest.path) if latest is not None and latest.step == step else None


def weights_digest(folder: Path) -> str | None:
    """Hash of what a checkpoint would play with, by its manifest; None where it has none, as those of before."""
    try:
        files = read_json(folder / MANIFEST, LARGEST)["files"]
        shaping = {name: entry["sha256"] for name, entry in files.items() if name.startswith(SHAPING)}
    except (Unreadable, LookupError, TypeError, AttributeError):
        return None
    return digest(shaping) if set(shaping) - {"sdar.json"} else None


def stamped(evaluation: Evaluation, weights: str | None) -> Evaluation:
    """The evaluation, which says what was measured."""
    return evaluation if weights is None else replace(evaluation, extra={**evaluation.extra, WEIGHTS: weights})


def kept_base(run: RunFolder, evaluator: Evaluator, mode: Mode, weights: str | None) -> Evaluation | None:
    """A cell of the base, which is never measured again, as the training started from what it was then.

    Raises:
        RunError: it was measured under other conditions than those of now.
    """
    file = run.evaluations().get(f"base-{mode}")
    if file is None:
        return None
    kept = Evaluation.load(file)
    if changed := _changed(kept, evaluator, weights):
        raise RunError(
            f"the base of {run.name} was measured under other conditions ({', '.join(changed)} changed since): "
            "restore them, or start another run"
        )
    return kept


def kept_trained(run: RunFolder, evaluator: Evaluator, mode: Mode, step: int, weights: str | None) -> Evaluation | None:
    """A final cell, of the very checkpoint that the training ended with; None where it is to be measured."""
    file = run.evaluations().get(f"trained-step-{step}-{mode}")
    if file is None or weights is None:
        return None
    try:
        kept = Evaluation.load(file)
    except RunError:  # damaged since: it is measured again
        return None
    # What was measured between two steps says nothing of a checkpoint.
    return None if kept.extra.get(WEIGHTS) != weights or _changed(kept, evaluator, weights) else kept


def _changed(kept: Evaluation, evaluator: Evaluator, weights: str | None) -> list[str]:
    """What is not as it was, as far as the evaluation says."""
    workshop = evaluator.workshop
    changed = differing(kept.options, episode_options(workshop.environment))
    changed += differing(kept.facts, workshop.environment.facts())
    changed += differing(kept.sampling, sampling_record(workshop.recipe))
    now = {
        "the panel": (kept.panel, evaluator.panel.digest),
        "the skills": (kept.bank_digest, workshop.bank.digest),
        "the seed": (kept.seed, workshop.recipe.evaluation.panel_seed),
        "the weights": (kept.extra.get(WEIGHTS), weights),
    }
    return changed + [what for what, (then, of_now) in now.items() if None not in (then, of_now) and then != of_now]
