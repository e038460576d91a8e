"""The card says what was measured, and no more; the recipe beside it can be trained and keeps no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

import yaml
from exported_runs import SECRET, SHORT, Runs
from huggingface_hub import ModelCard

from sdar_cli.cli.export import export
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.table_parts import difference, percent
from sdar_cli.export.markdown import fenced
from sdar_cli.export.prompt import LONGEST, cut, example
from sdar_cli.export.recipe import public_recipe
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.schema import Tracking
from sdar_cli.statistics import paired_difference


def exported(runs: Runs, folder: Path, *words: str) -> ModelCard:
    done = runs.export(*words, "--to", str(folder))
    assert done.code == 0, done.err
    return ModelCard.load(folder / "README.md")


def test_front_matter(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    card = exported(runs, tmp_path / "out", "adapted")
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    assert front["library_name"] == card.data.library_name == "transformers"
    assert front["pipeline_tag"] == "text-generation" and front["license"] == "cc0-1.0"
    assert {"sdar", "household", "lora"} <= set(front["tags"])
    assert "base_model" not in front, "a folder is no model on the hub"
    results = {result.metric_name: result for result in card.data.eval_results}
    assert set(results) == {"success without skills", "success with skills"}
    own = Evaluation.load(runs.adapted.evaluations()["trained-step-3-skills"])
    assert results["success with skills"].metric_value == round(own.summary.success.estimate, 4)


def test_a_model_on_the_hub_is_named(runs: Runs, tmp_path: Path) -> None:
    from sdar_cli.export.source import Source

    recipe = load_recipe("alfworld-qwen3-1.7b").recipe
    run = runs.adapted
    assert Source(run, recipe, "x", "step-2", 2, True, None).origin == "Qwen/Qwen3-1.7B"
    other = recipe.model_copy(update={"init_from": "some-run"})
    assert Source(run, other, "x", "step-2", 2, True, None).origin is None


def test_the_table_is_that_of_the_kept_evaluations(runs: Runs, tmp_path: Path) -> None:
    run = runs.adapted
    text = str(exported(runs, tmp_path / "out", "adapted"))
    cells = {name: Evaluation.load(path) for name, path in run.evaluations().items() if name != "report"}
    trained = [cells[f"trained-step-3-{mode}"] for mode in ("no_skills", "skills")]
    gap = difference(paired_difference(trained[1].won(), trained[0].won()))
    assert f"| trained | {' | '.join(percent(cell.summary.success) for cell in trained)} | {gap} |" in text
    assert "| base |" in text and "| **gain** |" in text and "Internalised fraction" in text
    assert f"SHA-256 `{trained[0].panel}`" in text and "6 tasks of `household`, split `test`" in text
    copies = {path.stem for path in (tmp_path / "out" / "evaluations").iterdir()}
    assert copies == set(cells)
    assert json.loads((tmp_path / "out" / "sdar_export.json").read_text())["measured"][0]["own"] is True


def test_what_was_not_measured_is_said_to_be_so(runs: Runs, tmp_path: Path) -> None:
    """Between the base and the end nothing was measured; then without skills alone."""
    _ = runs.adapted
    card = exported(runs, tmp_path / "nothing", "adapted", "--checkpoint", "2")
    assert "were not measured on that panel before they were exported" in str(card)
    assert card.data.eval_results is None and "| trained |" not in str(card)
    assert not list((tmp_path / "nothing" / "evaluations").iterdir())
    again = runs.copied("half")
    (again.path / "evaluations" / "trained-step-3-skills.json").unlink()
    card = exported(runs, tmp_path / "half", "half")
    (row,) = [line for line in str(card).splitlines() if line.startswith("| trained |")]
    assert row.count("not measured") == 2 and "Internalised fraction" in str(card) and "a cell is missing" in str(card)
    assert [result.metric_name for result in card.data.eval_results] == ["success without skills"]


def test_another_panel_has_a_table_of_its_own(runs: Runs, tmp_path: Path) -> None:
    run = runs.copied("elsewhere")
    assert runs.sdar("eval", "elsewhere", "--tasks", "7").code == 0
    text = str(exported(runs, tmp_path / "out", "elsewhere"))
    assert "### On another panel or under other conditions" in text and "- 7 tasks; " in text
    assert text.count("| trained |") == 2
    assert len(list((tmp_path / "out" / "evaluations").iterdir())) == 8
    assert run.state.status == "finished"


def test_no_secret_and_a_recipe_that_can_be_trained(runs: Runs, tmp_path: Path) -> None:
    run = runs.adapted
    _ = exported(runs, tmp_path / "out", "adapted")
    assert any(SECRET in word for word in SHORT) and SECRET in (run.path / "recipe.yaml").read_text()
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    kept = load_recipe(str(tmp_path / "out" / "recipe.yaml")).recipe
    assert kept == run.recipe().model_copy(update={"tracking": Tracking()})
    assert "tracking" not in (tmp_path / "out" / "README.md").read_text().split("```yaml")[1]


def test_servers_and_passwords_are_left_out() -> None:
    words = ["engine.kind=vllm", "engine.mode=server", "engine.server_url=http://node7:8000"]
    words += ["environment.options.urls=[http://me:open-sesame@node8/retrieve]", "engine.sync_folder=/shared/me"]
    recipe = load_recipe("search-qa-qwen3-1.7b", [], words).recipe
    text = public_recipe(recipe)
    assert not any(word in text for word in ("open-sesame", "node7", "/shared"))
    assert "node8/retrieve" in text


def test_a_prompt_is_shown_as_the_policy_reads_it(runs: Runs, tmp_path: Path) -> None:
    run = runs.adapted
    text = str(exported(runs, tmp_path / "out", "adapted"))
    shown = text.split("## How prompts are made")[1].split("\n## ")[0]
    assert example(run.recipe()) in shown and "**user**\n\n```text\nTask: " in shown and "You see: " in shown
    assert "Skills:" not in shown


def test_without_the_environments_data_there_is_no_prompt(tmp_path: Path) -> None:
    absent = f"environment.options.data={tmp_path}/none"
    assert example(load_recipe("alfworld-qwen3-1.7b", overrides=[absent], check_environment=False).recipe) == ""


def test_a_prompt_stays_within_its_block() -> None:
    hostile = "```\n# no heading\n````` <b>"
    lines = fenced(hostile).splitlines()
    assert lines[0] == "``````text" and lines[-1] == "``````" and "\n".join(lines[1:-1]) == hostile
    long = fenced(cut("a" * (LONGEST + 7)))
    assert len(long) < LONGEST + 60 and "(cut: 7 more letters)" in long


def test_the_help_says_where_an_export_goes(runs: Runs) -> None:
    """What is said is what is done."""
    _ = runs.adapted
    done = runs.export("adapted", "--checkpoint", "2")
    assert done.code == 0 and (runs.adapted.path / "export" / "step-2" / "README.md").is_file()
    assert "`export/CHECKPOINT`" in get_args(get_type_hints(export, include_extras=True)["to"])[1].help
