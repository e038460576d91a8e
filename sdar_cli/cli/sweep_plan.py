"""What ``sdar sweep --dry-run`` prints: cells, runs, a run's command, the panel, the expected cost."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.cli.render import duration, print_json, print_table, say

if TYPE_CHECKING:
    from sdar_cli.recipe.plan import PanelFacts
    from sdar_cli.sweep.cost import Cost
    from sdar_cli.sweep.make import Made

SHOWN = 30
"""Cells that are listed."""


def print_plan(made: Made, root: Path, jobs: int, *, named: bool, as_json: bool) -> None:
    from sdar_cli.recipe.plan import panel_facts
    from sdar_cli.sweep.cost import expected_cost
    from sdar_cli.sweep.draws import corners

    spec = made.spec
    panel = panel_facts(made.first)
    cost = expected_cost(spec, made.first.recipe, root)
    known = spec.grid()
    params = known[0] if known else spec.settle(next(corners(spec.axes, 1)))
    command = spec.run_command(params, spec.seeds[0])
    if as_json:
        print_json(_json(made, panel, cost, command, jobs))
        return
    say(f"study     {spec.name if named else 'named when it starts, or by --name'}")
    say(f"cells     {_cells(made)}")
    say(f"runs      {spec.total_runs}: {spec.total_cells} × seeds {_seeds(spec.seeds)}")
    if spec.pruner is not None:
        say(f"pruning   {spec.pruner.kind}, by the evaluations without skills; fewer runs than that may be needed")
    if any(axis.key.startswith("evaluation") for axis in spec.axes):
        say("panel     varies, so that cells are not measured alike")
    else:
        say(f"panel     {panel.tasks} tasks of {panel.split}, {_digest(panel)}")
    say(f"command   {shlex.join(command)}")
    say(f"cost      {_cost(made, cost, jobs)}")
    if not spec.axes:
        return
    say()
    headings = ("cell", *(axis.key for axis in spec.axes))
    if known:
        print_table(headings, [_row(made, index) for index in range(min(SHOWN, len(known)))])
        if len(known) > SHOWN:
            say(f"and {len(known) - SHOWN} more: all of them with --json")
    else:
        print_table(("axis",), [(str(axis),) for axis in spec.axes])


def _cells(made: Made) -> str:
    spec = made.spec
    if not spec.axes:
        return "1: the recipe as it is"
    text = f"{spec.total_cells}: {spec.search} over {', '.join(axis.key for axis in spec.axes)}"
    if spec.search == "grid" and made.combinations is not None and made.combinations > spec.total_cells:
        text += f"\n          ({made.combinations} combinations; what nothing reads beside the others is left out)"
    return text


def _seeds(seeds: tuple[int, ...]) -> str:
    return ",".join(map(str, seeds)) if len(seeds) <= 8 else f"{seeds[0]}, {seeds[1]}, … {seeds[-1]} ({len(seeds)})"


def _digest(panel: PanelFacts) -> str:
    return f"sha256 {panel.digest}" if panel.digest else f"not drawn: {panel.problem}"


def _cost(made: Made, cost: Cost | None, jobs: int) -> str:
    if cost is None:
        alone = shlex.join(["sdar", "train", "--recipe", made.spec.recipe])
        return f"unknown: nothing of this recipe was measured here; `{alone}` measures it"
    runs = (
        cost.measured[-1] if len(cost.measured) == 1 else f"{len(cost.measured)} runs, the newest {cost.measured[-1]}"
    )
    at_once = (
        "" if jobs == 1 else f", {duration(cost.total / jobs)} with --jobs {jobs} where they do not share a device"
    )
    other = "" if cost.alike else ", which had another model, environment, rollout or engine"
    return (
        f"{duration(cost.total)}{at_once}\n"
        f"          a run {duration(cost.per_run)}: {cost.steps:g} steps of {cost.step:.3g} s, and "
        f"{duration(cost.rest)} for start, warm-up and evaluations\n"
        f"          as measured in {runs}{other}; time scales with steps"
    )


def _row(made: Made, index: int) -> tuple[str, ...]:
    from sdar_cli.sweep.space import as_yaml

    params = made.spec.grid()[index]
    return (str(index), *(as_yaml(params[axis.key]) if axis.key in params else "–" for axis in made.spec.axes))


def _json(made: Made, panel: PanelFacts, cost: Cost | None, command: list[str], jobs: int) -> dict[str, Any]:
    from dataclasses import asdict

    spec = made.spec
    return {
        "study": spec.name,
        "recipe": spec.recipe,
        "search": spec.search,
        "axes": [str(axis) for axis in spec.axes],
        "combinations": made.combinations,
        "total_cells": spec.total_cells,
        "total_runs": spec.total_runs,
        "seeds": list(spec.seeds),
        "prune": None if spec.pruner is None else spec.pruner.model_dump(),
        "metric": spec.metric,
        "cells": [
            {"cell": index, "params": params, "label": spec.label(params)} for index, params in enumerate(spec.grid())
        ],
        "panel": asdict(panel),
        "command": command,
        "jobs": jobs,
        "cost": None if cost is None else cost.to_json(),
    }
