"""``sdar eval``: a run's checkpoint beside its base, or a bare model, on one panel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunError
from sdar_cli.evaluation.evaluator import Evaluator
from sdar_cli.evaluation.panel import Panel, options_digest
from sdar_cli.evaluation.players import Player, engine_name
from sdar_cli.evaluation.record import record
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation, Mode
from sdar_cli.evaluation.run_conditions import file_suffix, kept_base, own_engine
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.evaluation.transcripts import Witness
from sdar_cli.models.adapter_folder import is_adapter
from sdar_cli.models.quantised import Quantised
from sdar_cli.paths import user_path
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.events import Listener
from sdar_cli.workshop import Workshop

if TYPE_CHECKING:
    from sdar_cli.rollout.episode import Episode


@dataclass(frozen=True, slots=True)
class EvalResult:
    target: str
    """The run's or the model's name."""
    checkpoint: str
    report: InternalisationReport | SingleReport
    tracking_uri: str

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target, "checkpoint": self.checkpoint, "report": self.report.to_json()}


@dataclass(frozen=True, slots=True)
class Weights:
    """One model to be played."""

    label: str
    path: str
    checkpoint: str
    step: int
    quantised: Quantised | None = None
    """How a run's base is held under its adapter; an adapter's folder says it itself."""
    own: str | None = None
    """The recipe's model, whose code may be run where the recipe's may."""


def evaluate_run(
    target: RunFolder | ModelFolder,
    resolved: ResolvedRecipe,
    *,
    root: Path,
    modes: Sequence[Mode],
    tasks: int | None,
    panel: Path | None,
    checkpoint: str,
    display: Listener,
    engine: str = "hf",
    own: str | None = None,
) -> EvalResult:
    """Play the panel with a checkpoint of a run, and with its base where that was not measured yet.

    Args:
        modes: without skills, with skills, or both; both are paired.
        tasks: size of a panel to draw, instead of the recipe's.
        panel: a panel file, instead of one that is drawn.
        checkpoint: ``last``, ``best``, ``base`` or a step; of a run only.
        engine: ``hf``, ``vllm`` or the URL of a server; evaluations by another are kept apart and not paired.
        own: the recipe's own model, where a bare model is played in its place.

    Raises:
        RunFailed: the server does not answer.
        RunError: there is no such checkpoint, or it is damaged.
        PanelError: the panel is malformed, or holds training tasks.
    """
    recipe = _with_panel(resolved.recipe, tasks, panel)
    run = target if isinstance(target, RunFolder) else None
    trained = _weights(target, checkpoint, own)
    with Workshop.open(recipe) as workshop:
        workshop.prepare(display)
        chosen = _panel(workshop, run)
        evaluator = Evaluator(workshop, chosen)
        plays = engine_name(engine)
        suffix = file_suffix(run, evaluator, plays)
        cells: dict[tuple[str, Mode], Evaluation] = {}
        fresh: list[tuple[Evaluation, list[Episode]]] = []
        alone = True
        if run is not None and trained.label != "base":
            cells |= kept_base(run, evaluator, modes, suffix, plays)
            missing = [mode for mode in modes if ("base", mode) not in cells]
            if missing and (own := own_engine(run)) != plays:
                display.message(
                    f"the evaluations of {run.name} were played by {own}: its base is played too, as checkpoint and "
                    "base are compared by one engine"
                )
            if missing:
                fresh += _play(evaluator, _base(run), missing, run, suffix, display, engine, alone=False)
            alone = not missing
        fresh += _play(evaluator, trained, modes, run, suffix, display, engine, alone=alone)
    cells |= {(evaluation.label, evaluation.mode): evaluation for evaluation, _ in fresh}
    report = _report(cells, trained.label, modes)
    uri = record(target, run, suffix, workshop, fresh, report, root, display)
    return EvalResult(target.name, trained.checkpoint, report, uri)


def _report(
    cells: Mapping[tuple[str, Mode], Evaluation], label: str, modes: Sequence[Mode]
) -> InternalisationReport | SingleReport:
    """All cells paired; the base's own are left out where the base is what was asked for."""

    def base(mode: Mode) -> Evaluation | None:
        return None if label == "base" else cells.get(("base", mode))

    if len(modes) == 1:
        return SingleReport(cells[label, modes[0]], base(modes[0]))
    own = cells[label, "no_skills"], cells[label, "skills"]
    return InternalisationReport.build(base("no_skills"), base("skills"), *own)


