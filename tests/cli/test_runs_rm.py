"""``sdar runs``: thousands listed, what is removed and what never is, and what goes with time."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.listing import list_all
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.store import RunFolder
from sdar_cli.runs.trash import TRASH, size_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
Make = Callable[..., RunFolder]
Sdar = Callable[..., tuple[int, str, str]]
CELLS = {"success": {"estimate": 0.625, "low": 0.5, "high": 0.7}}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A finished run of 1,000 bytes of weights; keywords are fields of its state, or ``tags``, ``group``, ``note``."""
    resolved = load_recipe("quickstart")

    def run(
        name: str, *, checkpoints: int = 2, study: str | None = None, report: bool = True, **changes: Any
    ) -> RunFolder:
        made = RunFolder.create(tmp_path, resolved, name)
        settings = json.loads(json.dumps(made.state.settings))
        settings["tracking"] |= {"group": changes.pop("group", None), "note": changes.pop("note", "")}
        settings["tracking"]["tags"] = {"sdar.study": study} if study else {}
        settings["method"] = changes.pop("method", "sdar")
        made.base.mkdir()
        (made.base / "model.safetensors").write_bytes(b"x" * 400)
        for step in range(1, checkpoints + 1):
            with made.saving_checkpoint(step) as folder:
                (folder / "model.safetensors").write_bytes(b"x" * 300)
        if report:
            cell = {"label": "trained", "no_skills": CELLS, "skills": CELLS}
            content = {"cells": [cell], "internalised_fraction": CELLS["success"]}
            made.save_evaluation("report", content | {"internalised_fraction_undefined": None})
        made.update(**({"status": "finished", "settings": settings} | changes))
        return made

    return run


