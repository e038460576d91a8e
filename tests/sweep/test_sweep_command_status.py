"""``sdar sweep status|ls|pause|retry-failed``: what a study in each state looks like."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted_study import claim, done, failed, folder
from study_tools import spec_of

from sdar_cli.cli.main import main
from sdar_cli.statistics import mean_over_seeds
from sdar_cli.sweep.store import StudyStore

WORDS = ["gate.temperature=0.1,0.2,1,5"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyStore:
    """Four cells of three seeds: one done, one half done, one failed, one waiting."""
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    study = StudyStore.create(spec_of("st", WORDS, seeds="3"), tmp_path)
    for seed, success in enumerate((0.5, 0.6, 0.7)):
        done(study, 0, seed, success)
    done(study, 1, 0, 0.9)
    claim(study, 1, 1)
    folder(tmp_path, "st-c001-s1", 40, 100, **{"rollout/success": 0.25, "gap/mean": -0.117, "gate/active": 0.4})
    for seed in range(3):
        failed(study, 2, seed, f"loss of seed {seed} is not finite: look into failure/")
    return study


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["sweep", *words]) == 0
    return capsys.readouterr().out


def test_the_whole_picture(store: StudyStore, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = shown(capsys, "status", "st")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    interval = mean_over_seeds([0.5, 0.6, 0.7], grid=1 / 192)
    assert re.fullmatch(
        r"st: running; of 12 runs 4 done, 1 running, 4 waiting, 3 failed, about \d+ (s|min) left", lines[0]
    )
    assert lines[2:7] == [
        "gate.temperature seeds success without skills state",
        f"1 0.1 ✓✓✓ 60.0 % [{100 * interval.low:.1f}–{100 * interval.high:.1f}] done",
        "0.2 ✓▸· 90.0 % 1 of 3 done",
        "1 ✗✗✗ – failed",
        "5 ··· – waiting",
    ]
    assert "✓ done ▸ running · waiting ✗ failed" in lines
    assert re.match(
        r"st-c001-s1 40/100 0.25 -0.117 0.4 – \d+ (s|min)", lines[lines.index("run step success gap gate kl left") + 1]
    )
    assert "st-c002-s0 failed: loss of seed 0 is not finite: look into failure/" in lines
    assert "run them again with sdar sweep retry-failed st" in lines
    assert "compare sdar compare --study st" in lines
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_newest_study_is_meant_where_none_is_named(store: StudyStore, capsys: pytest.CaptureFixture[str]) -> None:
    StudyStore.create(spec_of("newer", WORDS), store.root)
    assert shown(capsys, "status").startswith("newer: waiting for workers; of 16 runs 16 waiting\n")
    assert shown(capsys, "status", "st").startswith("st: running;")
    assert shown(capsys, "status", str(store.folder)).startswith("st: running;")


def test_json(store: StudyStore, capsys: pytest.CaptureFixture[str]) -> None:
    status = json.loads(shown(capsys, "status", "st", "--json"))
    assert status["counts"] == {"done": 4, "running": 1, "waiting": 4, "failed": 3}
    assert (status["over"], status["paused"], status["total_runs"]) == (False, False, 12)
    assert [(cell["rank"], cell["cell"], cell["state"], cell["mean"]) for cell in status["cells"]] == [
        (1, 0, "done", pytest.approx(0.6)),
        (None, 1, "running", pytest.approx(0.9)),
        (None, 2, "failed", None),
        (None, 3, "waiting", None),
    ]
    assert status["cells"][0]["interval"]["low"] < 0.6 and status["cells"][1]["interval"] is None
    assert status["cells"][2]["runs"][1]["reason"] == "loss of seed 1 is not finite: look into failure/"
    (running,) = status["running"]
    assert (running["name"], running["phase"], running["step"], running["steps"]) == ("st-c001-s1", "training", 40, 100)
    assert running["metrics"] == {"rollout/success": 0.25, "gap/mean": -0.117, "gate/active": 0.4}


def test_pause_and_retry(store: StudyStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "pause", "st"]) == 0
    assert capsys.readouterr().err == (
        "the workers of st leave when their runs are over; `sdar sweep resume st` goes on\n"
    )
    assert store.pause_asked == "after" and shown(capsys, "status", "st").startswith("st: paused;")
    assert main(["sweep", "pause", "st", "--now"]) == 0
    assert "at once, their runs saved" in capsys.readouterr().err and store.pause_asked == "now"
    assert main(["sweep", "retry-failed", "st"]) == 0
    assert capsys.readouterr().err == ("3 runs of st will be run again: by its workers, or by `sdar sweep resume st`\n")
    assert store.view().counts == {"done": 4, "running": 1, "waiting": 7}
    assert main(["sweep", "retry-failed", "st"]) == 0
    assert capsys.readouterr().err == "no run of st has failed\n"


def test_ls(store: StudyStore, capsys: pytest.CaptureFixture[str]) -> None:
    StudyStore.create(spec_of("newer", WORDS), store.root)
    (store.root / "studies" / "broken").mkdir()
    (store.root / "studies" / "broken" / "study.json").write_text("{")
    rows = [line.split()[:4] for line in shown(capsys, "ls").splitlines()]
    assert rows == [
        ["study", "cells", "runs", "done"],
        ["st", "4", "4/12", "running"],
        ["newer", "4", "0/16", "waiting"],
    ]
    first, second = json.loads(shown(capsys, "ls", "--json"))
    assert (first["study"], first["done"], first["runs"]) == ("st", 4, 12) and second["study"] == "newer"


def test_a_cell_that_the_search_has_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = spec_of("tpe", ["distill.coef=log:1e-3..1"], seeds="2", search="tpe", cells=3)
    StudyStore.create(spec, tmp_path)
    out = shown(capsys, "status", "tpe", "--runs", str(tmp_path))
    assert "of 6 runs 6 waiting" in out and "and 3 cells that the search has not drawn yet" in out
    assert f"go on with   sdar sweep resume tpe --runs {tmp_path}" in out


def test_the_score_is_ranked_where_it_is_the_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="2", metric="score"), tmp_path)
    for seed in range(2):
        done(store, 0, seed, 0.9, score=40.0 + 2 * seed)
        done(store, 1, seed, 0.1, score=60.0 + 2 * seed)
    lines = [" ".join(line.split()) for line in shown(capsys, "status", "st", "--runs", str(tmp_path)).splitlines()]
    assert lines[2] == "gate.beta seeds score without skills state"
    assert lines[3].startswith("1 2 ✓✓ 61.0 [") and lines[4].startswith("2 1 ✓✓ 41.0 [")


def test_many_axes_and_seeds_share_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gate.beta=1,2", "distill.coef=0.1,0.2", "teacher.kind=frozen,live", "gate.detach=true,false"]
    store = StudyStore.create(spec_of("st", words, seeds="13"), tmp_path)
    done(store, 0, 0, 0.5)
    lines = [" ".join(line.split()) for line in shown(capsys, "status", "st", "--runs", str(tmp_path)).splitlines()]
    assert lines[2] == "setting seeds success without skills state"
    assert any("1/13" in line for line in lines)


def test_a_pruned_cell_shows_what_was_seen_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gate.beta=1,2", "evaluation.every=10"]
    store = StudyStore.create(spec_of("st", words, seeds="2", prune="median"), tmp_path)
    entry = claim(store, 1, 0)
    trial = store.cells.all()[1]
    store.cells.report(trial, {10: 0.25})
    store.cells.prune(trial)
    store.ledger.finish(entry, "pruned", reason="its cell was pruned")
    lines = [" ".join(line.split()) for line in shown(capsys, "status", "st", "--runs", str(tmp_path)).splitlines()]
    assert "2 −− (25.0 %) pruned" in lines


def test_watching_a_study_that_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = StudyStore.create(spec_of("st", ["gate.beta=1,2"], seeds="1"), tmp_path)
    done(store, 0, 0, 0.5)
    done(store, 1, 0, 0.25)
    assert main(["sweep", "status", "st", "--watch", "--runs", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == "of 2 runs 2 done\n" and out.startswith("st: over; of 2 runs 2 done\n")


def test_the_live_table_on_a_terminal(store: StudyStore) -> None:
    """A study at work, watched on a pseudo-terminal until it is paused with nothing at work."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "sdar_cli.cli.main", "sweep", "status", "st", "--watch"]
    environment = {**os.environ, "TERM": "xterm", "LINES": "30", "COLUMNS": "80"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, env=environment, text=True
    )
    os.close(terminal)
    picture = ""
    deadline = time.monotonic() + 60
    while "st-c001-s1" not in picture:
        assert time.monotonic() < deadline, picture
        picture += os.read(controller, 4096).decode("utf-8", "replace")
    for entry in store.ledger.entries():
        if entry.is_live:
            store.ledger.finish(entry, "stopped", reason="its worker was interrupted")
    store.pause()
    out, _ = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == 0 and "of 12 runs 4 done, 4 waiting, 1 stopped, 3 failed" in out.replace("\n", " ")
    for word in ("gate.temperature", "60.0 %", "40/100", "-0.117", "1 running"):
        assert word in picture


