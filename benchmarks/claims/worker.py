"""One run in this process: train, read what it left, throw the weights away. Meant for a spawned worker."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from claims.jobs import BASE, Job
from claims.table import Row, Status
from sdar_cli.errors import SdarError
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.runs.state import git_commit
from sdar_cli.runs.store import RunFolder
from sdar_cli.statistics import paired_difference
from sdar_cli.tracking.journal import Journal
from sdar_cli.tracking.location import DATABASE, sqlite_uri
from sdar_cli.training.events import Listener

if TYPE_CHECKING:
    from sdar_cli.training.run import TrainResult

RECIPE = "household-claims"
CELLS = {
    "base_no_skills": "base-no_skills",
    "base_skills": "base-skills",
    "trained_no_skills": "trained-step-{steps}-no_skills",
    "trained_skills": "trained-step-{steps}-skills",
}
"""Column → name of the evaluation."""
CURVES: Mapping[str, tuple[str, Callable]] = {
    "kl": ("policy/kl", mean),
    "entropy": ("policy/entropy", mean),
    "gate_mean": ("gate/mean", mean),
    "gap_mean": ("gap/mean", mean),
    "train_success": ("rollout/success", mean),
    "train_success_min": ("rollout/success", min),
}
"""Column → metric of a step, and how its last values are put together."""
LATE = 0.25
"""The share of the steps, the last ones, that curves are averaged over."""


class Interrupted(Exception):
    """The run was asked to stop before its end, and is no result."""


def warm_imports() -> None:
    """What a worker imports once, before its first run, so that no run's seconds hold it."""
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.training import build, run  # noqa: F401

    import_mlflow()


def make_store(runs: Path) -> None:
    """Make MLflow's store under ``runs`` before several workers would at once."""
    from sdar_cli.tracking.quiet import import_mlflow

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        import_mlflow().MlflowClient(tracking_uri=sqlite_uri(runs / DATABASE)).search_experiments(max_results=1)


def resolve(job: Job, base: Path | None = None, recipe: str = RECIPE) -> ResolvedRecipe:
    """The job's recipe: the world follows the seed. ``base`` stands in for ``{base}`` in overrides."""
    words = [word.replace(BASE, str(base)) for word in job.overrides]
    world = f"environment.options.rulebook={job.seed}"
    unregistered = 'tracking.registered_model=""'
    return load_recipe(recipe, [], [world, unregistered, *words], {"seed": ("the job's seed", job.seed)})


def warm_up(job: Job, recipe: str = RECIPE) -> Path:
    """The folder of the base of a job's seed, made and kept in the cache where it is not there yet."""
    from sdar_cli.training.warmup_cache import warm_base
    from sdar_cli.workshop import Workshop

    resolved = resolve(Job(job.study, job.label, (), job.seed), recipe=recipe)
    with Workshop.open(resolved.recipe) as workshop:
        return warm_base(resolved.recipe, workshop.environment, workshop.bank, Listener()).folder


def run(job: Job, runs: Path, recipe: str = RECIPE) -> Row:
    """Train a job under ``runs``; its weights are removed afterwards.

    A run that fails gives a row too, with the sentence. Raises Interrupted for one that was stopped.
    """
    from sdar_cli.training.run import train

    listener = _Notes()
    wall, cpu = time.perf_counter(), time.process_time()
    resolved, sentence, result = None, "", None
    try:
        resolved = resolve(job, warm_up(job, recipe) if any(BASE in word for word in job.overrides) else None, recipe)
        result = train(resolved, root=runs, name=None, display=listener)
    except SdarError as error:
        sentence = str(error)
    except Exception as error:  # a bug is a result too: it must not end the other runs
        sentence = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    folder = result.run if result is not None else listener.folder(runs)
    try:
        note = (sentence or listener.note).replace(str(runs.absolute()), "RUNS")
        return row_of(job, resolved, result, folder, note, seconds)
    finally:
        if folder is not None:
            for weights in ("base", "checkpoints"):
                shutil.rmtree(folder.path / weights, ignore_errors=True)


def row_of(
    job: Job,
    resolved: ResolvedRecipe | None,
    result: TrainResult | None,
    folder: RunFolder | None,
    note: str,
    seconds: tuple[float, float],
) -> Row:
    """The row of a run: ``result`` is None for one that failed, and ``folder`` where it failed before it had one."""
    from sdar_cli.recipe.dump import recipe_digest

    recipe = resolved.recipe if resolved is not None else None
    steps = recipe.train.steps if recipe is not None else 0
    if result is not None and result.report is None:
        raise Interrupted(f"the run of {job.label}, seed {job.seed}, was stopped before its end")
    evaluations = {} if folder is None else folder.evaluations()
    files = {name: file.format(steps=steps) for name, file in CELLS.items()}
    wins = {name: Evaluation.load(evaluations[file]).won() for name, file in files.items() if file in evaluations}
    return Row(
        study=job.study,
        label=job.label,
        method=recipe.method if recipe is not None else "",
        overrides=" ".join(job.overrides),
        seed=job.seed,
        status="failed" if result is None else status_of(wins),
        steps=folder.state.step if folder is not None else 0,
        tasks=len(wins["base_no_skills"]) if "base_no_skills" in wins else None,
        **{name: sum(won) / len(won) for name, won in wins.items()},
        **late([] if folder is None else Journal(folder.path / "metrics.jsonl").read(), steps),
        seconds=seconds[0],
        cpu_seconds=seconds[1],
        commit=git_commit() or "unknown",
        recipe=recipe_digest(recipe)[:12] if recipe is not None else "",
        note=" ".join(note.split())[:300],
    )


def status_of(wins: Mapping[str, Sequence[bool]]) -> Status:
    """``collapsed`` where training undid what the base could do; see ``Row.status``. Column → solved, task by task."""
    without = paired_difference(wins["trained_no_skills"], wins["base_no_skills"])
    lost = sum(wins["trained_skills"]) < sum(wins["base_skills"]) / 2
    return "collapsed" if without.high < 0 or lost else "finished"


def late(rows: Sequence[Mapping[str, float]], steps: int) -> dict[str, float]:
    """Curves over the last quarter of the steps, by column; what no row has is left out."""
    last = [row for row in rows if row["step"] > steps * (1 - LATE)]
    out = {}
    for column, (metric, summary) in CURVES.items():
        seen = [row[metric] for row in last if metric in row]
        if seen:
            out[column] = float(summary(seen))
    return out


class _Notes(Listener):
    """Keeps what a run says that is worth a note, and its name."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._name: str | None = None

    def message(self, text: str) -> None:
        if text.startswith("run "):
            self._name = text.removeprefix("run ")
        elif not text.startswith("warm-up "):
            self._said.append(text)

    @property
    def note(self) -> str:
        return "; ".join(self._said)

    def folder(self, runs: Path) -> RunFolder | None:
        return RunFolder.open(runs / self._name) if self._name is not None else None
