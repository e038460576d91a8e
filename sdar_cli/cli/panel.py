"""``sdar panel``: frozen lists of tasks on which checkpoints are compared."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import JsonOption, note, one_line, print_json, print_table, say
from sdar_cli.errors import PanelError, UserError

if TYPE_CHECKING:
    from sdar_cli.evaluation.panel import Panel
    from sdar_cli.evaluation.panel_diff import PanelDiff
    from sdar_cli.evaluation.panel_source import PanelSource
    from sdar_cli.recipe.schema import EnvironmentSection
    from sdar_envs.base import Environment

SHOWN = 5
"""Task ids that are listed where not all of them are asked for."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Make, show and compare panels of tasks.\n\nUsage: sdar panel show household",
)

RecipeOption = Annotated[str | None, typer.Option("--recipe", "-r", help="A recipe: its environment and options.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="PATH", help="The environment's data folder.")]
PanelArgument = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A panel's file, or a shipped panel's name.")]


@app.command("ls")
def list_panels(as_json: JsonOption = False) -> None:
    """List the shipped panels.

    Usage: sdar panel ls
    """
    from sdar_cli.evaluation.panel_files import find_panel, shipped_panels

    panels = {name: find_panel(name) for name in shipped_panels()}
    if as_json:
        print_json([{"name": name, **_facts(panel)} for name, panel in panels.items()])
        return
    print_table(
        ("panel", "environment", "split", "tasks", "digest"),
        [(name, p.environment, p.split, str(len(p)), p.digest[:12]) for name, p in panels.items()],
        ("tasks",),
    )


@app.command("make")
def make(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the panel is written.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides.")] = None,
    recipe: RecipeOption = None,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="ENV", help="A name, or path/to/file.py:Class.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="The split; else the recipe's, or test.")] = None,
    tasks: Annotated[
        int | None, typer.Option("--tasks", min=1, metavar="N", help="How many; else the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S", help="The panel's seed.")] = None,
    data: DataOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a panel, as evenly over the task types as the split allows, and write it.

    Usage: sdar panel make --recipe quickstart --tasks 96 --out mine.json
    """
    from sdar_cli.environments import build_environment
    from sdar_cli.evaluation.panel import Panel

    source = _source(recipe, environment, overrides or [], data=data, split=split, tasks=tasks, seed=seed)
    if out.is_dir() or (out.exists() and not force):
        remedy = "give the name of a file" if out.is_dir() else "give another name, or --force to replace it"
        raise PanelError(f"{out} {'is a folder' if out.is_dir() else 'exists already'}: {remedy}")
    with closing(build_environment(source.environment)) as built:
        _prepare(built, source.environment)
        wanted = source.evaluation
        panel = Panel.make(built, wanted.split, wanted.tasks, wanted.panel_seed)
        panel.check_disjoint(built.tasks("train"))
    try:
        panel.save(out)
    except OSError as error:
        raise PanelError(f"{out} cannot be written ({error.strerror}): give another place") from None
    if as_json:
        print_json({"file": str(out), **_facts(panel)})
        return
    note(f"wrote {out}")
    _print_header(panel)


@app.command("show")
def show(
    panel: PanelArgument,
    ids: Annotated[bool, typer.Option("--ids", help="List every task id.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look the tasks up, and see that training holds none of them.")
    ] = False,
    recipe: RecipeOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a panel: where it is from, its tasks by type, its hash and its first ids.

    Usage: sdar panel show household --ids
    """
    from sdar_cli.evaluation.panel_files import find_panel

    if not check and (recipe is not None or data is not None):
        raise UserError("--recipe and --data say what a panel is checked against: add --check")
    found = find_panel(panel)
    training = _check(found, recipe, data) if check else None
    if as_json:
        print_json({**_facts(found), "checked_against_training_tasks": training, "task_ids": list(found.task_ids)})
        return
    _print_header(found)
    if training is not None:
        say(f"\nchecked: all {len(found)} tasks are there, none is among the {training} training tasks")
    listed = found.task_ids if ids else found.task_ids[:SHOWN]
    say()
    say("\n".join(map(one_line, listed)))
    if len(listed) < len(found):
        note(f"{len(found) - len(listed)} more: --ids lists all")


@app.command("diff")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A panel's file, or a shipped panel's name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two panels. Exit code 0 when they are equal, 1 when they are not.

    Usage: sdar panel diff household mine.json
    """
    from sdar_cli.evaluation.panel_diff import PanelDiff
    from sdar_cli.evaluation.panel_files import find_panel

    found = PanelDiff.of(find_panel(first), find_panel(second))
    if as_json:
        print_json(found.to_json())
    else:
        _print_diff(found)
    if not found.equal:
        raise typer.Exit(1)


def _source(
    recipe: str | None,
    environment: str | None = None,
    overrides: Sequence[str] = (),
    *,
    data: str | None = None,
    split: str | None = None,
    tasks: int | None = None,
    seed: int | None = None,
) -> PanelSource:
    from sdar_cli.evaluation.panel_source import of_environment, of_recipe

    if (recipe is None) == (environment is None):
        raise UserError("what the panel is drawn from is unclear: give one of --recipe and --environment")
    given: dict[str, tuple[str, Any]] = {
        "environment.options.data": ("--data", data),
        "evaluation.split": ("--split", split),
        "evaluation.tasks": ("--tasks", tasks),
        "evaluation.panel_seed": ("--seed", seed),
    }
    options = {key: value for key, value in given.items() if value[1] is not None}
    if recipe is not None:
        return of_recipe(recipe, overrides, options)
    assert environment is not None
    return of_environment(environment, overrides, options)


def _prepare(environment: Environment, section: EnvironmentSection) -> None:
    from sdar_cli.cli.progress import progress_bar

    with progress_bar(f"preparing {environment.name}") as progress:
        environment.prepare(section.workers, progress)


def _check(panel: Panel, recipe: str | None, data: str | None) -> int:
    """Training tasks that the panel was held against."""
    from sdar_cli.environments import build_environment
    from sdar_cli.evaluation.panel_check import check_tasks, own_environment

    section = own_environment(panel, data) if recipe is None else _source(recipe, data=data).environment
    with closing(build_environment(section)) as built:
        panel.check_environment(built)
        _prepare(built, section)
        return check_tasks(panel, built)


def _facts(panel: Panel) -> dict[str, Any]:
    return {
        "environment": panel.environment,
        "options": panel.options,
        "settings": dict(panel.settings),
        "split": panel.split,
        "seed": panel.seed,
        "tasks": len(panel),
        "task_types": panel.by_type,
        "digest": panel.digest,
    }


def _print_header(panel: Panel) -> None:
    say(f"environment  {one_line(panel.environment)}, split {one_line(panel.split)}, seed {panel.seed}")
    say(f"options      {_settings(panel)}")
    say(f"digest       {panel.digest}\n")
    types = panel.by_type or {"(types not kept)": len(panel)}
    rows = [(one_line(name), str(count)) for name, count in types.items()]
    print_table(("task type", "tasks"), [*rows, ("all", str(len(panel)))], ("tasks",))


def _settings(panel: Panel) -> str:
    if not panel.settings:
        return f"hash {panel.options[:12]}"
    unread = _unread(panel)
    return " ".join(f"{key}={_value(value)}" for key, value in panel.settings.items() if key not in unread)


def _unread(panel: Panel) -> set[str]:
    """Options that the environment does not read beside the panel's others; none where it is not at hand."""
    from sdar_cli.environments import environment_names, resolve_environment

    if panel.environment not in environment_names():
        return set()
    try:
        conditions = resolve_environment(panel.environment).Options.only_where
    except UserError:  # it cannot be imported here
        return set()
    return {key for key, (other, value) in conditions.items() if panel.settings.get(other, value) != value}


def _value(value: Any) -> str:
    import json

    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _print_diff(found: PanelDiff) -> None:
    a, b = found.first, found.second
    rows = [(name, str(getattr(a, name)), str(getattr(b, name))) for name in ("environment", "split", "seed")]
    rows += [("options", a.options[:12], b.options[:12])]
    rows += [(f"  {key}", _value(x), _value(y)) for key, (x, y) in found.other_settings.items()]
    rows += [("tasks", str(len(a)), str(len(b))), ("digest", a.digest[:12], b.digest[:12])]
    marked = [(name, x, y, "" if x == y else "other") for name, x, y in rows]
    print_table(("", "A", "B", ""), marked)
    order = "in the same order" if found.same_order else "in another order"
    say(f"\nshared    {len(found.shared)} tasks{', ' + order if found.shared else ''}")
    for name, only in (("only in A", found.only_first), ("only in B", found.only_second)):
        first = f", for example {one_line(only[0])}" if only else ""
        say(f"{name} {len(only)} tasks{first}")
    say("\nequal" if found.equal else "\nnot equal: results on one cannot be compared with results on the other")
