"""A study in a real store: its parent, made once, and what it is shown of its runs."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from study_views import study_spec, study_view

from sdar_cli.sweep.publish import open_parent, publish
from sdar_cli.tracking.tracker import Tracker

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
SETTINGS = [{"gate.temperature": value} for value in (0.1, 5.0)]
WORDS = ["gate.temperature=0.1,5"]


def spec_in(store: str, name: str, root: Path, **changes):
    spec = study_spec(name, WORDS, SETTINGS, seeds=(1, 2), tracking_uri=store, **changes)
    uri, parent = open_parent(spec, root)
    assert uri == store
    return spec.model_copy(update={"mlflow_parent": parent})


def test_a_parent_is_made_once_whoever_asks(store: str, client, tmp_path: Path) -> None:
    spec = study_spec("once", WORDS, SETTINGS, tracking_uri=store)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(open_parent(spec, tmp_path)[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    run = client.get_run(found[0])
    assert (run.info.run_name, run.data.tags["sdar.kind"], run.data.tags["sdar.study"]) == ("once", "study", "once")
    assert "gate.temperature=0.1,5" in run.data.tags["mlflow.note.content"]
    tags = client.get_experiment(run.info.experiment_id).tags
    state = json.loads(json.loads(tags["mlflow.sharedViewState.sdar-study-once"])["state"])
    assert state["searchFilter"] == "tags.`sdar.study` = 'once'"
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "sdar.setting"}]
    assert "params.`gate.temperature`" in state["selectedColumns"]
    other, _ = open_parent(spec, tmp_path / "elsewhere"), None
    assert other[1] != found[0], "a study of that name in another runs folder is another"


def test_a_study_shows_its_cells_and_tells_its_runs_their_setting(
    store: str, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_in(store, "shown", tmp_path)
    folder = tmp_path / "studies" / "shown"
    ids = {}
    for cell in range(2):
        for seed in spec.seeds:
            name = spec.run_name(cell, seed)
            tags = {"sdar.kind": "training", "sdar.study": "shown"}
            tracker = Tracker.start(store, "toy", name, "", {"gate.beta": 1}, tags, parent=spec.mlflow_parent)
            tracker.finish()
            ids[name] = tracker.run_id

    def outcome(params, seed):
        return 0.5 + seed / 40 if params["gate.temperature"] == 0.1 else None

    publish(study_view(spec, outcome, ids.get), folder)
    run = client.get_run(spec.mlflow_parent)
    assert run.info.status == "RUNNING" and run.data.tags["sdar.status"] == "running"
    assert run.data.metrics["study/cells_done"] == 1
    assert run.data.metrics["study/best_mean_success"] == pytest.approx(0.5375)
    child = client.get_run(ids["shown-c000-s1"]).data
    assert (child.tags["sdar.setting"], child.tags["sdar.cell"]) == ("gate.temperature=0.1", "000")
    assert child.tags["sdar.cell_mean"] == "0.5375"
    assert child.params == {"gate.beta": "1", "gate.temperature": "0.1"}
    assert "sdar.setting" not in client.get_run(ids["shown-c001-s1"]).data.tags, "it has no result yet"

    whole = study_view(spec, lambda params, seed: 0.5 + seed / 40, ids.get)
    for _ in range(2):
        publish(whole, folder)
    run = client.get_run(spec.mlflow_parent)
    assert run.info.status == "FINISHED" and run.data.tags["sdar.status"] == "finished"
    note = run.data.tags["mlflow.note.content"]
    assert "| rank | cell | gate.temperature |" in note and "sdar compare --study shown" in note
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)  # load_table looks for runs there
    table = client.load_table(run.info.experiment_id, "tables/cells.json", [spec.mlflow_parent])
    assert list(table["gate.temperature"]) == [0.1, 5.0] and list(table["success"]) == [53.8, 53.8]
    artifacts = {entry.path for entry in client.list_artifacts(spec.mlflow_parent, "figures")}
    assert "figures/response-gate.temperature.png" in artifacts

    publish(study_view(spec, outcome, ids.get), folder)
    assert client.get_run(spec.mlflow_parent).info.status == "FINISHED", "a slower worker's older view is left out"
    history = client.get_metric_history(spec.mlflow_parent, "study/cells_done")
    assert [entry.value for entry in history] == [1, 2, 2]


def test_a_note_of_a_person_stays(store: str, client, tmp_path: Path) -> None:
    spec = spec_in(store, "noted", tmp_path, note="Is it the gate?")
    old = client.get_run(spec.mlflow_parent).data.tags["mlflow.note.content"]
    assert "Is it the gate?" in old
    client.set_tag(spec.mlflow_parent, "mlflow.note.content", f"Seen by Lee.\n\n{old}\n\nTo be repeated.")
    publish(study_view(spec, lambda params, seed: 0.5), tmp_path / "studies" / "noted")
    new = client.get_run(spec.mlflow_parent).data.tags["mlflow.note.content"]
    assert new.startswith("Seen by Lee.") and new.endswith("To be repeated.") and "| rank |" in new
    client.set_tag(spec.mlflow_parent, "mlflow.note.content", "All mine.")
    publish(study_view(spec, lambda params, seed: 0.6), tmp_path / "studies" / "noted")
    assert client.get_run(spec.mlflow_parent).data.tags["mlflow.note.content"] == "All mine."


def test_a_study_without_a_parent_is_shown_nowhere(tmp_path: Path) -> None:
    publish(study_view(study_spec("none", WORDS, SETTINGS), lambda params, seed: 0.5), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_made_behind_its_end_is_told_its_setting(store: str, client, tmp_path: Path) -> None:
    """The store was away throughout: the study's result knows no MLflow run, and run.json does since it was sent."""
    spec = spec_in(store, "behind", tmp_path)
    name, tags = spec.run_name(0, 1), {"sdar.kind": "training", "sdar.study": "behind"}
    tracker = Tracker.start(store, "toy", name, "", {}, tags, parent=spec.mlflow_parent)
    tracker.finish()
    (tmp_path / name).mkdir()
    (tmp_path / name / "run.json").write_text(json.dumps({"mlflow_run_id": tracker.run_id}))
    view = replace(study_view(spec, lambda params, seed: 0.5), root=tmp_path)
    publish(view, tmp_path / "studies" / "behind")
    child = client.get_run(tracker.run_id).data
    assert (child.tags["sdar.setting"], child.tags["sdar.cell"]) == ("gate.temperature=0.1", "000")