@pytest.fixture
def sdar(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Sdar:
    """``sdar runs …`` on the runs of the test, without a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def command(*words: str) -> tuple[int, str, str]:
        code = main(["runs", *words, "--runs", str(tmp_path)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def names(root: Path) -> list[str]:
    return [run.name for run in list_all(root)]


def test_ls_filters_and_shows_success(make: Make, sdar: Sdar) -> None:
    make("first", group="ablation", started=1.0)
    make("second", method="grpo", started=2.0, report=False)
    make("third", group="ablation", status="failed", started=3.0, report=False)
    code, out, _ = sdar("ls")
    lines = out.splitlines()
    assert code == 0 and [line.split()[0] for line in lines] == ["run", "first", "second", "third"]
    assert "62.5 %" in lines[1] and "ablation" in lines[1] and "%" not in lines[2]
    for words, expected in (
        (["--group", "ablation"], ["first", "third"]),
        (["--method", "grpo"], ["second"]),
        (["--status", "failed", "--group", "ablation"], ["third"]),
    ):
        found = json.loads(sdar("ls", "--json", *words)[1])
        assert [run["name"] for run in found] == expected
    assert json.loads(sdar("ls", "--json")[1])[0]["success"] == 0.625
    code, out, err = sdar("ls", "--group", "none")
    assert (code, out) == (0, "") and "none of 3 runs" in err
    assert "did you mean 'failed'" in sdar("ls", "--status", "faild")[2]


def test_a_run_without_a_report_shows_its_latest_evaluation(make: Make, tmp_path: Path) -> None:
    run = make("training", report=False, status="interrupted")
    rows = [
        {"step": 0, "eval/no_skills/success": 0.1},
        {"step": 4, "eval/no_skills/success": 0.25},
        {"step": 5, "a": 1},
    ]
    (run.path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 6, "eval/no_sk')
    (found,) = list_all(tmp_path)
    assert found.success == 0.25
    (run.path / "metrics.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert list_all(tmp_path)[0].success is None, "the base's is not the run's"


def test_two_thousand_runs_are_listed_in_two_seconds(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    run = make("run-0000")
    state = json.loads((run.path / "run.json").read_text())
    for number in range(1, 2000):
        copy = tmp_path / f"run-{number:04d}"
        (copy / "evaluations").mkdir(parents=True)
        os.link(run.path / "evaluations" / "report.json", copy / "evaluations" / "report.json")
        (copy / "run.json").write_text(json.dumps(state | {"name": copy.name, "started": number}))
    begun = time.process_time()
    code, out, _ = sdar("ls")
    seconds = time.process_time() - begun
    assert code == 0 and len(out.splitlines()) == 2001
    assert seconds < 2, seconds


def test_show_has_group_note_study_results_and_the_last_metrics(make: Make, sdar: Sdar) -> None:
    run = make("probe-c003-s1", group="g1", note="my note", study="probe")
    row = {"step": 7, "rollout/success": 0.5, "gap/mean": -0.125}
    (run.path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    code, out, _ = sdar("show", "probe-c003-s1")
    assert code == 0
    for text in ("g1", "my note", "probe, cell 3", "62.5 % [50.0–70.0]", "step 7: success 0.5, gap -0.125"):
        assert text in out, text
    shown = json.loads(sdar("show", "probe-c003-s1", "--json")[1])
    assert (shown["study"], shown["cell"], shown["success"], shown["checkpoints"]) == ("probe", 3, 0.625, [1, 2])


def test_rm_takes_the_folder_and_says_how_much_it_was(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    first, second = make("first"), make("second")
    size = size_of(first.path)
    code, out, _ = sdar("rm", "first", "--yes", "--json")
    assert code == 0 and json.loads(out)["bytes"] == size > 1000
    assert names(tmp_path) == ["second"] and second.path.is_dir() and not (tmp_path / TRASH).exists()


def test_rm_does_nothing_without_a_terminal_or_yes(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    make("first")
    code, _, err = sdar("rm", "first")
    assert code == 2 and "say --yes" in err and names(tmp_path) == ["first"]
    assert sdar("rm", "--yes")[0] == sdar("rm", "first", "--study", "x", "--yes")[0] == 2


def test_rm_asks_on_a_terminal(make: Make, sdar: Sdar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    make("first")
    for answer, left in (("n\n", ["first"]), ("y\n", [])):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        code, _, err = sdar("rm", "first")
        assert "Remove 1 run (first)" in err and names(tmp_path) == left and code == (1 if left else 0)


@pytest.mark.parametrize("reference", ["fir", "latest"])
def test_rm_wants_the_whole_name(make: Make, sdar: Sdar, tmp_path: Path, reference: str) -> None:
    make("first")
    code, _, err = sdar("rm", reference, "--yes")
    assert code == 2 and "give its whole name" in err and names(tmp_path) == ["first"]


def test_a_run_at_work_is_never_removed_nor_any_beside_it(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    make("first")
    busy = make("second", status="training")
    with RunLock(busy.path):
        for words in (["first", "second"], ["second", "--weights-only"]):
            code, _, err = sdar("rm", *words, "--yes")
            assert code == 2 and "is working on" in err
    assert names(tmp_path) == ["first", "second"] and len(busy.checkpoints()) == 2
    assert sdar("rm", "first", "second", "--yes")[0] == 0 and names(tmp_path) == []


def test_weights_go_and_results_stay(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    run = make("probe-c000-s1", study="probe")
    (tmp_path / "studies" / "probe").mkdir(parents=True)
    torn = run.path / ".torn-base-2"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"x" * 500)
    weights = size_of(run.base) + size_of(run.path / "checkpoints") + 500
    code, out, _ = sdar("rm", run.name, "--weights-only", "--yes", "--json")
    assert code == 0 and json.loads(out)["bytes"] == weights
    assert run.checkpoints() == [] and not run.base.exists() and not torn.exists()
    assert list(run.evaluations()) == ["report"]
    assert list_all(tmp_path)[0].success == 0.625


def study(root: Path, name: str) -> Path:
    folder = root / "studies" / name
    (folder / "beats").mkdir(parents=True)
    content = {"format": 1, "created": 1.0, "storage": None, "spec": {"name": name}}
    (folder / "study.json").write_text(json.dumps(content))
    return folder


def test_a_studys_runs_go_with_the_study_only(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    folder = study(tmp_path, "probe")
    make("probe-c000-s1", study="probe")
    make("probe-c001-s1", study="probe")
    make("alone")
    code, _, err = sdar("rm", "probe-c000-s1", "--yes")
    assert code == 2 and "sdar runs rm --study probe" in err
    (folder / "beats" / "1").write_text("5")
    code, _, err = sdar("rm", "--study", "probe", "--yes")
    assert code == 2 and "sdar sweep pause" in err, "a worker gave a sign of life just now"
    os.utime(folder / "beats" / "1", (1.0, 1.0))
    code, out, _ = sdar("rm", "--study", "probe", "--yes")
    assert code == 0 and "the study probe with 2 runs" in out
    assert names(tmp_path) == ["alone"] and not folder.exists()
    assert "there is no study" in sdar("rm", "--study", "probe", "--yes")[2]
    orphan = make("probe-c000-s1", study="probe")
    assert sdar("rm", orphan.name, "--yes")[0] == 0, "its study is gone"


def test_what_a_killed_removal_left_is_not_a_run_and_goes_with_the_next(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    make("first")
    left = make("half")
    (tmp_path / TRASH).mkdir()
    shutil.move(left.path, tmp_path / TRASH / "half-1234")
    assert names(tmp_path) == ["first"]
    assert sdar("rm", "first", "--yes")[0] == 0 and not (tmp_path / TRASH).exists()


def test_the_mlflow_run_goes_too_unless_it_is_kept(
    make: Make, sdar: Sdar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdar_cli.tracking.location import sqlite_uri
    from sdar_cli.tracking.quiet import import_mlflow
    from sdar_cli.tracking.tracker import Tracker

    store = sqlite_uri(tmp_path / "mlflow.db")
    client = import_mlflow().MlflowClient(tracking_uri=store)
    ids = {}
    for name in ("first", "second", "third"):
        tracker = Tracker.start(store, "toy", name, "", {})
        tracker.finish()
        ids[name] = tracker.run_id
        make(name, mlflow_run_id=tracker.run_id, tracking_uri=store, experiment="toy")
    client.delete_run(ids["third"])
    assert sdar("rm", "first", "third", "--yes")[0] == 0
    assert sdar("rm", "second", "--yes", "--keep-tracking")[0] == 0
    stages = [client.get_run(ids[name]).info.lifecycle_stage for name in ("first", "second", "third")]
    assert stages == ["deleted", "active", "deleted"]

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    make("fourth", mlflow_run_id="0" * 32, tracking_uri="http://me:hush@127.0.0.1:9", experiment="toy")
    code, out, err = sdar("rm", "fourth", "--yes")
    assert code == 0 and "removed 1 run" in out
    assert "http://***@127.0.0.1:9 still shows what was removed" in err and "hush" not in err
    gone = tmp_path / "gone.db"
    make("fifth", mlflow_run_id="0" * 32, tracking_uri=sqlite_uri(gone), experiment="toy")
    assert sdar("rm", "fifth", "--yes")[0] == 0 and not gone.exists()

    old_traces_go(client, store, sdar, make)


def old_traces_go(client, store: str, sdar: Sdar, make: Make) -> None:
    """On the same store, as making one takes seconds."""
    from sdar_cli.tracking.tracker import Tracker

    tracker = Tracker.start(store, "toy", "traced", "", {})
    make("traced", mlflow_run_id=tracker.run_id, tracking_uri=store, experiment="toy")
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.client import TracingClient

    experiment = client.get_experiment_by_name("toy").experiment_id
    now = int(1000 * time.time())
    for number in range(105):
        age = 40 if number < 103 else 1
        info = TraceInfo(
            trace_id=f"tr-{number:032x}",
            trace_location=TraceLocation.from_experiment_id(experiment),
            request_time=now - age * 86_400_000,
            state=TraceState.OK,
        )
        TracingClient(store).start_trace(info)
    words = ("prune", "--traces-older-than", "30d", "--json")
    assert json.loads(sdar(*words, "--dry-run")[1])["traces"] == {"toy": 103}
    done = json.loads(sdar(*words, "--yes")[1])
    assert done["traces_removed"] == 103
    assert len(client.search_traces(locations=[experiment], include_spans=False)) == 2
    assert json.loads(sdar(*words, "--yes")[1])["removed"] is False


def test_old_checkpoints_of_runs_that_are_over_go(make: Make, sdar: Sdar, tmp_path: Path) -> None:
    now = time.time()
    old = make("old", checkpoints=3, ended=now - 40 * 86_400)
    new = make("new", checkpoints=3, ended=now)
    stopped = make("stopped", checkpoints=3, status="interrupted", ended=now - 40 * 86_400)
    words = ("prune", "--keep-checkpoints", "1", "--older-than", "30d", "--json")
    plan = json.loads(sdar(*words, "--dry-run")[1])
    assert plan["checkpoints"] == {"old": ["step-1", "step-2"]} and plan["removed"] is False
    assert len(old.checkpoints()) == 3, "a dry run removes nothing"
    assert sdar(*words)[0] == 2, "it asks"
    done = json.loads(sdar(*words, "--yes")[1])
    assert done["bytes"] == plan["bytes"] > 600
    steps = [[one.step for one in run.checkpoints()] for run in (old, new, stopped)]
    assert steps == [[3], [1, 2, 3], [1, 2, 3]] and old.base.is_dir()
    assert sdar("prune")[0] == 2 and "30d" in sdar("prune", "--traces-older-than", "month")[2]
