"""The tracker against a real SQLite store, read back through MLflow's own client."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.rollout.episode import StopReason
from sdar_cli.tracking.location import sqlite_uri
from sdar_cli.tracking.tracker import Tracker
from sdar_cli.tracking.wire import PARAM_LIMIT, metric_name

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


def start(store: str, **more) -> Tracker:
    return Tracker.start(store, "toy", "toy-run", "name: toy\n", {"gate.beta": 5.0}, **more)


def artifact(client, run_id: str, path: str) -> str:
    return Path(client.download_artifacts(run_id, path)).read_text()


def test_a_run_holds_recipe_parameters_tags_and_status(store: str, client) -> None:
    params = {f"p{i}": i for i in range(230)} | {"long": "x" * 9000, "none": None, "list": [1, "a"]}
    tracker = Tracker.start(store, "toy", "toy-1", "name: toy\n", params, {"method": "sdar"})
    run = client.get_run(tracker.run_id)
    assert run.info.run_name == "toy-1" and run.info.status == "RUNNING"
    assert len(run.data.params) == 233
    assert run.data.params["p17"] == "17" and run.data.params["list"] == '[1, "a"]'
    assert len(run.data.params["long"]) == PARAM_LIMIT and run.data.params["long"].endswith("…")
    assert run.data.tags["method"] == "sdar"
    assert artifact(client, tracker.run_id, "recipe.yaml") == "name: toy\n"
    tracker.finish()
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def test_artifacts_lie_beside_the_store(store: str, client, tmp_path: Path) -> None:
    tracker = start(store)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "success.svg").write_text("<svg/>")
    tracker.artifact_file(tmp_path / "plots" / "success.svg", "plots")
    tracker.artifact_file(tmp_path / "plots", "all")
    root = Path(store.removeprefix("sqlite:///")).parent
    assert (root / "mlartifacts" / tracker.run_id / "artifacts" / "plots" / "success.svg").is_file()
    assert artifact(client, tracker.run_id, "all/plots/success.svg") == "<svg/>"
    assert not Path("mlruns").exists()


def test_metrics_keep_steps_and_leave_out_what_is_not_finite(store: str, client) -> None:
    tracker = start(store)
    for step in (1, 2):
        tracker.metrics(step, {"rollout/success": step / 4, "gap/mean": math.nan, "policy/kl": math.inf})
    history = client.get_metric_history(tracker.run_id, "rollout/success")
    assert [(entry.step, entry.value) for entry in history] == [(1, 0.25), (2, 0.5)]
    assert set(client.get_run(tracker.run_id).data.metrics) == {"rollout/success"}
    assert tracker.skipped == 4


def test_more_metrics_than_one_call_takes(store: str, client) -> None:
    tracker = start(store)
    tracker.metrics(1, {f"m{i}": i for i in range(1001)})
    assert len(client.get_run(tracker.run_id).data.metrics) == 1001


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eval/no_skills/success/pick & place (two)", "eval/no_skills/success/pick _ place _two_"),
        ("gap/turn_00/mean", "gap/turn_00/mean"),
        ("/a//b", "a/b"),
        ("../up", "__/up"),
    ],
)
def test_a_metric_gets_a_name_that_mlflow_accepts(store: str, client, name: str, expected: str) -> None:
    assert metric_name(name) == expected
    said: list[str] = []
    tracker = start(store, say=said.append)
    tracker.metrics(0, {name: 1.0})
    assert client.get_run(tracker.run_id).data.metrics == {expected: 1.0}
    assert said == []


def test_a_resumed_run_goes_on_with_its_own_parameters(store: str, client) -> None:
    first = start(store)
    first.finish("KILLED")
    again = Tracker.start(
        store,
        "toy",
        "ignored",
        "name: toy\n",
        {"gate.beta": 9.0, "new": 1},
        {"resumed": "1"},
        run_id=first.run_id,
    )
    run = client.get_run(again.run_id)
    assert again.run_id == first.run_id and run.info.status == "RUNNING"
    assert run.data.params == {"gate.beta": "5.0", "new": "1"}
    assert run.data.tags["resumed"] == "1"


def test_a_child_run_is_shown_below_its_parent(store: str, client) -> None:
    parent = start(store)
    child = start(store, parent=parent.run_id)
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_an_evaluation_becomes_json_and_a_table(store: str, client, episode) -> None:
    episodes = [episode(0, True), episode(1, False)]
    evaluation = Evaluation(
        "no_skills",
        "trained",
        "toy",
        "ab" * 32,
        {"temperature": 0.4},
        0,
        "hf",
        tuple(EpisodeRecord.of(e) for e in episodes),
        1.0,
        step=7,
    )
    tracker = start(store)
    tracker.evaluation(evaluation)
    (point,) = client.get_metric_history(tracker.run_id, "eval/no_skills/success")
    assert (point.step, point.value) == (7, 0.5)
    text = artifact(client, tracker.run_id, "evaluations/trained-step-7-no_skills.json")
    assert Evaluation.from_json(json.loads(text)) == evaluation
    table = artifact(client, tracker.run_id, "evaluations/trained-step-7-no_skills.csv")
    rows = list(csv.DictReader(table.splitlines()))
    assert [(row["task_id"], row["won"], row["skills"]) for row in rows] == [
        ("t0", "True", "general clean"),
        ("t1", "False", "general clean"),
    ]


def test_episodes_are_traces_of_their_run_with_a_span_a_turn(store: str, client, episode) -> None:
    tracker = start(store)
    episodes = [episode(0, True), episode(1, False), episode(2, False, StopReason.ENVIRONMENT_ERROR)]
    signals = {(1, 2): {"gap_mean": -0.125, "gate_mean": 0.25}}
    assert tracker.episodes(5, episodes, "train", signals) == 3
    experiment = client.get_run(tracker.run_id).info.experiment_id

    def found(condition: str | None = None) -> list:
        return client.search_traces(locations=[experiment], run_id=tracker.run_id, filter_string=condition)

    assert len(found()) == 3
    (won,) = found("tags.success = 'true'")
    assert won.info.tags.items() >= {"task_id": "t0", "task_type": "clean", "step": "5", "mode": "train"}.items()
    assert won.info.request_preview == "wash mug 0"
    root, *turns = won.data.spans
    assert root.inputs == {"task": "wash mug 0", "skills": ["general", "clean"]}
    assert root.outputs["success"] is True and root.outputs["reward"] == 10.0
    assert [span.name for span in turns] == ["turn 0", "turn 1", "turn 2"]
    assert all(span.parent_id == root.span_id for span in turns)
    assert turns[0].inputs == "prompt 0 \ud800" and turns[0].outputs == "<action>go</action>"
    assert turns[0].attributes["invalid"] == "no action tag" and "invalid" not in turns[1].attributes
    assert turns[2].attributes["observation"] == "you see 2" and turns[2].attributes["reward"] == 10.0
    assert "gap_mean" not in turns[2].attributes
    (lost,) = found("tags.task_id = 't1'")
    last = lost.data.spans[-1].attributes
    assert (last["gap_mean"], last["gate_mean"]) == (-0.125, 0.25)
    (error,) = found("tags.stop = 'environment_error'")
    assert error.info.state == "ERROR" and error.info.tags["success"] == "false"


def test_many_turns_are_written_in_one_go(store: str, client, episode, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracing.client import TracingClient

    calls: list[int] = []
    real = TracingClient.log_spans

    def counted(self, location, spans):
        calls.append(len(spans))
        return real(self, location, spans)

    monkeypatch.setattr(TracingClient, "log_spans", counted)
    tracker = start(store)
    assert tracker.episodes(1, [episode(i, i % 2 == 0) for i in range(12)], "skills", limit=4) == 4
    assert calls == [4 * 4]


def test_system_metrics_run_only_while_the_run_does(store: str, client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.02")
    tracker = start(store, system_metrics=True)
    deadline = time.monotonic() + 30
    name = "system/cpu_utilization_percentage"
    while time.monotonic() < deadline and name not in client.get_run(tracker.run_id).data.metrics:
        time.sleep(0.02)
    tracker.finish()
    assert name in client.get_run(tracker.run_id).data.metrics


def test_a_store_that_cannot_be_used_stops_the_run_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database" * 100)
    with pytest.raises(RunFailed, match=r"cannot be used .*set tracking\.uri to another one") as error:
        start(sqlite_uri(tmp_path / "mlflow.db"))
    assert "\n" not in str(error.value)


def test_a_server_that_is_not_there_hides_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RunFailed, match="cannot be used") as error:
        start("http://user:hush@127.0.0.1:9")
    assert "hush" not in str(error.value)


def test_a_deleted_experiment_is_named_with_its_remedy(store: str, client) -> None:
    experiment = client.create_experiment("gone")
    client.delete_experiment(experiment)
    with pytest.raises(RunFailed, match="'gone' was deleted: restore it"):
        Tracker.start(store, "gone", "x", "", {})


def test_a_tracked_run_prints_nothing_and_reports_to_nobody(store: str, tmp_path: Path) -> None:
    code = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from sdar_cli.tracking.tracker import Tracker\n"
        "assert 'mlflow' not in sys.modules\n"
        "where = {'spool': Path(sys.argv[1]), 'system_metrics': True}\n"
        f"tracker = Tracker.start({store!r}, 'quiet', 'run', '', {{'a': 1}}, **where)\n"
        "tracker.metrics(1, {'x': 1.0}); tracker.artifact_text('a.txt', 'a'); tracker.finish()\n"
        "from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY as silent\n"
        "from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT as no_links\n"
        "assert silent.get() and no_links.get()\n"
        "assert os.listdir('.') == []\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    (here := tmp_path / "here").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "spool")]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
