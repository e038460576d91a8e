"""``sdar data webshop``: import WebShop's files, generate products, or show what there is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from sdar_cli.cli.data.options import checked
from sdar_cli.cli.progress import progress_bar
from sdar_cli.cli.render import JsonOption, bytes_, note, print_json, print_table
from sdar_cli.errors import RecipeError


def webshop(
    check: Annotated[bool, typer.Option("--check", help="Read and sum up the imported store (the default).")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Import WebShop's JSON files in this folder; or name one of several items_shuffle*.json.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="STORE", help="The store's folder; else SDAR_WEBSHOP, else one in the cache."),
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Generate products, and show what there is.")] = False,
    recipe: Annotated[str | None, typer.Option(metavar="R", help="Generate the products of this recipe.")] = None,
    size: Annotated[int | None, typer.Option(metavar="N", help="How many products to generate.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the generated products.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Import WebShop's catalogue, generate a small one, or show what there is.

    Usage: sdar data webshop --from ~/webshop/data
    """
    if generate:
        if check or source is not None or data is not None:
            raise RecipeError("--generate makes products of its own: leave out --check, --from and --data")
        _generate(_catalogue(recipe, {"size": size, "seed": seed}), as_json)
        return
    if recipe is not None or size is not None or seed is not None:
        raise RecipeError("--recipe, --size and --seed are for generated products: add --generate")
    if source is not None:
        if check:
            raise RecipeError("--from checks what it imports: leave out --check")
        _import(source, data)
    _show(data, as_json)


def _import(source: str, data: str | None) -> None:
    from sdar_cli.paths import user_path
    from sdar_envs.webshop.importing import import_store
    from sdar_envs.webshop.json_files import HUMAN, find_sources
    from sdar_envs.webshop.location import official_folder

    path = user_path(source)
    with ExitStack() as stack:
        import_store(path, official_folder(data), _bar(stack, "reading MiB", 20), _bar(stack, "indexing products"))
    if find_sources(path).human is None:
        note(f"there is no {HUMAN} beside the products: the store has no goals that people wrote")


def _bar(stack: ExitStack, what: str, shift: int = 0) -> Callable[[int, int], None]:
    """A bar that appears with its first report and takes the place of the one before; counts in ``2**shift``."""
    bars: list[Callable[[int, int], None]] = []

    def report(done: int, total: int) -> None:
        if not bars:
            stack.close()
            bars.append(stack.enter_context(progress_bar(what)))
        bars[0](done >> shift, max(1, total >> shift))

    return report


def _show(data: str | None, as_json: bool) -> None:
    from sdar_envs.webshop.location import official_folder

    _print(official_folder(data), as_json, deep=True)


def _catalogue(recipe: str | None, changes: dict[str, int | None]) -> Any:
    """The settings of the products to generate: the recipe's, or the environment's defaults, with changes."""
    from sdar_envs.webshop.catalogue import Catalogue
    from sdar_envs.webshop.environment import WebshopOptions

    given = {key: value for key, value in changes.items() if value is not None}
    if given.get("size", 1) < 1:
        raise RecipeError(f"--size must be at least 1, not {given['size']}: ask for more products")
    values: dict[str, Any] = {"products": "generated"}
    if recipe is not None:
        from sdar_cli.recipe.load import load_recipe

        section = load_recipe(recipe, [], []).recipe.environment
        if section.name != "webshop" or section.options.get("products") != "generated":
            raise RecipeError(
                f"the recipe {recipe} does not use generated WebShop products: leave out --recipe, or name webshop-tiny"
            )
        values = dict(section.options)
    options = checked(WebshopOptions, values | given)
    return Catalogue(options.size, options.seed)


def _generate(catalogue: Any, as_json: bool) -> None:
    from sdar_envs.webshop.catalogue import generate

    with progress_bar("indexing products") as progress:
        folder = generate(catalogue, progress)
    _print(folder, as_json, deep=False)


def _print(folder: Path, as_json: bool, *, deep: bool) -> None:
    from sdar_envs.webshop.store import Store
    from sdar_envs.webshop.titles import matcher_name

    store = Store.open(folder)
    try:
        if deep:
            store.check()
        counts, digest = store.manifest.counts, store.digest
    finally:
        store.close()
    size = sum(entry.stat(follow_symlinks=False).st_size for entry in store.files())
    if as_json:
        own = {"folder": str(folder), "digest": digest, "bytes": size, "title_matcher": matcher_name()}
        print_json(own | counts)
        return
    rows = [(name.replace("_", " "), f"{count:,}") for name, count in counts.items()]
    print_table(("what", "count"), [*rows, ("size on disk", bytes_(size))], ("count",))
    note(f"store in {folder}, content {digest[:16]}")
    note(f"title matcher {matcher_name()}")