@pytest.mark.long
def test_two_thousand_runs_in_two_seconds(tmp_path: Path) -> None:
    spec = spec_of("big", ["gate.beta=int:1..200"], seeds="10", search="grid")
    store = StudyStore.create(spec, tmp_path)
    write_done(store)
    command = [sys.executable, "-m", "sdar_cli.cli.main", "sweep", "status", "big", "--runs", str(tmp_path)]
    took = []
    for _ in range(2):
        before = os.times()
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
        after = os.times()
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert finished.returncode == 0 and "of 2000 runs 2000 done" in finished.stdout
        if took[-1] < 2.0:
            break
    assert min(took) < 2.0, took


def write_done(store: StudyStore) -> None:
    """All runs done, each by an attempt that is written whole: what 2,000 claims leave behind, without their time."""
    from optuna.trial import TrialState, create_trial

    result = {"success_skills": 1.0, "score": 50.0, "score_skills": 50.0, "steps": 100, "seconds": 60.0}
    result |= {"collapsed": False, "mlflow_run_id": "0" * 32, "evaluations": [[step, 0.5, 50.0] for step in range(10)]}
    who = {"worker": "h-1", "host": "h", "machine": "m", "pid": 1, "birth": 0, "from_step": 0, "started": 0.0}
    for cell, params in enumerate(store.spec.grid()):
        store.cells.draw(cell, params)
        for seed in store.spec.seeds:
            success = (cell * 7 + seed * 13) % 100 / 100
            attributes = {"cell": cell, "seed": seed, "token": f"{cell}-{seed}", **who}
            attributes["result done"] = result | {"success": success}
            trial = create_trial(state=TrialState.COMPLETE, value=success, user_attrs=attributes)
            store._storage.create_new_trial(store._runs_id, template_trial=trial)
