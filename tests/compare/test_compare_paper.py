"""The paper's table, and which of its numbers stand beside a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compare_runs import make_run, outcomes

from sdar_cli.compare import paper
from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Options
from sdar_cli.compare.report import PaperRow, Report
from sdar_cli.errors import UserError
from sdar_cli.objectives.registry import OBJECTIVES

ALFWORLD: dict[str, Any] = {"recipe": "alfworld-qwen2.5-3b", "conditions": {"environment": "alfworld"}}


def beside(root: Path, *names: str, **options: Any) -> Report:
    return build(by_reference(names, root), Options(paper=True, **options))


def row(report: Report, method: str, metric: str, *, skills: bool = False) -> PaperRow:
    return next(one for one in report.paper if (one.method, one.metric, one.skills) == (method, metric, skills))


def test_the_table_is_whole() -> None:
    table = paper.table()
    assert len(table) == 510 and all(0 <= share <= 1 for share in table.values())
    assert table["Qwen2.5-3B", "SDAR", False, "alfworld", "success"] == pytest.approx(0.844)
    assert table["Qwen2.5-3B", "GRPO", False, "alfworld", "success"] == pytest.approx(0.75)
    methods = {key[1] for key in table}
    assert set(paper.METHODS.values()) | {"Vanilla", "Skill-Prompt"} == methods
    assert set(paper.METHODS) <= set(OBJECTIVES)
    for environment, types in paper.TYPES.items():
        known = {key[4] for key in table if key[3] == environment}
        assert set(types) | {"success", "score", "average"} >= known >= set(types)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("Qwen/Qwen2.5-3B-Instruct", "Qwen2.5-3B"),
        ("/models/qwen2.5-7b-instruct/", "Qwen2.5-7B"),
        ("Qwen/Qwen3-1.7B", "Qwen3-1.7B"),
        ("Qwen/Qwen3-1.7B-Base", None),
        ("Qwen/Qwen2.5-32B", None),
        ("me/NotQwen3-1.7B", None),
    ],
)
def test_models_by_their_paths(tmp_path: Path, path: str, model: str | None) -> None:
    make_run(tmp_path, "a", recipe="alfworld-qwen2.5-3b", settings={"model.path": path})
    (entry,) = by_reference(["a"], tmp_path)
    assert paper.model_of(entry) == model


@pytest.mark.parametrize(("won", "covered"), [(0.85, True), (0.4, False)])
def test_whether_our_interval_covers_the_number(tmp_path: Path, won: float, covered: bool) -> None:
    make_run(tmp_path, "a", won=won, tasks=128, **ALFWORLD)
    report = beside(tmp_path, "a")
    found = row(report, "SDAR", "success")
    assert found.published == pytest.approx(0.844) and found.covered is covered
    assert found.covered is (found.ours.low <= 0.844 <= found.ours.high)
    assert (found.model, found.other_model) == ("Qwen2.5-3B", False)
    vanilla, prompted = row(report, "Vanilla", "success"), row(report, "Skill-Prompt", "success", skills=True)
    assert vanilla.published == pytest.approx(0.219) and vanilla.ours.estimate == pytest.approx(13 / 128)
    assert prompted.published == pytest.approx(0.289) and prompted.row == "a (base)"


def test_types_and_skills(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", method="skill_grpo", **ALFWORLD)
    for file in (run.path / "evaluations").iterdir():
        file.write_text(file.read_text().replace('"heat"', '"pick_heat_then_place_in_recep"'))
    report = beside(tmp_path, "a")
    heat = row(report, "Skill-GRPO", "heat")
    assert heat.published == paper.table()["Qwen2.5-3B", "Skill-GRPO", False, "alfworld", "heat"]
    assert heat.ours.estimate == pytest.approx(sum(outcomes(0.6, 40, "a")[1::3]) / 13)
    assert row(report, "Skill-GRPO", "success", skills=True).ours.estimate == pytest.approx(0.9)
    assert not any(one.metric == "clean" for one in report.paper)


def test_a_tiny_model_has_no_row_unless_one_is_asked_for(tmp_path: Path) -> None:
    make_run(tmp_path, "a", recipe="alfworld-tiny", conditions={"environment": "alfworld"})
    report = beside(tmp_path, "a")
    assert report.paper == ()
    assert any("the paper has no row for this model; give --paper-model (Qwen2.5-3B, " in note for note in report.notes)
    report = beside(tmp_path, "a", paper_model="Qwen2.5-3B")
    assert report.paper and all(one.other_model for one in report.paper)
    assert not any(one.method == "Vanilla" for one in report.paper)
    assert any("another model than these runs'" in note for note in report.notes)
    assert any("environment.options.games=generated" in note for note in report.notes)
    with pytest.raises(UserError, match=r"the paper has no model 'Qwen2.5-3': did you mean 'Qwen2.5-3B'\?"):
        beside(tmp_path, "a", paper_model="Qwen2.5-3")


def test_what_the_paper_does_not_have(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    assert "The paper has no results in household." in beside(tmp_path, "a").notes
    make_run(tmp_path, "b", method="rloo", **ALFWORLD)
    assert "The paper has no results of rloo." in beside(tmp_path, "b").notes
    make_run(tmp_path, "c", **ALFWORLD)
    report = beside(tmp_path, "b", "c", rows=("train.steps",))
    assert any("runs of several methods have no row" in note for note in report.notes)


def test_the_mean_of_seven_data_sets(tmp_path: Path) -> None:
    sets = tuple(paper.TYPES["search_qa"].values())
    conditions = {"environment": "search-qa", "means": {paper.MEAN_OF_SEVEN: sets}}
    for seed in range(2):
        run = make_run(tmp_path, f"a{seed}", seed=seed, tasks=70, recipe="search-qa-qwen3-1.7b", conditions=conditions)
        for file in (run.path / "evaluations").iterdir():
            _in_sets(file, sets)
    one, several = beside(tmp_path, "a0"), beside(tmp_path, "a0", "a1", rows="cell")
    assert row(one, "SDAR", "average").published == paper.table()["Qwen3-1.7B", "SDAR", False, "search_qa", "average"]
    assert row(one, "SDAR", "average").ours.estimate == pytest.approx(0.6)
    assert row(several, "SDAR", "average").ours.estimate == pytest.approx(0.6)
    assert row(one, "SDAR", "2wiki").published == paper.table()["Qwen3-1.7B", "SDAR", False, "search_qa", "2wiki"]


def _in_sets(file: Path, sets: tuple[str, ...]) -> None:
    import dataclasses
    import json

    from sdar_cli.evaluation.result import Evaluation

    kept = Evaluation.load(file)
    records = tuple(dataclasses.replace(record, task_type=sets[i % len(sets)]) for i, record in enumerate(kept.records))
    file.write_text(json.dumps(dataclasses.replace(kept, records=records).to_json(), indent=1))
