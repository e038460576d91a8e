from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.environments import build_environment
from sdar_cli.evaluation.panel import Panel
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.load import load_recipe


def test_the_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "quickstart", "gate.temperature=0.1", "--seed", "4", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    recipe = load_recipe("quickstart", overrides=["gate.beta=10", "seed=4"]).recipe
    assert plan["recipe_digest"] == recipe_digest(recipe)
    assert plan["origins"]["seed"] == "--seed"
    settings = recipe.evaluation
    environment = build_environment(recipe.environment)
    panel = Panel.make(environment, settings.split, settings.tasks, settings.panel_seed)
    assert plan["panel"] == {
        "digest": panel.digest,
        "tasks": len(panel),
        "split": panel.split,
        "problem": None,
    }
    assert {part["name"] for part in plan["memory"]} >= {"weights", "gradients", "optimiser", "activations"}


def test_the_plan_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "quickstart", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for words in (
        "# default",
        "# quickstart.yaml:",
        "sha256 ",
        "an estimate",
        "formula",
        "optimiser updates",
    ):
        assert words in out


def test_the_command_is_the_one_that_was_tried(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    overlay = tmp_path / "a b.yaml"
    overlay.write_text("seed: 3\n")
    words = [
        "--recipe",
        "quickstart",
        "-c",
        str(overlay),
        "--method",
        "grpo",
        "--runs",
        "r",
        "--name",
        "n",
        "seed=5",
    ]
    assert main(["train", *words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("command "))
    command = shlex.split(line.removeprefix("command"))
    assert command[:2] == ["sdar", "train"]
    assert main([*command[1:], "--dry-run"]) == 0
    assert capsys.readouterr().out == out


def test_data_that_are_not_here_are_told_and_not_raised(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [
        "train",
        "--recipe",
        "alfworld-qwen3-1.7b",
        "--data",
        str(tmp_path / "none"),
        "--dry-run",
        "--json",
    ]
    assert main(words) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["panel"]["digest"] is None
    assert str(tmp_path / "none") in plan["panel"]["problem"]
    assert plan["tokens_per_step"][0] == {
        "name": "episodes",
        "amount": 128,
        "formula": "16 tasks × 8 a group",
    }
    assert next(part for part in plan["memory"] if part["name"] == "weights")["amount"] > 3.4e9


def test_an_overlapping_panel_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe = load_recipe("quickstart").recipe
    panel = Panel.make(build_environment(recipe.environment), "train", 8, 0)
    file = tmp_path / "panel.json"
    panel.save(file)
    assert main(["train", "--recipe", "quickstart", f"evaluation.panel={file}", "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_model_option(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--recipe", "quickstart", "--model", "Qwen/Qwen3-1.7B", "--dry-run", "--json"]
    assert main(words) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    assert recipe["model"]["path"] == "Qwen/Qwen3-1.7B"
    assert recipe["model"]["tiny"] is None and recipe["warmup"] is None


SHOP = ["train", "--recipe", "webshop-tiny", "environment.options.size=30", "environment.options.test=8"]
SHOP += ["evaluation.tasks=4", "--dry-run"]
SEARCH = ["train", "--recipe", "search-qa-tiny", "environment.options.entities=5", "environment.options.train=16"]
SEARCH += ["environment.options.test=4", "evaluation.tasks=4", "--dry-run"]


def facts_row(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("facts ")]
    return row.removeprefix("facts").strip()


def test_the_plan_states_the_store_of_webshop(capsys: pytest.CaptureFixture[str]) -> None:
    row = facts_row(capsys, SHOP)
    store = build_environment(load_recipe("webshop-tiny", overrides=SHOP[3:-1]).recipe.environment).store
    assert row == f"products 30, store {store.digest[:16]}, title matcher words"
    assert main([*SHOP, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == {
        "values": {"products": "30", "store": store.digest[:16], "title_matcher": "words"},
        "problem": None,
    }


def test_the_plan_states_the_corpus_of_search_qa_once_it_is_indexed(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SEARCH, "environment.options.seed=91"]
    recipe = load_recipe("search-qa-tiny", overrides=[*SEARCH[3:-1], words[-1]]).recipe
    assert facts_row(capsys, words) == "retriever bm25"
    environment = build_environment(recipe.environment)
    environment.prepare()
    row = facts_row(capsys, words)
    assert row == f"retriever bm25, documents 125, corpus {environment.facts()['corpus']}"


def test_no_server_is_asked_for_a_plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *arguments: pytest.fail("the network was reached for"))
    assert facts_row(capsys, [*SEARCH, "environment.options.retriever=http"]) == "retriever http"


def test_an_environment_without_facts_has_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "quickstart", "--dry-run"]) == 0
    assert "facts" not in capsys.readouterr().out


def test_what_is_missing_or_damaged_is_told_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*SHOP[:3], "environment.options.products=official", "--data", str(tmp_path / "shop"), "--dry-run"]
    assert facts_row(capsys, words) == "title matcher words"
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "store.json").write_text("{")
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count("store.json is damaged") == 1 and "facts " not in out


def test_a_damaged_index_is_told_beside_a_panel_that_can_be_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SEARCH, "environment.options.seed=92"]
    environment = build_environment(
        load_recipe("search-qa-tiny", overrides=[*SEARCH[3:-1], words[-1]]).recipe.environment
    )
    environment.prepare()
    index = environment.options.world.folder / "bm25" / "index.json"
    index.write_text("{")
    told = facts_row(capsys, words)
    assert told.startswith(f"not known: {index} is damaged (") and told.endswith(": build the index again")
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == {
        "values": {},
        "problem": told.removeprefix("not known: "),
    }
