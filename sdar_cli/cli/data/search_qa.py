"""``sdar data search-qa``: the official questions, checked; or a small generated world, shown and exported."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sdar_cli.cli.data.options import checked
from sdar_cli.cli.progress import progress_bar
from sdar_cli.cli.render import JsonOption, note, print_json, print_table
from sdar_cli.errors import EnvironmentSetupError, RecipeError


def search_qa(
    check: Annotated[
        bool, typer.Option("--check", help="Count and read the official questions (the default).")
    ] = False,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make a small world and its corpus, and show what there is.")
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the generated corpus as JSON lines, for `sdar retriever serve`."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The folder of train.parquet and test.parquet; else SDAR_SEARCH_QA."),
    ] = None,
    recipe: Annotated[str | None, typer.Option(metavar="R", help="Generate the world that this recipe plays.")] = None,
    entities: Annotated[int | None, typer.Option(metavar="N", help="Countries of the generated world.")] = None,
    train: Annotated[int | None, typer.Option(metavar="N", help="Generated questions to train on.")] = None,
    test: Annotated[int | None, typer.Option(metavar="N", help="Generated questions held out.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the generated world.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check the official Search-QA questions, or generate a small world with questions and a corpus.

    Usage: sdar data search-qa --check --data ~/search-qa
    """
    given = {"entities": entities, "train": train, "test": test, "seed": seed}
    if generate or export is not None:
        if check or data is not None:
            what = "--generate" if generate else "--export"
            raise RecipeError(f"{what} is about a world of its own: leave out --check and --data")
        _generate(_options(recipe, given), export, as_json)
        return
    if recipe is not None or any(value is not None for value in given.values()):
        raise RecipeError("--recipe, --entities, --train, --test and --seed are for generated worlds: add --generate")
    _check(data, as_json)


def _check(data: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from sdar_envs.search_qa.inspection import check

    with progress_bar("reading questions") as progress:
        checks = check(data, progress)
    if as_json:
        print_json([asdict(item) for item in checks])
    else:
        rows = [(item.split, source, str(count)) for item in checks for source, count in item.questions.items()]
        if rows:
            print_table(("split", "data source", "questions"), rows, ("questions",))
        train, test = checks
        if train.in_other:
            note(
                f"{train.in_other} questions of train stand in test too, word for word "
                f"({test.in_other} of test): training leaves them out"
            )
    problems = [item.problem for item in checks if item.problem is not None]
    if problems:
        raise EnvironmentSetupError(problems[0])


def _options(recipe: str | None, changes: dict[str, int | None]) -> Any:
    from sdar_envs.search_qa.environment import SearchQaOptions

    values: dict[str, Any] = {"questions": "generated"}
    if recipe is not None:
        from sdar_cli.recipe.load import load_recipe

        section = load_recipe(recipe, [], []).recipe.environment
        if section.name != "search-qa" or section.options.get("questions") != "generated":
            raise RecipeError(
                f"the recipe {recipe} does not play generated questions: leave out --recipe, or name search-qa-tiny"
            )
        values = dict(section.options)
    values |= {key: value for key, value in changes.items() if value is not None}
    return checked(SearchQaOptions, values)


def _generate(options: Any, export: str | None, as_json: bool) -> None:
    from sdar_cli.paths import user_path
    from sdar_envs.search_qa import generated
    from sdar_envs.search_qa.inspection import summary

    rows = summary(options)
    with progress_bar("indexing the corpus") as progress:
        folder = generated.generate(options.world, progress)
    documents = None if export is None else generated.export(options.world, user_path(export))
    if as_json:
        written = {} if export is None else {"export": export, "documents": documents}
        print_json({"folder": str(folder), **written, "splits": rows})
        return
    note(f"corpus in {folder}")
    if export is not None:
        note(f"{documents} documents in {export}")
    columns = ("split", "task_type", "questions", "expert_turns_mean", "expert_turns_max")
    headings = ("split", "task type", "questions", "expert turns", "most")
    print_table(headings, [tuple(str(row[key]) for key in columns) for row in rows], headings[2:])
