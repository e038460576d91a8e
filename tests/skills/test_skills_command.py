"""``sdar skills``: what it prints, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sdar_cli.cli.skills import app
from sdar_cli.errors import RunError, SkillError, UserError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.manifest import write_manifest
from sdar_cli.runs.store import RunFolder
from sdar_cli.skills import Outcome, SkillBank, make_retriever

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
        (["retrieve", "x", "--run", "r", "--recipe", "quickstart"], "or --run to retrieve"),
        (["retrieve", "x", "--retrieval", "psychic", "--environment", "household"], "no retrieval 'psychic'"),
    ],
)
def test_unclear_wishes_are_one_sentence(arguments: list[str], said: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, SkillError)
    assert said in str(error)


def test_ucb_shows_the_parts_of_every_score(bank: str) -> None:
    (Path(bank) / "cool.md").write_text("---\ndescription: d\ntask_types: [cold]\n---\nUse the fridge.\n")
    arguments = ("retrieve", "warm up the mug", "--retrieval", "ucb", "--top-k", "1", "--bank", bank)
    out = run(*arguments)
    assert out.stdout == (
        "brief: general\n"
        "heat: ucb 0.800 (similarity 1.00, utility 0.50, bonus 0.00, n 0)\n"
        "\n"
        "score = 0.6 × similarity + 0.4 × (utility + bonus); the top 1 are taken\n"
        "skill  score  similarity  utility  bonus  n\n"
        "heat   0.800       1.000    0.500  0.000  0\n"
        "cool   0.298       0.163    0.500  0.000  0\n"
        "\nSkills:\nBe brief.\n\nUse the kettle.\n"
    )
    value = json.loads(run(*arguments, "--json").stdout)
    assert [skill["name"] for skill in value["skills"]] == ["brief", "heat"]
    assert value["ranking"][0] == {
        "name": "heat",
        "score": 0.8,
        "similarity": 1.0,
        "utility": 0.5,
        "bonus": 0.0,
        "groups": 0,
    }


def test_corrupted_retrieval_says_so() -> None:
    arguments = ("retrieve", "wash the mug", "--task-type", "pick_clean_then_place_in_recep")
    out = run(*arguments, "--environment", "household", "--corrupt", "1")
    assert "wrong on purpose, in place of clean" in out.stdout
    assert "no skill for this task: wrong on purpose, under corrupt 1" in out.stderr
    value = json.loads(run(*arguments, "--environment", "household", "--corrupt", "1", "--json").stdout)
    assert (value["corrupted"], value["has_task_skill"]) == (1, False)
    assert "clean" not in {skill["name"] for skill in value["skills"]}
    value = json.loads(run(*arguments, "--environment", "household", "--corrupt", "0", "--json").stdout)
    assert (value["corrupted"], value["has_task_skill"]) == (0, True)


def test_a_bank_that_cannot_be_corrupted_is_one_sentence(bank: str) -> None:
    error = run("retrieve", "x", "--task-type", "hot", "--bank", bank, "--corrupt", "0.5").exception
    assert isinstance(error, SkillError)
    assert "no wrong skill to draw for 'hot'" in str(error)


@pytest.mark.parametrize("option", [("--corrupt", "1.5"), ("--corrupt", "-0.1"), ("--corrupt", "x"), ("--top-k", "0")])
def test_options_out_of_range_are_refused(option: tuple[str, str]) -> None:
    out = run("retrieve", "x", "--environment", "household", *option)
    assert out.exit_code == 2
    assert option[0] in out.stderr


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run whose bandit has seen that `clean` fails and `look` helps."""
    root = tmp_path / "runs"
    resolved = load_recipe("quickstart", [], ["skills.retrieval=ucb", "skills.top_k=2"])
    folder = RunFolder.create(root, resolved, "mine")
    from sdar_cli.environments import build_environment
    from sdar_cli.skills import bank_for

    recipe = resolved.recipe
    retriever = make_retriever(bank_for(recipe.skills, build_environment(recipe.environment)), recipe.skills, 0)
    retriever.observe([Outcome(("general", "clean"), 0.0), Outcome(("general", "look"), 1.0)] * 5)
    with folder.saving_checkpoint(10) as path:
        (path / "sdar.json").write_text(json.dumps({"step": 10, "retriever": retriever.state()}))
    return root


