"""``sdar doctor``: what this machine has, or what a recipe needs of it, and a remedy for what is lacking."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdar_cli.cli.launching import DistOption, NprocOption
from sdar_cli.cli.render import JsonOption, RunsOption, note, print_json, say
from sdar_cli.cli.streams import console
from sdar_cli.cli.train import DataOption, ModelOption
from sdar_cli.launch.dist import DEFAULT

if TYPE_CHECKING:
    from sdar_cli.checkup.finding import Finding

RecipeOption = Annotated[
    str | None, typer.Option("--recipe", "-r", metavar="NAME", help="Check what this recipe needs: a name, or a file.")
]
OverlayOption = Annotated[
    list[Path] | None, typer.Option("-c", "--config", metavar="FILE", help="YAML laid over the recipe; repeatable.")
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe, as for training.")
]
NARROWEST = 60
INDENT = "  "


def doctor(
    overrides: OverridesArgument = None,
    recipe: RecipeOption = None,
    overlays: OverlayOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    nproc: NprocOption = None,
    dist: DistOption = DEFAULT,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, or a recipe on it: packages, devices, engines, data, services, room. Exit code 1 with a
    problem.

    Usage: sdar doctor --recipe alfworld-qwen3-1.7b --nproc 8 --dist fsdp2
    """
    from dataclasses import asdict

    from sdar_cli.errors import UserError
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    given = {"model.path": ("--model", model), "environment.options.data": ("--data", data)}
    options = {key: value for key, value in given.items() if value[1] is not None}
    if recipe is None:
        from sdar_cli.checkup.overview import examine

        if overrides or overlays or options or nproc is not None or dist != DEFAULT:
            raise UserError(
                "overrides, -c, --model, --data, --nproc and --dist are about a recipe: name one with --recipe"
            )
        with _looking():
            findings = examine(root)
    else:
        from sdar_cli.checkup.needs import examine_recipe
        from sdar_cli.recipe.load import load_recipe

        resolved = load_recipe(recipe, overlays or [], overrides or [], options, check_environment=False)
        with _looking():
            findings = examine_recipe(resolved.recipe, root, nproc, dist)
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if as_json:
        print_json({"ok": not problems, "recipe": recipe, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
        note("no problem found" if not problems else f"{len(problems)} to mend")
    if problems:
        raise typer.Exit(1)


def _looking() -> AbstractContextManager[object]:
    """Something that moves, on a terminal: vLLM takes its time to be imported."""
    screen = console(stderr=True)
    return screen.status("looking around") if screen.is_terminal else nullcontext()


def _print(findings: Sequence[Finding]) -> None:
    """A line a finding, its remedy below it; nothing is cut, as remedies are there to be copied."""
    import shutil
    import textwrap

    subject = max(len(finding.subject) for finding in findings)
    verdict = max(len(finding.verdict) for finding in findings)
    margin = " " * (verdict + subject + 2 * len(INDENT))
    width = max(NARROWEST, shutil.get_terminal_size().columns)

    def lines(text: str, first: str) -> str:
        rest = margin + " " * (len(first) - len(margin))
        return textwrap.fill(
            text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )

    for finding in findings:
        head = f"{finding.verdict:<{verdict}}{INDENT}{finding.subject:<{subject}}{INDENT}"
        say(lines(finding.found, head))
        if finding.remedy:
            say(lines(finding.remedy, f"{margin}→ "))
