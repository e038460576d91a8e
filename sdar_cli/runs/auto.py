"""Which run goes on when nobody names it: ``sdar resume`` alone, and ``sdar train --auto-resume``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdar_cli.errors import RecipeError, RunError
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.unused import idle_keys
from sdar_cli.runs.resolve import latest_run
from sdar_cli.runs.state import RunState, RunStatus
from sdar_cli.runs.store import RunFolder, check_name, list_states
from sdar_cli.tracking.location import runs_option
from sdar_cli.training.guards import Finding

OPEN = (RunStatus.INTERRUPTED, RunStatus.FAILED)
"""Of the runs that ended, those that can go on."""
SHOWN = 6
"""Keys that a sentence names."""


def newest_open(root: Path, *, busy: bool = False) -> RunFolder:
    """The newest run that can go on.

    Args:
        busy: also one that a process works on, such as another one of this run's.

    Raises:
        RunError: there is none.
    """
    if (run := next(_open_runs(root, busy), None)) is not None:
        return run
    newest = latest_run(root)
    raise RunError(
        f"no run in {root} can go on (the newest, {newest.name}, is {newest.status}): start one with `sdar train`, or "
        "name the folder with --runs"
    )


def find(resolved: ResolvedRecipe, root: Path, name: str | None) -> RunFolder | None:
    """The run that a command goes on with, or that is over already; None where it starts one.

    Args:
        name: the run's; without one it is the newest of equal settings that can go on.

    Raises:
        RecipeError: the run of this name has other settings; the sentence names them.
        RunError: the name is unusable, or its ``run.json`` is damaged.
    """
    if name is None:
        return next((run for run in _open_runs(root) if _trains(run, resolved.recipe)), None)
    check_name(name)
    run = RunFolder(root.absolute() / name)
    if not (run.path / "run.json").exists():
        return None
    if keys := differing_keys(run, run.state, resolved.recipe):
        more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        raise RecipeError(
            f"the run {name} was started with another {', '.join(keys[:SHOWN])}{more}: give it what it had, or choose "
            f"another --name; `sdar resume {name}{runs_option(root)}` goes on with its own settings"
        )
    return run


def differing_keys(run: RunFolder, state: RunState, recipe: Recipe) -> list[str]:
    """The keys of a recipe that the run was not started with, of those that have an effect, sorted.

    Raises:
        RecipeError: the run's own recipe cannot be read.
    """
    if state.recipe_digest == recipe_digest(recipe):
        return []
    then, now = _effective(run.recipe()), _effective(recipe)
    missing = object()
    return sorted(key for key in then.keys() | now.keys() if then.get(key, missing) != now.get(key, missing))


def how_it_stands(run: RunFolder) -> str:
    """``interrupted at step 3 of 8``."""
    state = run.state
    return f"{run.status} at step {state.step} of {state.steps}"


def collapse_of(run: RunFolder) -> Finding:
    """What ended a run of status ``collapsed``.

    Raises:
        RunError: its ``run.json`` does not say, as somebody changed it.
    """
    if (found := next((finding for finding in run.state.warnings if finding.collapse), None)) is not None:
        return found
    raise RunError(
        f"{run.path / 'run.json'} says that the run collapsed, and not why: restore it, or remove the folder"
    )


def _trains(run: RunFolder, recipe: Recipe) -> bool:
    try:
        return not differing_keys(run, run.state, recipe)
    except (RecipeError, RunError):  # of a version that knew other keys
        return False


def _open_runs(root: Path, busy: bool = False) -> Iterator[RunFolder]:
    """The newest first."""
    for run, state in reversed(list_states(root)):
        try:
            is_busy = run.lock().is_held()
        except RunError:
            continue
        if (busy and is_busy) or (not is_busy and (not state.status.is_over or state.status in OPEN)):
            yield run


def _effective(recipe: Recipe) -> dict[str, Any]:
    """Dotted key → value, without what nothing reads."""
    values = recipe.model_dump(mode="json")
    for dotted in idle_keys(recipe):
        section, name = dotted.split(".")
        del values[section][name]
    return dict(_flat(values, ""))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
