"""Tables, descriptions, tags, the panel and the views of a run, as MLflow gets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking import labels, notes, tables, views
from sdar_cli.tracking.tracker import Tracker

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")
TASKS = 40


def evaluation(mode: str, label: str, solved: int, step: int | None = None) -> Evaluation:
    records = tuple(
        EpisodeRecord(f"t{i}", "clean", i < solved, float(i < solved), 0.0, 3, 5, 9, 0, "success", expert_turns=4)
        for i in range(TASKS)
    )
    bank = {"bank": "toy", "bank_digest": "cd" * 32} if mode == "skills" else {}
    return Evaluation(mode, label, "toy", "ab" * 32, {"temperature": 0.4}, 0, "hf", records, 1.0, step=step, **bank)


@pytest.fixture(scope="module")
def report() -> InternalisationReport:
    cells = [("no_skills", "base", 4, None), ("skills", "base", 36, None)]
    cells += [("no_skills", "trained", 28, 9), ("skills", "trained", 38, 9)]
    return InternalisationReport.build(*(evaluation(*cell) for cell in cells))


def test_a_run_has_its_tables_in_mlflows_own_form(store: str, client, report, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker.start(store, "toy", "toy-run", "", {})
    tracker.evaluation(report.trained_without)
    tracker.table(tables.of_tasks(report))
    again = Tracker.start(store, "toy", "toy-run", "", {}, run_id=tracker.run_id)
    again.table(tables.of_report(report))
    again.table(tables.of_report(report))
    tag = json.loads(client.get_run(tracker.run_id).data.tags[tables.TAG])
    paths = ["tables/trained-step-9-no_skills.json", "tables/tasks.json", "tables/internalisation.json"]
    assert tag == [{"path": path, "type": "table"} for path in paths]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    experiment = client.get_run(tracker.run_id).info.experiment_id
    frame = client.load_table(experiment, "tables/tasks.json", [tracker.run_id])
    assert list(frame.columns) == [
        *("task", "type", "expert turns", "base without", "base with", "trained without", "trained with")
    ]
    assert len(frame) == TASKS and [int(frame[name].sum()) for name in frame.columns[3:]] == [4, 36, 28, 38]
    played = client.load_table(experiment, paths[0], [tracker.run_id])
    assert int(played["won"].sum()) == 28 and set(played["task_type"]) == {"clean"}


def test_the_tag_that_lists_tables_stays_short() -> None:
    paths = [f"tables/trained-step-{step}-no_skills.json" for step in range(500)]
    kept = tables.read_listed(tables.listed(paths))
    assert kept == paths[:20] + paths[-20:] and len(tables.listed(paths)) < 5000
    assert tables.read_listed(None) == tables.read_listed("[1]") == tables.read_listed("nonsense") == []


def test_a_table_as_markdown_and_csv() -> None:
    table = tables.Table("t", ("a", "b|c"), [("x\ny", None), ("1", 2.5)])
    assert table.markdown.splitlines() == ["| a | b\\|c |", "| :-- | --: |", "| x y |  |", "| 1 | 2.5 |"]
    assert table.csv == 'a,b|c\n"x\ny",\n1,2.5\n'


def test_the_description_says_what_it_is_how_it_came_out_and_what_next(report, tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", overrides=["tracking.note=Does it help?", "seed=3"]).recipe
    before, after = (notes.of_training(recipe, "my run", tmp_path, found) for found in (None, report))
    for text in (before, after):
        assert text.startswith("Does it help?") and "**sdar** in household, recipe `quickstart`, seed 3" in text
        assert f"sdar eval 'my run' --both --runs {tmp_path}" in text
    assert "|" not in before
    assert "| trained | 70.0 % [54.6–81.9] | 95.0 %" in after and "Internalised fraction: 75.0 % [" in after


@given(mine=st.text(max_size=200), first=st.text(max_size=200), second=st.text(max_size=200))
def test_our_part_of_a_description_is_replaced_and_no_other(mine: str, first: str, second: str) -> None:
    for text in (mine, first, second):
        if notes.BEGIN in text or notes.END in text:
            return
    old = notes.merged(None, first)
    assert old is not None and first.strip() in old
    edited = f"{mine}\n{old}\n{mine}"
    assert notes.merged(edited, second) == edited.replace(old, notes.merged(None, second) or "")
    assert notes.merged(mine, second) is None or not mine.strip()


def test_a_description_that_is_too_long_is_cut_at_a_line() -> None:
    text = notes.merged(None, "line of text\n" * 1000)
    assert text is not None and len(text) <= notes.LIMIT and text.endswith(f"line of text\n…\n{notes.END}")


def test_a_run_is_found_by_its_tags(tmp_path: Path) -> None:
    given_tags = {"tracking.tags": ("--tag", {"owner": "lee", "sdar.method": "mine"})}
    recipe = load_recipe("quickstart", [], ["tracking.group=ablation", "seed=7"], given_tags).recipe
    tags = labels.of_training(recipe, tmp_path / "first", panel="ab" * 32, bank="household 54ade", commit="abc+")
    wanted = {
        "sdar.kind": "training",
        "sdar.recipe": "quickstart",
        "sdar.method": "mine",
        "sdar.environment": "household",
        "sdar.model": "tiny 2 × 64",
        "sdar.seed": "7",
        "sdar.group": "ablation",
        "sdar.run": "first",
        "sdar.folder": str(tmp_path / "first"),
        "sdar.git_commit": "abc+",
        "mlflow.source.git.commit": "abc",
        "owner": "lee",
    }
    assert tags.items() >= wanted.items()
    assert all(tags.values()) and all(len(value) < 5000 for value in tags.values())


def test_the_panel_is_the_runs_dataset(store: str, client, tmp_path: Path) -> None:
    panel = Panel("toy", "0" * 64, "test", 0, ("a", "b"))
    tracker = Tracker.start(store, "toy", "toy-run", "", {})
    for _ in range(2):
        tracker.panel(panel, tmp_path / "panel.json")
    (given_,) = client.get_run(tracker.run_id).inputs.dataset_inputs
    assert (given_.dataset.name, given_.dataset.digest) == ("toy, test, 2 tasks", panel.digest[:36])
    assert [(tag.key, tag.value) for tag in given_.tags] == [("mlflow.data.context", "evaluation")]


def test_an_experiment_gets_its_view_once_and_an_edited_one_stays(store: str, client) -> None:
    key, _ = views.RUNS.tag
    Tracker.start(store, "viewed", "toy-run", "", {})
    experiment = client.get_experiment_by_name("viewed")
    assert json.loads(experiment.tags[key])["name"] == "Runs"
    client.set_experiment_tag(experiment.experiment_id, key, "mine")
    Tracker.start(store, "viewed", "toy-run", "", {})
    assert client.get_experiment_by_name("viewed").tags[key] == "mine"


def test_the_columns_of_views_are_metrics_and_tags_that_runs_have(report) -> None:
    recipe = load_recipe("quickstart", overrides=["tracking.group=x"]).recipe
    tags = {*labels.of_training(recipe, Path("x"), panel="p", bank="b", commit=None), labels.STATUS}
    metrics = {**report.trained_without.metrics(), **report.trained_with.metrics()}
    for column in views.RUNS.columns:
        kind, name = column[:-1].split(".`")
        assert name in {"metrics": metrics, "tags": tags}[kind], column
