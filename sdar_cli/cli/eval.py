"""``sdar eval``: how well a run or a model does without and with skills, on the same tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sdar_cli.cli.checkpoint_option import CheckpointOption, check_checkpoint
from sdar_cli.cli.render import JsonOption, RunsOption
from sdar_cli.cli.trust_option import TrustOption, announce, as_option
from sdar_cli.errors import UserError
from sdar_cli.paths import is_folder

Mode = Literal["no_skills", "skills"]


def evaluate(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run, a Hugging Face folder or id; else the latest run."),
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe.")] = None,
    no_skills: Annotated[bool, typer.Option("--no-skills", help="Without skills only.")] = False,
    skills: Annotated[bool, typer.Option("--skills", help="With skills only.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Both, paired: the default.")] = False,
    tasks: Annotated[int | None, typer.Option(min=1, help="Size of the panel.")] = None,
    panel: Annotated[Path | None, typer.Option(metavar="FILE", help="A panel file.")] = None,
    checkpoint: CheckpointOption = "last",
    engine: Annotated[
        str, typer.Option(metavar="hf|vllm|URL", help="What generates: Hugging Face, vLLM, or a server of vLLM.")
    ] = "hf",
    recipe: Annotated[str | None, typer.Option("--recipe", "-r", help="The recipe to play a bare model by.")] = None,
    runs: RunsOption = None,
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a run or a model, without and with skills.

    Usage: sdar eval latest --both --tasks 64
    """
    from sdar_cli.recipe.load import load_recipe, named_model
    from sdar_cli.runs.own_recipe import own_recipe
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import runs_root

    modes = _modes(no_skills, skills, both)
    if tasks is not None and panel is not None:
        raise UserError("--tasks and --panel both choose the panel: give one of them")
    check_checkpoint(checkpoint)
    _check_engine(engine)
    run, changes = _split(run, overrides or [])
    root = runs_root(runs)
    target = resolve_run(run, root)
    trusted, own = as_option(trust_remote_code), None
    if isinstance(target, ModelFolder):
        if recipe is None:
            raise UserError(f"{target.name} is a bare model: say which recipe to play it by, with --recipe NAME")
        if checkpoint != "last":
            raise UserError(f"{target.name} is a bare model without checkpoints: leave --checkpoint out")
        model, own = str(target.path or target.reference), named_model(recipe, changes)
        resolved = load_recipe(recipe, [], changes, {"model.path": ("RUN", model), **trusted})
    elif recipe is not None:
        raise UserError(f"the run {target.name} has its own recipe: leave --recipe out")
    else:
        resolved = own_recipe(target.path / "recipe.yaml", changes, options=trusted)
    announce(resolved.recipe, target.path)

    from sdar_cli.cli.display import Display, may_download
    from sdar_cli.cli.results import print_evaluation

    with Display(downloads=may_download(resolved.recipe)) as display:
        from sdar_cli.evaluation.evaluate import evaluate_run

        result = evaluate_run(
            target,
            resolved,
            root=root,
            modes=modes,
            tasks=tasks,
            panel=panel,
            checkpoint=checkpoint,
            display=display,
            engine=engine,
            own=own,
        )
    print_evaluation(result, root, as_json=as_json)


def _modes(no_skills: bool, skills: bool, both: bool) -> tuple[Mode, ...]:
    if no_skills + skills + both > 1:
        raise UserError("--no-skills, --skills and --both exclude each other: give one, or none for both")
    if no_skills:
        return ("no_skills",)
    return ("skills",) if skills else ("no_skills", "skills")


def _check_engine(engine: str) -> None:
    if engine not in ("hf", "vllm") and not engine.startswith(("http://", "https://")):
        raise UserError(
            f"--engine is {engine!r}, but must be hf, vllm or a URL such as http://127.0.0.1:8000: correct it"
        )
    if "@" in engine:
        raise UserError("--engine holds a user or password: leave it out, and put the server's key into VLLM_API_KEY")


def _split(run: str | None, overrides: list[str]) -> tuple[str | None, list[str]]:
    """``sdar eval rollout.max_turns=9`` leaves RUN out: a word with ``=`` is an override."""
    if run is not None and "=" in run and not is_folder(run):
        return None, [run, *overrides]
    return run, overrides
