"""A whole training: base, its evaluation, reinforcement learning, the final evaluation and its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sdar_cli.errors import RunError, RunFailed, SdarError
from sdar_cli.evaluation.conditions import differing, episode_options
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.importing import importing
from sdar_cli.launch.speaker import said
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.labels import STATUS
from sdar_cli.tracking.location import runs_option
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener, Listeners
from sdar_cli.training.follower import FollowedRun
from sdar_cli.training.guards import Finding
from sdar_cli.training.recorder import RunRecorder
from sdar_cli.training.resumable import check_processes
from sdar_cli.training.tracked import publish, tracking
from sdar_cli.training.watch import Watch
from sdar_cli.workshop import Workshop

if TYPE_CHECKING:
    from sdar_cli.evaluation.evaluator import Evaluator
    from sdar_cli.tracking.journal import Journal
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.training.base import Base


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
        run = _of_all_ranks(lambda: RunFolder.create(root, resolved, name))
        with _locked(run):
            ranks.from_main(lambda: panel.save(run.panel_file))
            return _run(workshop, panel, run, root, display)


def resume(run_given: RunFolder, *, display: Listener) -> TrainResult:
    """Take an interrupted run from its latest checkpoint to its end.

    Raises:
        RunError: it is finished, another process is working on it, or these processes cannot read its checkpoint.
    """
    run = _of_all_ranks(lambda: run_given)
    with _locked(run):
        if run.state.status is RunStatus.FINISHED:
            raise RunError(f"the run {run.name} is finished: evaluate it with `sdar eval {run.name}`, or start another")
        if run.state.status is RunStatus.COLLAPSED:
            raise RunError(_why_collapsed(run))
        checkpoint = ranks.from_main(run.latest_checkpoint)
        if checkpoint is not None and (note := check_processes(checkpoint)) is not None:
            display.message(note)
        with Workshop.open(run.recipe()) as workshop:
            ranks.in_turn(lambda: workshop.prepare(display))
            panel = Panel.load(run.panel_file)
            panel.check_disjoint(workshop.environment.tasks("train"))
            return _run(workshop, panel, run, run.path.parent, display)


def _run(workshop: Workshop, panel: Panel, run: RunFolder, root: Path, display: Listener) -> TrainResult:
    from sdar_cli.tracking.journal import Journal

    display.message(f"run {run.name}")
    with _status(run, display), tracking(workshop, run, root, display) as tracker, ranks.finishing():
        journal = Journal(run.path / "metrics.jsonl")
        watch = Watch(workshop.recipe, run, tracker, display)
        recorder = RunRecorder(run, workshop.recipe, journal, tracker) if ranks.is_main() else Listener()
        listener = Listeners(recorder, display, watch)
        report = _phases(workshop, panel, run, root, listener, tracker, journal, watch)
        collapse = watch.ended if report else None
        status = RunStatus.INTERRUPTED if report is None else RunStatus.FINISHED
        if collapse is not None:
            status = RunStatus.COLLAPSED
        # Killed in between, the run is not over yet: it is resumed and closes MLflow's run once more.
        tracker.tag(STATUS, status.value)
        tracker.finish(_MLFLOW_STATUS[status])
        run.update(status=status, error=None if collapse is None else collapse.ending)
    return TrainResult(run, status, report, watch.findings, collapse)


_MLFLOW_STATUS: dict[RunStatus, Literal["FINISHED", "FAILED", "KILLED"]] = {
    RunStatus.FINISHED: "FINISHED",
    RunStatus.COLLAPSED: "FAILED",
    RunStatus.INTERRUPTED: "KILLED",
}


def _phases(
    workshop: Workshop,
    panel: Panel,
    run: RunFolder,
    root: Path,
    listener: Listener,
    tracker: Tracker,
    journal: Journal,
    watch: Watch,
) -> InternalisationReport | None:
    with importing():
        from sdar_cli.evaluation.evaluator import Evaluator
        from sdar_cli.training.base import prepare_base
        from sdar_cli.training.build import build_trainer
        from sdar_cli.training.collapse import train_until_collapse
        from sdar_cli.training.warmup_tracking import track_warmup

    run.update(status=RunStatus.WARMING_UP)
    base = ranks.from_main(lambda: prepare_base(workshop, run, root, listener))
    if base.warmup is not None and ranks.is_main():
        track_warmup(base.warmup, workshop.recipe, run.state.tracking_uri, tracker)
    evaluator = Evaluator(workshop, panel)
    built = ranks.together(lambda: build_trainer(workshop, base.path, run, listener))
    cells = _evaluate_base(workshop, evaluator, built, run, base, listener)
    _check_competence(workshop, base, cells["skills"])

    run.update(status=RunStatus.TRAINING)
    listener.phase("training", workshop.recipe.train.steps)
    checkpoint = ranks.from_main(run.latest_checkpoint)
    ranks.from_main(lambda: journal.rewind(checkpoint.step if checkpoint else 0))
    watch.catch_up(cells["no_skills"], journal)
    stopped = train_until_collapse(built, checkpoint, evaluator, watch)
    if stopped:
        listener.message(
            f"interrupted after step {built.trainer.state.global_step}: go on with `{_resume_command(run)}`"
        )
        return None

    run.update(status=RunStatus.EVALUATING)
    trained = {}
    for mode in ("no_skills", "skills"):
        trained[mode], episodes = built.evaluate(evaluator, mode, label="trained", listener=listener, transcribe=True)
        listener.evaluation(trained[mode], episodes)
    report = InternalisationReport.build(cells["no_skills"], cells["skills"], trained["no_skills"], trained["skills"])
    ranks.from_main(lambda: publish(run, root, workshop.recipe, tracker, report, journal))
    return report


def _evaluate_base(
    workshop: Workshop, evaluator: Evaluator, built: Any, run: RunFolder, base: Base, listener: Listener
) -> dict[str, Evaluation]:
    """Both cells of the base, from the run's folder where they were measured before an interruption.

    Raises RunError where the environment is no longer what they were measured in.
    """
    cells: dict[str, Evaluation] = {}
    for mode in ("no_skills", "skills"):
        kept = ranks.from_main(lambda mode=mode: _kept(run, mode))
        if kept is not None:
            cells[mode] = kept
            _check_conditions(workshop, cells[mode], run)
            continue
        cells[mode], episodes = built.evaluate(evaluator, mode, label="base", listener=listener, transcribe=True)
        listener.evaluation(cells[mode], episodes)
    return cells


def _kept(run: RunFolder, mode: Mode) -> Evaluation | None:
    file = run.evaluations().get(f"base-{mode}")
    return None if file is None else Evaluation.load(file)


def _check_conditions(workshop: Workshop, base: Evaluation, run: RunFolder) -> None:
    changed = differing(base.options, episode_options(workshop.environment))
    changed += differing(base.facts, workshop.environment.facts())
    if changed:
        raise RunError(
            f"the base of {run.name} was measured under other conditions ({', '.join(changed)} changed since): "
            "restore them, or start another run"
        )


def _check_competence(workshop: Workshop, base: Base, with_skills: Evaluation) -> None:
    warmup = workshop.recipe.warmup
    if warmup is None or base.warmup is None:
        return
    reached = with_skills.summary.success.estimate
    if reached < warmup.required_success:
        raise RunFailed(
            f"the warm-up reached {reached:.0%} success with skills, below warmup.required_success="
            f"{warmup.required_success:.0%}, so there is nothing to internalise: raise warmup.demonstrations or "
            "warmup.epochs, or lower what is required"
        )


@contextmanager
def _status(run: RunFolder, display: Listener) -> Iterator[None]:
    """Write down how the run ended when it did not end well."""
    if not ranks.is_main():
        yield
        return
    try:
        yield
    except KeyboardInterrupt:
        run.update(status=RunStatus.INTERRUPTED)
        display.message(f"interrupted: go on with `{_resume_command(run)}`")
        raise
    except SdarError as error:
        run.update(status=RunStatus.FAILED, error=said() or str(error))
        raise
    except Exception as error:
        run.update(status=RunStatus.FAILED, error=said() or f"{type(error).__name__}: {error}")
        raise


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
    finding = next(finding for finding in run.state.warnings if finding.collapse)
    return (
        f"the run {run.name} was ended at step {run.state.step}, as it collapsed ({finding.what}): evaluate it with "
        f"`sdar eval {run.name}`, or start another with guards.stop_on_collapse=false, which goes on"
    )


def _resume_command(run: RunFolder) -> str:
    return f"sdar resume {run.name}{runs_option(run.path.parent)}"
