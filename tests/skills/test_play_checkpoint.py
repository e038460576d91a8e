"""``sdar play --checkpoint``: a model plays as in evaluation, repeatably, with and without skills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sdar_cli.cli.play import play
from sdar_cli.errors import RunError, UserError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder

SHORT = ["rollout.max_turns=3", "rollout.max_response_tokens=8"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random tiny model: it speaks, and rarely makes sense."""
    from sdar_cli.environments import build_environment
    from sdar_cli.models.tiny import create
    from sdar_cli.skills import bank_for

    recipe = load_recipe("quickstart").recipe
    environment = build_environment(recipe.environment)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    create(recipe, environment, bank_for(recipe.skills, environment), folder)
    return str(folder)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(play)
    return CliRunner().invoke(app, arguments)


def record(*arguments: str) -> dict:
    out = run(*arguments, "--json")
    assert out.exception is None, out.exception
    return json.loads(out.stdout)


def test_a_model_plays_repeatably(model: str) -> None:
    arguments = ["--checkpoint", model, "--recipe", "quickstart", *SHORT]
    first = record(*arguments)
    assert first == record(*arguments)
    assert 1 <= len(first["turns"]) <= 3
    assert all("response" in turn for turn in first["turns"])
    assert record(*arguments, "--skills")["turns"] != first["turns"]
    task = first["task"]
    assert record(*arguments, "--task", task, "--seed", "7")["turns"] != first["turns"]


def test_an_invalid_response_is_shown_with_its_reason(model: str) -> None:
    out = run("--checkpoint", model, "--recipe", "quickstart", *SHORT)
    assert "(invalid: " in out.stdout


def test_a_run_plays_its_last_checkpoint_by_its_own_recipe(model: str, tmp_path: Path) -> None:
    import shutil

    made = RunFolder.create(tmp_path, load_recipe("quickstart", [], SHORT))
    arguments = ["--checkpoint", "latest", "--runs", str(tmp_path)]
    assert isinstance(run(*arguments).exception, RunError)
    with made.saving_checkpoint(5) as folder:
        shutil.copytree(model, folder, dirs_exist_ok=True)
    assert len(record(*arguments)["turns"]) <= 3
    refused = run(*arguments, "--recipe", "quickstart").exception
    assert isinstance(refused, UserError)
    assert "has its own recipe" in str(refused)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expert"], "both say who plays"),
        ([], "say which recipe to play it by"),
        (["household"], "both 'household' and --checkpoint"),
    ],
)
def test_refusals(model: str, arguments: list[str], said: str) -> None:
    error = run(*arguments, "--checkpoint", model).exception
    assert isinstance(error, UserError)
    assert said in str(error)
