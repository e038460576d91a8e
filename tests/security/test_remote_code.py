"""Code that comes with a model runs where a person typed so; no file turns it on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import hollow_model
import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import RecipeError, UserError
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.recipe.load import ResolvedRecipe, load_recipe
from sdar_cli.recipe.trust import VARIABLE
from sdar_cli.runs.resolve import ModelFolder
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.labels import of_training

ASKS = "model:\n  trust_remote_code: true\n"
SENTENCE = "model.trust_remote_code runs code that comes with the model, which no file may ask for: remove it, or give"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main([*words])
    return code, *capsys.readouterr()


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    file = tmp_path / "asking.yaml"
    file.write_text("extends: quickstart\n" + ASKS)
    return file


@pytest.mark.parametrize("place", ["recipe", "base", "overlay", "methods"])
def test_no_file_turns_it_on(capsys: pytest.CaptureFixture[str], tmp_path: Path, asking: Path, place: str) -> None:
    words = ["--recipe", str(asking)]
    culprit = f"{asking}:3"
    if place == "base":
        words[1] = str(tmp_path / "child.yaml")
        Path(words[1]).write_text("extends: asking.yaml\n")
    elif place == "overlay":
        asking.write_text(ASKS)
        words, culprit = ["--recipe", "quickstart", "-c", str(asking)], f"{asking}:2"
    elif place == "methods":
        asking.write_text("extends: quickstart\nmethods:\n  sdar:\n    model: {trust_remote_code: true}\n")
        culprit = f"{asking}:4"
    code, out, err = run(capsys, "train", *words, "--dry-run")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {culprit}: {SENTENCE} --trust-remote-code") and err.count("\n") == 1


def test_no_space_turns_it_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    words = ["sweep", "--recipe", "quickstart", "--model", "some/model", "--space", str(space), "evaluation.tasks=4"]
    for content in ("model.trust_remote_code: true", "model: {trust_remote_code: [true, false]}"):
        space.write_text(f"space:\n  gate.beta: [1, 2]\n  {content}\n")
        code, out, err = run(capsys, *words, "--runs", str(tmp_path), "--dry-run")
        assert (code, out) == (2, "") and SENTENCE in err and err.count("\n") == 1


@pytest.mark.parametrize("typed", ["--trust-remote-code", "model.trust_remote_code=true"])
def test_a_person_may(capsys: pytest.CaptureFixture[str], asking: Path, typed: str) -> None:
    code, out, err = run(
        capsys, "train", "--recipe", str(asking), "--model", "some/model", typed, "--dry-run", "--json"
    )
    assert code == 0
    shown = json.loads(out)
    assert shown["recipe"]["model"]["trust_remote_code"] is True
    assert typed in shown["command"]
    assert "code that comes with the model some/model may run, as --trust-remote-code says" in err
    assert VARIABLE not in os.environ, "the next command is asked anew"


def test_a_person_may_say_no_to_a_file(asking: Path) -> None:
    assert not load_recipe(str(asking), overrides=["model.trust_remote_code=false"]).recipe.model.trust_remote_code


def test_a_run_s_own_recipe_is_a_file(monkeypatch: pytest.MonkeyPatch, asking: Path) -> None:
    with pytest.raises(RecipeError, match="no file may ask"):
        load_recipe(str(asking))
    monkeypatch.setenv(VARIABLE, "1")
    assert load_recipe(str(asking)).recipe.model.trust_remote_code


@pytest.mark.parametrize("command", ["train", "eval", "export", "play", "resume"])
def test_every_command_that_loads_weights_has_the_flag(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert "--trust-remote-code" in run(capsys, command, "--help")[1]


def test_a_study_s_runs_carry_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("sweep", "--recipe", "quickstart", "gate.beta=1,2", "evaluation.tasks=4", "--trust-remote-code")
    code, out, _ = run(capsys, *words, "--dry-run", "--json")
    assert code == 0
    command = json.loads(out)["command"]
    assert "--trust-remote-code" in command and "True" not in command


def test_mlflow_says_so(tmp_path: Path) -> None:
    facts = {"panel": "p", "bank": "b", "commit": None}
    plain = load_recipe("quickstart").recipe
    trusted = load_recipe("quickstart", overrides=["model.trust_remote_code=true"]).recipe
    assert "sdar.trust_remote_code" not in of_training(plain, tmp_path, **facts)
    assert of_training(trusted, tmp_path, **facts)["sdar.trust_remote_code"] == "true"


def test_it_is_said_before_the_code_is_run_and_where_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's checkpoints hold what its model brought; they are not the model that the recipe names."""
    from sdar_cli.export import export

    trusted = {"model.trust_remote_code": ("--trust-remote-code", True)}
    changes = ["model.path=some/model", "model.tiny=null", "warmup=null"]
    folder = RunFolder.create(tmp_path, load_recipe("quickstart", [], changes, trusted), "kept")
    said = f"code that comes with the model some/model, or lies in {folder.path}, may run, as --trust-remote-code says"

    def export_run(*words: object, **named: object) -> None:
        assert said in capsys.readouterr().err
        raise UserError("no further")

    monkeypatch.setattr(export, "export_run", export_run)
    code, _, err = run(capsys, "export", str(folder.path), "--trust-remote-code")
    assert code == 2 and err == "error: no further\n"


def test_a_bare_adapters_base_may_be_the_recipes_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RUN takes the place of ``model.path``, whose code stays the one that is trusted."""
    from sdar_cli.evaluation import evaluate

    base = hollow_model.write(tmp_path / "base")
    adapter = hollow_model.write_adapter(tmp_path / "adapter", base)
    found = []

    def evaluate_run(target: ModelFolder, resolved: ResolvedRecipe, *, own: str | None, **named: object) -> None:
        weights = evaluate._weights(target, "last", own)
        load_tokenizer(weights.path, trust_remote_code=True, own=weights.own)
        found.append(load_model(weights.path, trust_remote_code=True, own=weights.own))
        raise UserError("no further")

    monkeypatch.setattr(evaluate, "evaluate_run", evaluate_run)
    words = ("eval", str(adapter), "--recipe", "quickstart", "--runs", str(tmp_path), "--trust-remote-code")
    code, _, err = run(capsys, *words)
    assert code == 2 and "is not the recipe's model, so its code is not trusted" in err and not found
    recipe = tmp_path / "own.yaml"
    recipe.write_text(f"extends: quickstart\nwarmup: null\nmodel: {{path: {base}, tiny: null}}\n")
    code, _, err = run(capsys, *words[:3], str(recipe), *words[4:])
    assert (code, len(found)) == (2, 1) and err.endswith("error: no further\n")
    assert f"code that comes with the model {adapter} may run" in err