def _with_panel(recipe: Recipe, tasks: int | None, panel: Path | None) -> Recipe:
    changes: dict[str, Any] = {}
    if tasks is not None:
        changes = {"tasks": tasks, "panel": None}
    if panel is not None:
        changes = {"panel": str(panel)}
    return recipe.model_copy(update={"evaluation": recipe.evaluation.model_copy(update=changes)})


def _panel(workshop: Workshop, run: RunFolder | None) -> Panel:
    """The run's own panel; a new one where the evaluation section, or what a task is, was changed."""
    if run is None or run.recipe().evaluation != workshop.recipe.evaluation:
        return workshop.panel()
    panel = Panel.load(run.panel_file)
    if run.recipe().evaluation.panel is None and panel.options != options_digest(workshop.environment.options):
        return workshop.panel()
    panel.check_disjoint(workshop.environment.tasks("train"))
    return panel


def _weights(target: RunFolder | ModelFolder, checkpoint: str, own: str | None) -> Weights:
    if isinstance(target, ModelFolder):
        return Weights("model", str(target.path or target.reference), target.name, 0, own=own)
    if checkpoint == "base":
        return _base(target)
    found = target.wanted_checkpoint(checkpoint)
    if found is None:
        raise RunError(
            f"the run {target.name} has no checkpoint yet: wait for one, or evaluate its base with --checkpoint base"
        )
    path = str(found.path)
    return Weights("trained", path, f"step-{found.step}", found.step, own=own_model(target, path))


def _base(run: RunFolder) -> Weights:
    recipe = run.recipe()
    return Weights("base", base_path(run), "base", 0, Quantised.asked(recipe.model), recipe.starts_from)


def base_path(run: RunFolder) -> str:
    """Folder or hub id of the weights that a run's training started from. Raises RunError where there are none yet."""
    if run.base.is_dir():
        return str(run.base)
    recipe = run.recipe()
    if recipe.init_from is not None:
        from sdar_cli.training.base import init_folder

        return init_folder(recipe.init_from, run.path.parent)
    if recipe.model.path is None:
        raise RunError(f"the run {run.name} has no base yet: it was stopped in its warm-up; resume it first")
    return recipe.model.path


def own_model(run: RunFolder, path: str) -> str | None:
    """Whose code may be run with weights of a run (``whose_code``): that of what the run started from, as its recipe
    says; None where that is gone."""
    if not is_adapter(path):
        return run.recipe().starts_from
    try:
        return base_path(run)
    except RunError:
        return None


def _play(
    evaluator: Evaluator,
    weights: Weights,
    modes: Sequence[Mode],
    run: RunFolder | None,
    suffix: str,
    display: Listener,
    engine: str,
    *,
    alone: bool,
) -> list[tuple[Evaluation, list[Episode]]]:
    from sdar_cli.models.load import load_tokenizer
    from sdar_cli.training.transcript_scores import TokenScorer, transcribe_evaluation

    recipe = evaluator.workshop.recipe
    witness = Witness.of(evaluator.panel.task_ids, recipe.evaluation.transcripts if run is not None else 0)
    tokenizer = load_tokenizer(weights.path, trust_remote_code=recipe.model.trust_remote_code, own=weights.own)
    exchange = _exchange(recipe, run)
    about = tokenizer, exchange, alone, display.message, weights.quantised, weights.own
    player = Player(engine, evaluator, weights.path, *about)
    played = []
    with player.playing() as play:
        for mode in modes:
            display.phase(f"{weights.label} {'with' if mode == 'skills' else 'without'} skills", len(evaluator.panel))
            result = play(
                mode,
                label=weights.label,
                checkpoint=weights.checkpoint,
                step=weights.step,
                run=run.name if run else None,
                on_turn=display.advance,
                witness=witness,
            )
            display.evaluation(*result)
            played.append(result)
    if witness is not None:
        scorer = TokenScorer.of_model(recipe, player.model, tokenizer.pad_token_id)
        bank = evaluator.workshop.bank
        for evaluation, episodes in played:
            transcribe_evaluation(run, evaluation, episodes, witness, scorer, tokenizer, bank, display, suffix)
    return played


def _exchange(recipe: Recipe, run: RunFolder | None) -> Path:
    """A folder of this evaluation's own, for weights on their way to a server."""
    root = recipe.engine.sync_folder or (run.path if run is not None else tempfile.gettempdir())
    return user_path(root) / f"evaluation-{os.getpid()}"