def retrieve_of_run(runs: Path, *options: str) -> Result:
    return run("retrieve", "wash the mug", "--run", "mine", "--runs", str(runs), *options)


def test_a_run_shows_what_its_bandit_knows(runs: Path) -> None:
    out = retrieve_of_run(runs, "--json")
    value = json.loads(out.stdout)
    assert "the run mine at step 10" in out.stderr
    assert value["retrieval"] == "ucb"
    ranking = {item["name"]: item for item in value["ranking"]}
    assert {name: item["groups"] for name, item in ranking.items() if item["groups"]} == {"clean": 5, "look": 5}
    assert ranking["clean"]["utility"] < 0.1 < 0.9 < ranking["look"]["utility"]
    assert len(value["skills"]) == 3, "general, and the run's top 2"
    assert len(json.loads(retrieve_of_run(runs, "--top-k", "1", "--json").stdout)["skills"]) == 2


def test_another_rule_than_the_runs_starts_afresh(runs: Path) -> None:
    out = retrieve_of_run(runs, "--retrieval", "keyword")
    assert "the run mine retrieves by ucb: keyword starts afresh here" in out.stderr
    assert "clean: keyword wash" in out.stdout


def test_a_run_without_a_checkpoint_shows_the_start(runs: Path) -> None:
    RunFolder.open(runs / "mine").prune_checkpoints(1)
    (runs / "mine" / "checkpoints" / "step-10" / "manifest.json").unlink()
    out = retrieve_of_run(runs, "--json")
    assert "no checkpoint yet" in out.stderr
    assert all(item["groups"] == 0 for item in json.loads(out.stdout)["ranking"])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"retriever": []}', '{"retriever": null}'])
def test_a_damaged_checkpoint_is_named(runs: Path, content: str) -> None:
    folder = runs / "mine" / "checkpoints" / "step-10"
    (folder / "sdar.json").write_text(content)
    write_manifest(folder)
    error = retrieve_of_run(runs).exception
    assert isinstance(error, RunError)
    assert "sdar.json is damaged" in str(error)


def test_a_checkpoint_of_another_bank_is_refused(runs: Path) -> None:
    file = runs / "mine" / "checkpoints" / "step-10" / "sdar.json"
    state = json.loads(file.read_text())
    state["retriever"]["bank"] = SkillBank.from_texts(FILES).digest
    file.write_text(json.dumps(state))
    error = retrieve_of_run(runs).exception
    assert isinstance(error, SkillError)
    assert "restore the bank" in str(error)


def test_a_model_is_no_run(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    error = run("retrieve", "x", "--run", str(tmp_path / "model"), "--runs", str(runs)).exception
    assert isinstance(error, UserError)
    assert "is a bare model" in str(error)


def sdar(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "sdar_cli.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": str(columns)})


def test_the_command_from_a_shell(tmp_path: Path) -> None:
    (tmp_path / "clean.md").write_text("### TASK: clean ###\n\nUse the sink.\n")
    (tmp_path / "skill_mapping.json").write_text(
        json.dumps({"skill_files": {"clean": "clean.md"}, "task_to_skill": {"wash": "clean"}})
    )
    out = sdar("skills", "retrieve", "wash it", "--retrieval", "ucb", "--bank", str(tmp_path))
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.endswith("Skills:\n### TASK: clean ###\n\nUse the sink.\n")
    assert all(len(line) <= 80 for line in out.stdout.splitlines())
    (tmp_path / "clean.md").unlink()
    out = sdar("skills", "retrieve", "wash it", "--bank", str(tmp_path))
    assert (out.returncode, out.stdout) == (2, "")
    assert out.stderr.count("\n") == 1
    assert "skill_mapping.json lists 'clean.md' in skill_files, which is not there" in out.stderr


def test_ucb_fits_80_columns() -> None:
    out = sdar("skills", "retrieve", "wash the mug", "--retrieval", "ucb", "--environment", "household")
    assert out.returncode == 0, out.stderr
    table = out.stdout.split("Skills:")[0]
    assert all(len(line) <= 80 for line in table.splitlines())
