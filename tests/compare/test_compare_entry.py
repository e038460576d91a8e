"""Runs as a comparison finds and reads them, and those that it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from compare_runs import make_run

from sdar_cli.compare.build import build
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Options
from sdar_cli.errors import RunError
from sdar_cli.recipe.dump import dump
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.state import RunStatus


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = make_run(tmp_path, "alpha-1", started=1.0)
    newer = make_run(tmp_path, "beta-1", started=2.0)
    identity = older.state.mlflow_run_id
    assert identity is not None
    for reference in ("alpha-1", "alpha", str(older.path), identity, identity[:8]):
        assert [entry.name for entry in by_reference([reference], tmp_path)] == ["alpha-1"]
    assert [entry.name for entry in by_reference(["latest", "alpha"], tmp_path)] == ["beta-1", "alpha-1"]
    assert [entry.name for entry in by_reference(["beta-1", "latest"], tmp_path)] == ["beta-1"]
    monkeypatch.chdir(newer.path)
    assert [entry.name for entry in by_reference(["."], tmp_path)] == ["beta-1"]


def test_runs_of_one_name_in_several_folders_are_told_apart(tmp_path: Path) -> None:
    for folder, won in (("p/here", 0.5), ("q/here", 0.6), ("there", 0.7)):
        make_run(tmp_path / folder, "a", won=won, transcripts=True)
    make_run(tmp_path / "there", "b")
    places = ["p/here/a", "q/here/a", "there/a", "there/b"]
    entries = by_reference([str(tmp_path / place) for place in places], tmp_path)
    report = build(entries, Options())
    assert [row.label for row in report.rows] == ["p/here/a", "q/here/a", "there/a", "b"]
    assert [row.runs for row in report.rows] == [("p/here/a",), ("q/here/a",), ("there/a",), ("b",)]
    assert report.pairs[0].first == "p/here/a" and report.pairs[0].difference.estimate == pytest.approx(-0.1)


def test_references_that_name_no_run(tmp_path: Path) -> None:
    make_run(tmp_path, "alpha-1")
    make_run(tmp_path, "alpha-2")
    for reference, sentence in (
        ("alpha", "2 runs begin with 'alpha'"),
        ("alpah-1", "did you mean 'alpha-1'"),
        ("Qwen/Qwen3-1.7B", "is a model, not a run"),
        ("", "names no run"),
        ("a\0b", "names no run"),
        ("..", "is neither a run"),
    ):
        with pytest.raises(RunError, match=sentence):
            by_reference([reference], tmp_path)


def test_runs_that_cannot_be_compared_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    make_run(tmp_path, "good")
    make_run(tmp_path, "stopped", status=RunStatus.INTERRUPTED)
    make_run(tmp_path, "gone", status=RunStatus.TRAINING)
    bare = make_run(tmp_path, "bare")
    (bare.path / "evaluations" / "trained-step-20-no_skills.json").unlink()
    for file in (bare.path / "evaluations").glob("trained-*"):
        file.unlink()
    report = build(by_reference(["good", "stopped", "gone", "bare"], tmp_path), Options())
    assert [row.label for row in report.rows] == ["good"]
    assert report.notes[:3] == (
        "Left out, not finished (interrupted): stopped.",
        "Left out, not finished (lost): gone.",
        "Left out, without an evaluation of its end without skills: bare.",
    )
    with pytest.raises(RunError, match=r"no run is left to compare \(gone: not finished \(lost\)\)"):
        build(by_reference(["gone"], tmp_path), Options())


def test_a_collapsed_run_counts_as_it_ended(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", status=RunStatus.COLLAPSED, won=0.0)
    report = build(by_reference(["a"], tmp_path), Options())
    assert report.rows[0].measures["success"].value == 0.0
    assert "Ended early, as they collapsed, and counted as they ended: a." in report.notes
    assert run.state.status is RunStatus.COLLAPSED


def test_evaluations_of_other_panels_and_steps_are_not_the_end(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", won=0.6, steps=20)
    folder = run.path / "evaluations"
    content = (folder / "trained-step-20-no_skills.json").read_text()
    (folder / "trained-step-20-no_skills-0123abcd.json").write_text(content.replace("abab", "0123"))
    (folder / "trained-step-90-no_skills-0123abcd.json").write_text("{")
    (folder / "report.json").write_text("{}")
    (entry,) = by_reference(["a"], tmp_path)
    assert entry.no_skills.panel == "ab" * 32 and entry.no_skills.step == 20


def test_without_evaluations_with_skills_their_measures_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    for name in ("trained-step-20-skills", "base-skills", "base-no_skills"):
        (run.path / "evaluations" / f"{name}.json").unlink()
    report = build(by_reference(["a"], tmp_path), Options())
    measures = report.rows[0].measures
    assert "success" in measures and not {"success_skills", "gap", "gain", "internalised"} & measures.keys()
    assert report.rows[0].base == {} and report.rows[0].curve[0].step == 5


def test_an_old_run_has_its_settings_in_its_recipe(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", settings={"distill.coef": 0.25})
    state = json.loads((run.path / "run.json").read_text())
    (run.path / "recipe.yaml").write_text(dump(load_recipe("quickstart", overrides=["distill.coef=0.25"]).recipe))
    (run.path / "run.json").write_text(json.dumps(state | {"settings": {}}))
    (entry,) = by_reference(["a"], tmp_path)
    assert entry.settings["distill"]["coef"] == 0.25 and entry.method == "sdar" and entry.seed == 0


def test_a_damaged_evaluation_is_a_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    file = run.path / "evaluations" / "trained-step-20-no_skills.json"
    file.write_text(file.read_text().replace('"won": true', '"won": false', 1))
    with pytest.raises(RunError, match="was edited"):
        build(by_reference(["a"], tmp_path), Options())


def test_seconds_are_read_from_the_end_of_a_file(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a", steps=20, every=5)
    file = run.path / "evaluations" / "trained-step-10-no_skills.json"
    file.write_text(file.read_text().replace('\n "seconds": 3.0', '\n "seconds": 12.5'))
    compact = run.path / "evaluations" / "trained-step-15-no_skills.json"
    compact.write_text(json.dumps(json.loads(compact.read_text()) | {"seconds": 7.0}))
    (entry,) = by_reference(["a"], tmp_path)
    assert entry.device_seconds == pytest.approx(60 + 4 * 3 + 3 + 12.5 + 7)


def test_nothing_is_read_that_was_not_asked_for(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    entry = Entry(run, run.state)
    for file in (run.path / "evaluations").iterdir():
        file.write_text("{")
    (run.path / "metrics.jsonl").unlink()
    assert entry.why_not is None and entry.seed == 0
