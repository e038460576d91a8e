"""What a training tells MLflow of itself: tags and a description at the start, tables and weights at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sdar_cli.errors import SdarError
from sdar_cli.evaluation.panel import Panel
from sdar_cli.importing import importing
from sdar_cli.launch.speaker import said
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener
from sdar_cli.training.follower import SilentTracker

if TYPE_CHECKING:
    from sdar_cli.evaluation.report import InternalisationReport
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.tracking.journal import Journal
    from sdar_cli.tracking.tracker import Tracker
    from sdar_cli.workshop import Workshop


@contextmanager
def tracking(workshop: Workshop, run: RunFolder, root: Path, display: Listener) -> Iterator[Tracker | SilentTracker]:
    """The run's tracker on rank 0; what ends the block badly ends the MLflow run with the reason."""
    from sdar_cli.tracking import labels
    from sdar_cli.tracking.wire import one_line

    tracker = ranks.together(lambda: _start(workshop, run, root, display) if ranks.is_main() else SilentTracker())
    try:
        yield tracker
    except KeyboardInterrupt:
        _end(tracker, "KILLED", {labels.STATUS: "interrupted"})
        raise
    except BaseException as error:
        _end(tracker, "FAILED", {labels.STATUS: "failed", labels.ERROR: said() or one_line(error, limit=1000)})
        raise


def _end(tracker: Tracker | SilentTracker, status: Literal["KILLED", "FAILED"], tags: Mapping[str, str]) -> None:
    """On a disk that is full, or closed to us, the reason is not put down, and what was put down before is kept."""
    try:
        for key, value in tags.items():
            tracker.tag(key, value)
        tracker.finish(status)
    except SdarError:
        with suppress(SdarError):  # of the same disk; it would hide why the run ends
            tracker.close(0.0)


def _start(workshop: Workshop, run: RunFolder, root: Path, display: Listener) -> Tracker:
    from sdar_cli.recipe.dump import dump
    from sdar_cli.tracking import labels, notes
    from sdar_cli.tracking.earlier import earlier
    from sdar_cli.tracking.known import Known
    from sdar_cli.tracking.leftover import FOLDER
    from sdar_cli.tracking.location import kept, runs_option, tracking_uri
    from sdar_cli.tracking.tracker import Tracker

    recipe, state = workshop.recipe, run.state
    uri = state.tracking_uri or tracking_uri(recipe, root)
    experiment = recipe.tracking.experiment or recipe.name
    panel = Panel.load(run.panel_file)
    tags = labels.of_training(
        recipe,
        run.path,
        panel=panel.digest,
        bank=f"{workshop.bank.name} {workshop.bank.digest[:12]}",
        commit=state.git_commit,
    )

    def before() -> Known:
        return Known() if state.mlflow_run_id is None else earlier(run.path / "metrics.jsonl", state.started)

    with importing():  # MLflow, and what its store is made of
        tracker = Tracker.start(
            uri=uri,
            experiment=experiment,
            run_name=run.name,
            recipe_yaml=dump(recipe),
            params=flatten(recipe.model_dump(mode="json")),
            tags=tags | {labels.STATUS: "running"},
            run_id=state.mlflow_run_id,
            parent=recipe.tracking.parent,
            system_metrics=recipe.tracking.system_metrics,
            spool=run.path / FOLDER,
            limit=int(recipe.tracking.spool * 2**30),
            before=before,
            remedy=f"`sdar runs send {run.name}{runs_option(root)}` sends them",
            say=display.message,
        )
    made = tracker.run_id
    run.update(tracking_uri=kept(uri), mlflow_run_id=made or None, experiment=experiment)
    if not made:  # maybe meanwhile
        tracker.on_made(lambda made: run.update(mlflow_run_id=made))
    tracker.panel(panel, run.panel_file)
    tracker.describe(notes.of_training(recipe, run.name, root))
    if state.tracking_uri is not None:
        tracker.untag(labels.ERROR)
    return tracker


def publish(
    run: RunFolder, root: Path, recipe: Recipe, tracker: Tracker, report: InternalisationReport, journal: Journal
) -> None:
    """The report, its tables, the plots and the checkpoint, in the run's folder and in MLflow."""
    from sdar_cli.tracking import notes, tables
    from sdar_cli.tracking.plots import write_plots

    run.save_evaluation("report", report.to_json())
    tracker.artifact_file(run.path / "evaluations" / "report.json")
    tracker.table(tables.of_report(report))
    tracker.table(tables.of_tasks(report))
    for path in write_plots(journal.read(), run.path / "plots"):
        tracker.artifact_file(path, "plots")
    note = notes.of_training(recipe, run.name, root, report)
    tracker.describe(note)
    _register(run, recipe, tracker, report, note)


def _register(run: RunFolder, recipe: Recipe, tracker: Tracker, report: InternalisationReport, note: str) -> None:
    from sdar_cli.recipe.dump import dump
    from sdar_cli.tracking.labels import of_training
    from sdar_cli.tracking.registry import Version, model_name

    checkpoint, name = run.latest_checkpoint(), recipe.tracking.registered_model
    if checkpoint is None or name == "":
        return
    about = of_training(
        recipe, run.path, panel=report.trained_without.panel, bank=report.bank, commit=run.state.git_commit
    )
    tags = {key: value for key, value in about.items() if key.startswith("sdar.") and key != "sdar.kind"}
    tags |= {"sdar.step": str(checkpoint.step), "sdar.checkpoint": str(checkpoint.path)}
    cells = {"no_skills": report.trained_without, "skills": report.trained_with}
    tracker.register(
        Version(
            name=model_name(name or recipe.tracking.experiment or recipe.name),
            checkpoint=checkpoint.path,
            step=checkpoint.step,
            recipe_yaml=dump(recipe),
            description=f"Step {checkpoint.step} of `{run.name}`.\n\n{note}",
            tags=tags,
            metrics={f"final/{mode}/success": cell.summary.success.estimate for mode, cell in cells.items()},
        )
    )


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping → dotted keys."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out
