"""``sdar skills``: look into a skill bank, and ask what a teacher would be shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import JsonOption, note, print_json, print_table

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Skills
    from sdar_cli.skills import Skill, SkillBank

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
    print(f"{skill.name}: {skill.description}")
    print(f"for {_purpose(skill)}; keywords {', '.join(skill.keywords) or '(none)'}")
    print(f"\n{skill.body}")


@app.command("retrieve")
def retrieve(
    text: Annotated[str, typer.Argument(help="The task's sentence.")],
    task_type: Annotated[str, typer.Option("--task-type", help="The environment's label of the task.")] = "",
    rule: Annotated[str | None, typer.Option("--retrieval", help="Another rule than the recipe's.")] = None,
    recipe: RecipeOption = None,
    bank: BankOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the block that a teacher would read for a task, and why each skill is in it.

    Usage: sdar skills retrieve "wash the mug" --retrieval keyword --environment household
    """
    from sdar_cli.skills import make_retriever, render_block

    found, section, seed = _open(recipe, bank, environment)
    section = _with_rule(section, rule)
    retrieval = make_retriever(found, section, seed).retrieve(task_type=task_type, text=text, key=text)
    block = render_block(retrieval)
    if as_json:
        print_json(
            {
                **_bank_facts(found),
                "retrieval": section.retrieval,
                "skills": [{"name": name, "why": retrieval.reasons[name]} for name in retrieval.names],
                "has_task_skill": retrieval.has_task_skill,
                "block": block,
            }
        )
        return
    for name in retrieval.names:
        print(f"{name}: {retrieval.reasons[name]}")
    if not retrieval.has_task_skill:
        note(_no_task_skill(found, section, task_type))
    if block:
        print(f"\n{block}")


def _open(recipe: str | None, bank: Path | None, environment: str | None) -> tuple[SkillBank, Skills, int]:
    """The bank, the ``skills`` section and the seed that the options mean."""
    from sdar_cli.errors import SkillError
    from sdar_cli.recipe.schema import EnvironmentSection, Skills
    from sdar_cli.skills import SkillBank, bank_for

    if sum(option is not None for option in (recipe, bank, environment)) != 1:
        raise SkillError("which bank is unclear: give one of --recipe, --bank and --environment")
    if bank is not None:
        return SkillBank.load(bank), Skills(), 0

    from sdar_cli.environments import build_environment

    if environment is not None:
        built = build_environment(EnvironmentSection(name=environment))
        return bank_for(Skills(), built), Skills(), 0

    from sdar_cli.recipe.load import load_recipe

    resolved = load_recipe(recipe, [], []).recipe
    return bank_for(resolved.skills, build_environment(resolved.environment)), resolved.skills, resolved.seed


def _with_rule(section: Skills, rule: str | None) -> Skills:
    from sdar_cli.errors import SkillError
    from sdar_cli.skills import RETRIEVERS

    if rule is None:
        return section
    if rule not in RETRIEVERS:
        raise SkillError(f"there is no retrieval '{rule}': give --retrieval one of {', '.join(RETRIEVERS)}")
    return section.model_copy(update={"retrieval": rule})


def _no_task_skill(bank: SkillBank, section: Skills, task_type: str) -> str:
    known = ", ".join(bank.task_types)
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
