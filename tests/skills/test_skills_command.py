"""``sdar skills``: what it prints, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sdar_cli.cli.skills import app
from sdar_cli.errors import SkillError

FILES = {
    "brief.md": "---\ndescription: How to talk.\ntask_types: []\n---\nBe brief.\n",
    "heat.md": (
        "---\ndescription: What [bold]heats[/bold].\ntask_types: [hot]\nkeywords: [heat, warm up]\n"
        "---\nUse the kettle.\n"
    ),
}


@pytest.fixture
def bank(tmp_path: Path) -> str:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=True)


def test_ls(bank: str) -> None:
    out = run("ls", "--bank", bank)
    assert out.exit_code == 0
    assert "every task" in out.stdout
    assert "What [bold]heats[/bold]." in out.stdout, "a description is text, not markup"


def test_ls_json(bank: str) -> None:
    value = json.loads(run("ls", "--bank", bank, "--json").stdout)
    assert [skill["name"] for skill in value["skills"]] == ["brief", "heat"]
    assert [skill["general"] for skill in value["skills"]] == [True, False]
    assert len(value["digest"]) == 16


def test_show(bank: str) -> None:
    assert run("show", "heat", "--bank", bank).stdout.endswith("\nUse the kettle.\n")
    assert json.loads(run("show", "heat", "--bank", bank, "--json").stdout)["body"] == "Use the kettle."
    assert "did you mean 'heat'?" in str(run("show", "haet", "--bank", bank).exception)


def test_retrieve_says_what_and_why(bank: str) -> None:
    out = run("retrieve", "warm up the mug", "--task-type", "hot", "--bank", bank)
    assert out.stdout == "brief: general\nheat: task type hot\n\nSkills:\nBe brief.\n\nUse the kettle.\n"
    assert out.stderr == ""


def test_retrieve_by_keyword_as_json(bank: str) -> None:
    out = run("retrieve", "warm up the mug", "--retrieval", "keyword", "--bank", bank, "--json")
    value = json.loads(out.stdout)
    assert value["skills"][1] == {"name": "heat", "why": "keyword warm up"}
    assert value["has_task_skill"] is True
    assert value["block"].startswith("Skills:\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --task-type, one of hot"),
        (["--task-type", "cold"], "the bank has none for 'cold', only for hot"),
        (["--retrieval", "keyword"], "nothing matched under retrieval 'keyword'"),
    ],
)
def test_retrieve_without_a_task_skill_says_so(bank: str, arguments: list[str], said: str) -> None:
    out = run("retrieve", "that hat", "--bank", bank, *arguments)
    assert out.exit_code == 0
    assert "heat" not in out.stdout
    assert said in out.stderr


def test_environment_and_recipe_have_banks() -> None:
    of_environment = json.loads(run("ls", "--environment", "household", "--json").stdout)
    of_recipe = json.loads(run("ls", "--recipe", "quickstart", "--json").stdout)
    assert of_environment["bank"] == of_recipe["bank"] == "household"
    assert any(skill["general"] for skill in of_recipe["skills"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls"], "give one of --recipe, --bank and --environment"),
        (["ls", "--bank", "x", "--environment", "household"], "give one of"),
        (["retrieve", "x", "--retrieval", "psychic", "--environment", "household"], "no retrieval 'psychic'"),
    ],
)
def test_unclear_wishes_are_one_sentence(arguments: list[str], said: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, SkillError)
    assert said in str(error)
