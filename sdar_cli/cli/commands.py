"""The table of commands. A command's module is imported when it is called, not before."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sdar_cli.errors import UserError


@dataclass(frozen=True, slots=True)
class Entry:
    module: str
    attribute: str
    """A function, or a ``typer.Typer`` for a group of commands."""
    help: str


COMMANDS = {
    "train": Entry("train", "train", "Train an agent from a recipe."),
    "eval": Entry("eval", "evaluate", "Measure a run or a model, without and with skills."),
    "sweep": Entry("sweep", "app", "Search a space of settings, each over several seeds."),
    "compare": Entry("compare", "compare", "Compare runs, cells or methods, with intervals."),
    "resume": Entry("resume", "resume", "Go on with an interrupted run."),
    "export": Entry("export", "export", "Write a run's weights for transformers and vLLM."),
    "runs": Entry("runs", "app", "List, show and remove runs."),
    "recipes": Entry("recipes", "app", "List, show and copy recipes."),
    "methods": Entry("methods", "methods", "List the methods, each with its formula and source."),
    "skills": Entry("skills", "app", "Look into skill banks and their retrieval."),
    "play": Entry("play", "play", "Play an environment: you, its expert or a checkpoint."),
    "data": Entry("data", "app", "Fetch, import, check or generate what an environment needs."),
    "panel": Entry("panel", "app", "Make, show and compare panels of tasks."),
    "retriever": Entry("retriever", "app", "Serve a corpus to Search-QA over HTTP."),
    "ui": Entry("ui", "ui", "Open MLflow at the store the runs went to."),
    "doctor": Entry("doctor", "doctor", "Check this machine, one remedy a problem."),
}


class LazyGroup(TyperGroup):
    """Lists static help lines, and imports a command's module when that command is resolved."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with the help line only: all that the overview needs."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(name=cmd_name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            found = get_close_matches(name, list(COMMANDS), n=1)
            hint = f"did you mean {found[0]!r}?" if found else "see `sdar --help`"
            raise UserError(f"there is no command {name!r}: {hint}")
        if name not in COMMANDS:
            return super().resolve_command(ctx, args)
        return name, load_command(name), args[1:]


def load_command(name: str) -> Any:
    """Import a command and build its parser."""
    entry = COMMANDS[name]
    found = getattr(importlib.import_module(f"sdar_cli.cli.{entry.module}"), entry.attribute)
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name)(found)
        command = typer.main.get_command(app)
    command.name = name
    return command


def root_command() -> Any:
    app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None, name="sdar")
    app.callback()(_root)
    return typer.main.get_group(app)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"sdar {version('sdar')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_print_version),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")] = False,
) -> None:
    """Train multi-turn LLM agents by Self-Distilled Agentic Reinforcement Learning, and measure what moved
    into the weights.

    Usage: sdar train --recipe quickstart
    """
