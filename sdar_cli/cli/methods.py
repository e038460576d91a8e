"""``sdar methods``: the objectives, their formulas, and what each reads of a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from sdar_cli.objectives.objective import Objective


def methods(
    name: Annotated[str | None, typer.Argument(help="A method, to be shown in full.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the methods that `sdar train --method` knows, or show one with its formula, source and preset.

    Usage: sdar methods rlsd
    """
    from sdar_cli.objectives.registry import OBJECTIVES

    if name is None:
        if as_json:
            print_json([_facts(objective) for objective in OBJECTIVES.values()])
            return
        print_table(("method", "loss"), [(o.name, o.formula) for o in OBJECTIVES.values()])
        return
    objective = _find(name)
    if as_json:
        print_json(_facts(objective) | {"about": _about(objective), "preset": _preset(objective)})
        return
    print(_about(objective))
    print(f"\nsource  {objective.source}")
    print(f"reads   {', '.join(sorted(objective.settings)) or 'nothing of its own'}")
    if objective.forms:
        print(f"forms   {', '.join(objective.forms)} (distill.form)")
    print(f"\n{_preset(objective).rstrip()}")


def _find(name: str) -> Objective:
    from sdar_cli.errors import RecipeError
    from sdar_cli.objectives.registry import OBJECTIVES
    from sdar_cli.recipe.explain import nearest

    if name in OBJECTIVES:
        return OBJECTIVES[name]
    meant = nearest(name, OBJECTIVES)
    hint = f"did you mean {meant!r}?" if meant else "choose one from `sdar methods`"
    raise RecipeError(f"there is no method {name!r}: {hint}")


def _facts(objective: Objective) -> dict[str, Any]:
    return {
        "name": objective.name,
        "formula": objective.formula,
        "source": objective.source,
        "reads": sorted(objective.settings),
        "forms": list(objective.forms),
    }


def _about(objective: Objective) -> str:
    """The module's own words."""
    import importlib
    import inspect

    return inspect.getdoc(importlib.import_module(f"sdar_cli.objectives.{objective.name}")) or ""


def _preset(objective: Objective) -> str:
    from sdar_cli.recipe.load import shipped_folder

    return (shipped_folder() / "methods" / f"{objective.name}.yaml").read_text(encoding="utf-8")
