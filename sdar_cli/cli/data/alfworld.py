"""``sdar data alfworld``: the official games, checked or fetched; or small generated ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sdar_cli.cli.data.options import checked
from sdar_cli.cli.progress import progress_bar
from sdar_cli.cli.render import JsonOption, note, print_json, print_table
from sdar_cli.errors import EnvironmentSetupError, RecipeError


def alfworld(
    check: Annotated[bool, typer.Option("--check", help="Count and vet the official games (the default).")] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the official games from where they are published.")
    ] = False,
    generate: Annotated[bool, typer.Option("--generate", help="Generate small games, and show what there is.")] = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The folder that holds json_2.1.1; else ALFWORLD_DATA."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(metavar="R", help="Generate the games that this recipe plays.")] = None,
    train: Annotated[int | None, typer.Option(metavar="N", help="Generated games to train on.")] = None,
    test: Annotated[int | None, typer.Option(metavar="N", help="Generated games held out.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the generated games.")] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that generate.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Check or fetch the official ALFWorld games, or generate small ones.

    Usage: sdar data alfworld --check --data ~/alfworld
    """
    if generate:
        if check or fetch or data is not None:
            raise RecipeError("--generate makes games of its own: leave out --check, --fetch and --data")
        _generate(_options(recipe, {"train": train, "test": test, "seed": seed}), workers, as_json)
        return
    if recipe is not None or any(value is not None for value in (train, test, seed)):
        raise RecipeError("--recipe, --train, --test and --seed are for generated games: add --generate")
    if fetch:
        _fetch(data)
    _check(data, as_json)


def _check(data: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from sdar_envs.alfworld.inspection import check

    with progress_bar("checking games") as progress:
        checks = check(data, progress)
    if as_json:
        print_json([asdict(item) for item in checks])
    else:
        rows = [
            (item.split, str(item.games), str(item.expected), str(len(item.refused)), item.folder) for item in checks
        ]
        print_table(("split", "games", "expected", "refused", "folder"), rows, ("games", "expected", "refused"))
    refused = [sentence for item in checks for sentence in item.refused]
    if refused:
        raise EnvironmentSetupError(refused[0])


def _fetch(data: str | None) -> None:
    from sdar_envs.alfworld.download import fetch
    from sdar_envs.alfworld.official import data_folder

    folder = data_folder(data)
    note(f"fetching the official games to {folder}")
    fetch(folder, progress_bar)


def _options(recipe: str | None, changes: dict[str, int | None]) -> Any:
    from sdar_envs.alfworld.environment import AlfworldOptions

    values: dict[str, Any] = {"games": "generated"}
    if recipe is not None:
        from sdar_cli.recipe.load import load_recipe

        section = load_recipe(recipe, [], []).recipe.environment
        if section.name != "alfworld" or section.options.get("games") != "generated":
            raise RecipeError(
                f"the recipe {recipe} does not play generated ALFWorld games: leave out --recipe, or name alfworld-tiny"
            )
        values = dict(section.options)
    values |= {key: value for key, value in changes.items() if value is not None}
    for key in ("train", "test"):
        if values.get(key, 1) < 1:
            raise RecipeError(f"--{key} must be at least 1, not {values[key]}: ask for more games")
    return checked(AlfworldOptions, values)


def _generate(options: Any, workers: int, as_json: bool) -> None:
    from sdar_envs.alfworld.generated import generate
    from sdar_envs.alfworld.inspection import summary

    with progress_bar("generating games") as progress:
        folder = generate(options.suite, workers=workers, progress=progress)
    rows = summary(options.suite)
    if as_json:
        print_json({"folder": str(folder), "splits": rows})
        return
    note(f"games in {folder}")
    columns = ("split", "task_type", "games", "expert_turns_mean", "expert_turns_max")
    headings = ("split", "task type", "games", "expert turns", "most")
    print_table(headings, [tuple(str(row[key]) for key in columns) for row in rows], headings[2:])
