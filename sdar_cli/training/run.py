"""A whole training: base, its evaluation, reinforcement learning, the final evaluation and its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sdar_cli.errors import RunError, SdarError, without_credentials
from sdar_cli.evaluation.flagged import Flagged
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.importing import importing
from sdar_cli.launch.speaker import said
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.auto import collapse_of
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.stop import STOP
from sdar_cli.tracking.labels import STATUS
from sdar_cli.tracking.location import runs_option
from sdar_cli.training import ranks
from sdar_cli.training.checkpoints.resumable import check_processes
from sdar_cli.training.events import Listener
from sdar_cli.training.follower import FollowedRun
from sdar_cli.training.guards import Finding
from sdar_cli.training.heard import Heard
from sdar_cli.training.recorder import RunRecorder
from sdar_cli.training.tracked import publish, tracking
from sdar_cli.training.watch import Watch
from sdar_cli.workshop import Workshop

if TYPE_CHECKING:
    from sdar_cli.runs.store import Checkpoint


@dataclass(frozen=True, slots=True)
class TrainResult:
    run: RunFolder
    status: RunStatus
    report: InternalisationReport | None
    """None for a run that was interrupted."""
    warnings: tuple[Finding, ...] = ()
    """What the guards found, in order."""
    collapse: Finding | None = None
    """Why a run of status ``collapsed`` ended."""

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run.name,
            "folder": str(self.run.path),
            "status": self.status.value,
            "step": self.run.state.step,
            "report": self.report.to_json() if self.report else None,
            "warnings": [asdict(finding) for finding in self.warnings],
        }


def train(resolved: ResolvedRecipe, *, root: Path, name: str | None, display: Listener) -> TrainResult:
    """Start a new run under ``root`` and take it to its end or its interruption."""
    from sdar_cli.training.base import check_start

    check_start(resolved.recipe, root)
    with Workshop.open(resolved.recipe) as workshop:
        ranks.in_turn(lambda: workshop.prepare(display))
        panel = workshop.panel()
        run = _of_all_ranks(lambda: RunFolder.create(root, resolved, name, panel=panel))
        with _locked(run):
            return _run(workshop, panel, run, root, display)


def resume(run_given: RunFolder, *, display: Listener) -> TrainResult:
    """Take an interrupted run from its latest usable checkpoint to its end.

    Raises:
        RunError: it is finished, another process is working on it, or these processes cannot read its checkpoint.
    """
    run = _of_all_ranks(lambda: run_given)
    with _locked(run):
        ranks.from_main(lambda: _make_ready(run))
        checkpoint = ranks.from_main(lambda: run.usable_checkpoint(display.message))
        if checkpoint is not None and (note := check_processes(checkpoint)) is not None:
            display.message(note)
        with Workshop.open(run.recipe()) as workshop:
            ranks.in_turn(lambda: workshop.prepare(display))
            ranks.from_main(lambda: _make_panel(workshop, run))
            panel = Panel.load(run.panel_file)
            panel.check_disjoint(workshop.environment.tasks("train"))
            return _run(workshop, panel, run, run.path.parent, display, checkpoint)


def _run(
    workshop: Workshop,
    panel: Panel,
    run: RunFolder,
    root: Path,
    display: Listener,
    checkpoint: Checkpoint | None = None,
) -> TrainResult:
    from sdar_cli.tracking.journal import Journal

    display.message(f"run {run.name}")
    with (
        _status(run, display),
        tracking(workshop, run, root, display) as tracker,
        ranks.finishing(),
        STOP.translated(),
    ):
        journal = Journal(run.path / "metrics.jsonl")
        watch = Watch(workshop.recipe, run, tracker, display)
        recorder = RunRecorder(run, workshop.recipe, journal, tracker) if ranks.is_main() else None
        heard = Heard(tracker, journal, watch, recorder, display)
        report = _phases(workshop, panel, run, root, checkpoint, heard)
        collapse = watch.ended if report else None
        status = RunStatus.INTERRUPTED if report is None else RunStatus.FINISHED
        if collapse is not None:
            status = RunStatus.COLLAPSED
        # Killed in between, the run is not over yet: it is resumed and closes MLflow's run once more.
        tracker.tag(STATUS, status.value)
        tracker.finish(_MLFLOW_STATUS[status])
        STOP.end()
        run.update(status=status, error=None if collapse is None else collapse.ending)
    return TrainResult(run, status, report, watch.findings, collapse)


_MLFLOW_STATUS: dict[RunStatus, Literal["FINISHED", "FAILED", "KILLED"]] = {
    RunStatus.FINISHED: "FINISHED",
    RunStatus.COLLAPSED: "FAILED",
    RunStatus.INTERRUPTED: "KILLED",
}


def _phases(
    workshop: Workshop, panel: Panel, run: RunFolder, root: Path, checkpoint: Checkpoint | None, heard: Heard
) -> InternalisationReport | None:
    with importing():
        from sdar_cli.evaluation.evaluator import Evaluator
        from sdar_cli.training.base import prepare_base
        from sdar_cli.training.build import build_trainer
        from sdar_cli.training.cells import base_cells, forget_later, trained_cells
        from sdar_cli.training.collapse import train_until_collapse
        from sdar_cli.training.warmed import Warmed

    listener, journal, watch = heard.all, heard.journal, heard.watch
    run.update(status=RunStatus.WARMING_UP)
    base = ranks.from_main(lambda: prepare_base(workshop, run, root, listener))
    warmed = Warmed.of(base, workshop, run)
    ranks.from_main(lambda: warmed.track(heard.tracker))
    evaluator = Evaluator(workshop, panel)
    built = ranks.together(lambda: build_trainer(workshop, base.path, run, listener))
    first = base_cells(evaluator, built, run, Path(base.path), heard)
    if checkpoint is None:
        warmed.check_competence(first["skills"])

    run.update(status=RunStatus.TRAINING)
    listener.phase("training", workshop.recipe.train.steps)
    begun = checkpoint.step if checkpoint else 0
    ranks.from_main(lambda: journal.rewind(begun))
    ranks.from_main(lambda: forget_later(run, begun))
    watch.catch_up(first["no_skills"], journal)
    stopped = train_until_collapse(built, checkpoint, evaluator, watch)
    if stopped:
        listener.message(
            f"interrupted after step {built.trainer.state.global_step}: go on with `{_resume_command(run)}`"
        )
        return None

    run.update(status=RunStatus.EVALUATING)
    last = trained_cells(evaluator, built, run, heard)
    cells = first["no_skills"], first["skills"], last["no_skills"], last["skills"]
    lost = ranks.from_main(lambda: Flagged.of_journal(journal.read()))
    report = InternalisationReport.build(*cells, flagged=lost)
    ranks.from_main(lambda: publish(run, root, workshop.recipe, heard.tracker, report, journal))
    return report


def _make_ready(run: RunFolder) -> None:
    """Put right what a kill left in the folder of a run that is not over."""
    status = run.state.status
    if status is RunStatus.FINISHED:
        raise RunError(f"the run {run.name} is finished: evaluate it with `sdar eval {run.name}`, or start another")
    if status is RunStatus.COLLAPSED:
        raise RunError(_why_collapsed(run))
    run.recover()


def _make_panel(workshop: Workshop, run: RunFolder) -> None:
    """Runs were once made without their panel, which came a moment later."""
    if not run.panel_file.exists() and not run.evaluations():
        workshop.panel().save(run.panel_file)


@contextmanager
def _status(run: RunFolder, display: Listener) -> Iterator[None]:
    """Write down how the run ended when it did not end well."""
    if not ranks.is_main():
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        with STOP.held():
            _note(run, display, status=RunStatus.INTERRUPTED)
            display.message(f"interrupted: go on with `{_resume_command(run)}`")
            STOP.said = True
        raise
    except SdarError as error:
        _note(run, display, status=RunStatus.FAILED, error=_sentence(str(error)))
        raise
    except Exception as error:
        _note(run, display, status=RunStatus.FAILED, error=_sentence(f"{type(error).__name__}: {error}"))
        raise


def _sentence(own: str) -> str:
    """What the run ended with, by the process that said it first."""
    return without_credentials(said() or own)


def _note(run: RunFolder, display: Listener, **changes: Any) -> None:
    """Change ``run.json``; where that fails, the error that ends the run is the one to be heard of."""
    try:
        run.update(**changes)
    except (OSError, SdarError) as error:
        display.message(f"{run.path / 'run.json'} still has its old status ({without_credentials(str(error))})")


def _of_all_ranks(make: Callable[[], RunFolder]) -> RunFolder:
    """The folder on rank 0, and on the others one in which nothing is written."""

    def made() -> tuple[Path, RunState]:
        nonlocal run
        run = make()
        return run.path, run.state

    run: RunFolder | None = None
    path, state = ranks.from_main(made)
    return run or FollowedRun(path, state)


@contextmanager
def _locked(run: RunFolder) -> Iterator[None]:
    """Rank 0 holds the lock for all."""
    with ExitStack() as stack:
        ranks.together(lambda: stack.enter_context(run.lock()))
        yield


def _why_collapsed(run: RunFolder) -> str:
    return (
        f"the run {run.name} was ended at step {run.state.step}, as it collapsed ({collapse_of(run).what}): evaluate "
        f"it with `sdar eval {run.name}`, or start another with guards.stop_on_collapse=false, which goes on"
    )


def _resume_command(run: RunFolder) -> str:
    return f"sdar resume {run.name}{runs_option(run.path.parent)}"
