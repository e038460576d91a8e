"""``sdar skills``: look into a skill bank, and ask what a teacher would be shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, note, print_json, print_table, say

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Skills
    from sdar_cli.skills import Retriever, Skill, SkillBank

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Skill banks, and what a teacher is shown.\n\nUsage: sdar skills ls --environment household",
)

RecipeOption = Annotated[str | None, typer.Option("--recipe", help="A recipe, by name or file: its bank and rule.")]
BankOption = Annotated[Path | None, typer.Option("--bank", help="A folder of markdown skills.")]
EnvironmentOption = Annotated[str | None, typer.Option("--environment", help="An environment: the bank it brings.")]


@app.command("ls")
def list_skills(
    recipe: RecipeOption = None,
    bank: BankOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the skills of a bank.

    Usage: sdar skills ls --recipe quickstart
    """
    found, _, _ = _open(recipe, bank, environment)
    if as_json:
        print_json({**_bank_facts(found), "skills": [_facts(skill, body=False) for skill in found.skills]})
        return
    note(f"bank {found.name}, digest {found.digest}")
    print_table(
        ("skill", "for", "description"),
        ((skill.name, _purpose(skill), skill.description) for skill in found.skills),
    )


@app.command("show")
def show_skill(
    name: Annotated[str, typer.Argument(help="The skill's name.")],
    recipe: RecipeOption = None,
    bank: BankOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one skill.

    Usage: sdar skills show clean --environment household
    """
    found, _, _ = _open(recipe, bank, environment)
    skill = found.get(name)
    if as_json:
        print_json({**_bank_facts(found), **_facts(skill)})
        return
    say(f"{skill.name}: {skill.description}")
    say(f"for {_purpose(skill)}; keywords {', '.join(skill.keywords) or '(none)'}")
    say(f"\n{skill.body}")


@app.command("retrieve")
def retrieve(
    text: Annotated[str, typer.Argument(help="The task's sentence.")],
    task_type: Annotated[str, typer.Option("--task-type", help="The environment's label of the task.")] = "",
    rule: Annotated[str | None, typer.Option("--retrieval", help="Another rule than the recipe's.")] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, help="Skills that keyword, random, ucb take.")] = None,
    corrupt: Annotated[
        float | None, typer.Option("--corrupt", min=0, max=1, metavar="SHARE", help="Share of wrong skills.")
    ] = None,
    recipe: RecipeOption = None,
    bank: BankOption = None,
    environment: EnvironmentOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A run: its recipe, and what its bandit knows by now.")
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the block that a teacher would read for a task, and why each skill is in it.

    Usage: sdar skills retrieve "wash the mug" --retrieval keyword --environment household
    """
    from sdar_cli.skills import make_retriever, render_block

    if run is None:
        found, section, seed = _open(recipe, bank, environment)
        state = None
    else:
        _one_of(recipe, bank, environment, run)
        found, section, seed, state = _of_run(run, runs, rule)
    section = _changed(section, rule, top_k, corrupt)
    retriever = make_retriever(found, section, seed)
    if state is not None:
        retriever.load_state(state)
    retrieval = retriever.retrieve(task_type=task_type, text=text, key=text)
    block = render_block(retrieval)
    ranking = _ranking(retriever.clean(), task_type, text)
    if as_json:
        print_json(
            {
                **_bank_facts(found),
                "retrieval": section.retrieval,
                "skills": [{"name": name, "why": retrieval.reasons[name]} for name in retrieval.names],
                "has_task_skill": retrieval.has_task_skill,
                "corrupted": retrieval.corrupted,
                **({} if ranking is None else {"ranking": ranking}),
                "block": block,
            }
        )
        return
    for name in retrieval.names:
        say(f"{name}: {retrieval.reasons[name]}")
    if ranking is not None:
        _print_ranking(ranking, section)
    if not retrieval.has_task_skill:
        note(_no_task_skill(found, section, task_type, retrieval.corrupted))
    if block:
        say(f"\n{block}")


def _ranking(retriever: Retriever, task_type: str, text: str) -> list[dict[str, Any]] | None:
    """What a bandit makes of every task skill, best first; None under a rule that scores nothing."""
    from sdar_cli.skills.ucb import UcbRetriever

    if not isinstance(retriever, UcbRetriever):
        return None
    return [
        {
            "name": item.skill.name,
            "score": item.score,
            "similarity": item.similarity,
            "utility": item.utility,
            "bonus": item.bonus,
            "groups": item.groups,
        }
        for item in retriever.rank(task_type, text)
    ]


def _print_ranking(ranking: list[dict[str, Any]], section: Skills) -> None:
    alpha = section.ucb.alpha
    say(f"\nscore = {alpha:g} × similarity + {1 - alpha:.4g} × (utility + bonus); the top {section.top_k} are taken")
    numbers = ("score", "similarity", "utility", "bonus")
    print_table(
        ("skill", *numbers, "n"),
        ((item["name"], *(f"{item[key]:.3f}" for key in numbers), str(item["groups"])) for item in ranking),
        numeric=(*numbers, "n"),
    )


def _of_run(reference: str, runs: Path | None, rule: str | None) -> tuple[SkillBank, Skills, int, Any]:
    """A run's bank, ``skills`` section and seed, and the retrieval's state in its latest checkpoint, if any."""
    from sdar_cli.environments import build_environment
    from sdar_cli.errors import UserError
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.skills import bank_for
    from sdar_cli.tracking.location import runs_root

    target = resolve_run(reference, runs_root(runs))
    if isinstance(target, ModelFolder):
        raise UserError(f"{target.name} is a bare model, which retrieves nothing: name a run, or give --recipe")
    recipe = target.recipe()
    bank = bank_for(recipe.skills, build_environment(recipe.environment))
    last = target.latest_checkpoint()
    if rule not in (None, recipe.skills.retrieval):
        note(f"the run {target.name} retrieves by {recipe.skills.retrieval}: {rule} starts afresh here")
        return bank, recipe.skills, recipe.seed, None
    if last is None:
        note(f"the run {target.name} has no checkpoint yet: its retrieval is shown as it starts")
        return bank, recipe.skills, recipe.seed, None
    note(f"the run {target.name} at step {last.step}")
    return bank, recipe.skills, recipe.seed, _state(last.path / "sdar.json")


def _state(file: Path) -> dict[str, Any]:
    """What a checkpoint keeps of the retrieval."""
    from sdar_cli.errors import RunError
    from sdar_cli.reading import Unreadable, read_json

    try:
        content = read_json(file, 64 << 20)
        if not isinstance(content, dict) or not isinstance(content.get("retriever"), dict):
            raise Unreadable("has no state of the retrieval")
    except Unreadable as error:
        raise RunError(
            f"{file} is damaged (it {error}): remove that checkpoint's folder, or restore the file"
        ) from None
    return content["retriever"]


def _one_of(*options: object) -> None:
    from sdar_cli.errors import SkillError

    if sum(option is not None for option in options) != 1:
        raise SkillError("which bank is unclear: give one of --recipe, --bank and --environment, or --run to retrieve")


def _open(recipe: str | None, bank: Path | None, environment: str | None) -> tuple[SkillBank, Skills, int]:
    """The bank, the ``skills`` section and the seed that the options mean."""
    from sdar_cli.recipe.schema import EnvironmentSection, Skills
    from sdar_cli.skills import SkillBank, bank_for

    _one_of(recipe, bank, environment)
    if bank is not None:
        return SkillBank.load(bank), Skills(), 0

    from sdar_cli.environments import build_environment

    if environment is not None:
        built = build_environment(EnvironmentSection(name=environment))
        return bank_for(Skills(), built), Skills(), 0

    from sdar_cli.recipe.load import load_recipe

    resolved = load_recipe(recipe, [], []).recipe
    return bank_for(resolved.skills, build_environment(resolved.environment)), resolved.skills, resolved.seed


def _changed(section: Skills, rule: str | None, top_k: int | None, corrupt: float | None) -> Skills:
    from sdar_cli.errors import SkillError
    from sdar_cli.skills import RETRIEVERS

    if rule is not None and rule not in RETRIEVERS:
        raise SkillError(f"there is no retrieval '{rule}': give --retrieval one of {', '.join(RETRIEVERS)}")
    changes = {"retrieval": rule, "top_k": top_k, "corrupt": corrupt}
    return section.model_copy(update={key: value for key, value in changes.items() if value is not None})


def _no_task_skill(bank: SkillBank, section: Skills, task_type: str, corrupted: int) -> str:
    known = ", ".join(bank.task_types)
    if corrupted:
        return f"no skill for this task: wrong on purpose, under corrupt {section.corrupt:g}"
    if section.retrieval == "task_type" and not task_type:
        return f"no skill for this task: give --task-type, one of {known}"
    if section.retrieval == "task_type":
        return f"no skill for this task: the bank has none for '{task_type}', only for {known}"
    return f"no skill for this task: nothing matched under retrieval '{section.retrieval}'"


def _purpose(skill: Skill) -> str:
    return ", ".join(skill.task_types) or "every task"


def _bank_facts(bank: SkillBank) -> dict[str, Any]:
    return {"bank": bank.name, "digest": bank.digest}


def _facts(skill: Skill, *, body: bool = True) -> dict[str, Any]:
    facts = {
        "name": skill.name,
        "description": skill.description,
        "task_types": list(skill.task_types),
        "keywords": list(skill.keywords),
        "general": skill.general,
    }
    return {**facts, "body": skill.body} if body else facts
