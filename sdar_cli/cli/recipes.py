"""``sdar recipes``: the shipped recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdar_cli.cli.render import JsonOption, print_json, print_table, say
from sdar_cli.errors import RecipeError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="List, show and copy recipes.\n\nUsage: sdar recipes ls",
)


@app.command("ls")
def list_recipes(as_json: JsonOption = False) -> None:
    """List the shipped recipes.

    Usage: sdar recipes ls
    """
    from sdar_cli.recipe.load import load_recipe, shipped_recipes

    recipes = [load_recipe(name, check_environment=False).recipe for name in shipped_recipes()]
    if as_json:
        facts = [{"name": r.name, "environment": r.environment.name, "description": r.description} for r in recipes]
        print_json(facts)
        return
    print_table(
        ("recipe", "environment", "description"),
        [(r.name, r.environment.name, r.description) for r in recipes],
    )


@app.command("show")
def show_recipe(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a recipe with all that it extends, and where each value comes from.

    Usage: sdar recipes show quickstart gate.temperature=0.2
    """
    from sdar_cli.recipe.dump import annotated, recipe_digest
    from sdar_cli.recipe.load import load_recipe

    resolved = load_recipe(recipe, [], overrides or [])
    if as_json:
        values = resolved.recipe.model_dump(mode="json")
        print_json({"recipe": values, "origins": resolved.origins, "digest": recipe_digest(resolved.recipe)})
        return
    say(annotated(resolved), end="")


@app.command("cp")
def copy_recipe(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name.")],
    target: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to; else ./NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a shipped recipe, to edit it.

    Usage: sdar recipes cp quickstart mine.yaml
    """
    from sdar_cli.evaluation.files import write_bytes
    from sdar_cli.recipe.load import recipe_file

    source = recipe_file(recipe)
    target = target or Path(f"{source.stem}.yaml")
    if target.is_dir():
        target = target / f"{source.stem}.yaml"
    if target.exists() and not force:
        raise RecipeError(f"{target} exists already: give another name, or --force to replace it")
    try:
        write_bytes(target, source.read_bytes())
    except OSError as error:
        raise RecipeError(f"{target} cannot be written ({error.strerror}): give another place") from None
    print_json({"recipe": recipe, "file": str(target)}) if as_json else say(str(target))
