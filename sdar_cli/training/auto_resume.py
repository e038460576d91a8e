"""``sdar train --auto-resume``: one command that starts a run, goes on with it, and shows it once it is over."""

from __future__ import annotations

from pathlib import Path

from sdar_cli.evaluation.flagged import Flagged
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.auto import collapse_of, find, how_it_stands
from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener
from sdar_cli.training.run import TrainResult, resume, train


def train_or_resume(resolved: ResolvedRecipe, *, root: Path, name: str | None, display: Listener) -> TrainResult:
    """What ``runs.auto.find`` finds goes on, or is shown if it is over; else a new run starts.

    Raises:
        RecipeError: the run of this name has other settings.
        RunError: another process is working on it.
    """
    run, status = ranks.from_main(lambda: _found(resolved, root, name))
    if run is None:
        return train(resolved, root=root, name=name, display=display)
    if status in (RunStatus.FINISHED, RunStatus.COLLAPSED):
        display.message(f"the run {run.name} is {status.value} already")
        return ranks.from_main(lambda: result_of(run))
    display.message(f"going on with {run.name} ({ranks.from_main(lambda: how_it_stands(run))})")
    return resume(run, display=display)


def _found(resolved: ResolvedRecipe, root: Path, name: str | None) -> tuple[RunFolder | None, RunStatus | None]:
    run = find(resolved, root, name)
    return run, None if run is None else run.state.status


def result_of(run: RunFolder) -> TrainResult:
    """What a run that is over came to, from its folder.

    Raises:
        RunError: an evaluation of it is missing or damaged, or it collapsed and does not say why.
    """
    state, folder = run.state, run.path / "evaluations"
    names = [f"base-{mode}" for mode in ("no_skills", "skills")]
    names += [f"trained-step-{state.step}-{mode}" for mode in ("no_skills", "skills")]
    cells = [Evaluation.load(folder / f"{name}.json") for name in names]
    lost = Flagged.of_journal(Journal(run.path / "metrics.jsonl").read())
    report = InternalisationReport.build(*cells, flagged=lost)
    collapse = None
    if state.status is RunStatus.COLLAPSED:
        collapse = collapse_of(run)
    return TrainResult(run, state.status, report, tuple(state.warnings), collapse)
