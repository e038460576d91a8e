"""``sdar sweep`` from its first word to its table, with real workers and stand-ins for trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from study_tools import check_whole, guard, write_behaviour

from sdar_cli.cli.main import main
from sdar_cli.sweep.store import StudyStore

STANDIN = Path(__file__).with_name("standin_sdar.py")
STUDY = ["-r", "quickstart", "distill.coef=0.1,0.2", "--seeds", "2", "--name", "st"]
DEADLINE = 90.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def run(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(STANDIN), "sweep", *words, "--runs", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        )

    return run


def here(root: Path, *words: str) -> int:
    """A command that trains nothing, without a process of its own."""
    return main(["sweep", *words, "--runs", str(root)])


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    assert "Traceback" not in err
    return process.returncode, out, err


def store_of(root: Path) -> StudyStore:
    return StudyStore.open("st", root)


def wait_for(root: Path, condition: Callable[[StudyStore], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not ((root / "studies" / "st").is_dir() and condition(store_of(root))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_from_the_command_to_the_table_and_once_more(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ended(start(*STUDY, "--jobs", "2"))
    assert code == 0, err
    assert out.startswith("st: over; of 4 runs 4 done\n")
    assert f"compare      sdar compare --study st --runs {tmp_path}\n" in out
    lines = err.splitlines()
    assert lines[:2] == ["study st", "of 4 runs 4 waiting"] and lines[-1] == "of 4 runs 4 done"
    assert any(line.startswith("cell 0 (distill.coef=0.1): done, ") for line in lines)
    assert sum(line == f"st-c001-s{seed}: done" for seed in (0, 1) for line in lines) == 2
    store = store_of(tmp_path)
    check_whole(store)
    assert {
        attempt.worker for run in store.view().runs for attempt in run.attempts
    } and store.spec.folder == os.getcwd()

    before = [guard(store, run.name) for run in store.view().runs]
    code, again, err = ended(start(*STUDY, "--jobs", "2"))
    assert (code, again) == (0, out) and err.startswith("study st: it is there already, and goes on\n")
    assert [guard(store, run.name) for run in store.view().runs] == before

    assert here(tmp_path, "resume", "st", "--json") == 0
    assert json.loads(capsys.readouterr().out)["over"] is True


def test_a_run_that_fails_does_not_stop_the_others_and_can_be_tried_again(start: Start, tmp_path: Path) -> None:
    write_behaviour(tmp_path, fail={"st-c000-s1": "the loss is not finite: look into failure/"})
    code, out, err = ended(start(*STUDY))
    assert code == 1
    assert "st-c000-s1 failed: the loss is not finite: look into failure/\n" in out and "1 of 2 done" in out
    where = f"st --runs {tmp_path}"
    assert err.splitlines()[-1] == (
        f"error: 1 run failed: see the table, and run them again with `sdar sweep retry-failed {where}`"
    )
    write_behaviour(tmp_path)
    assert here(tmp_path, "retry-failed", "st") == 0
    assert store_of(tmp_path).view().counts == {"done": 3, "waiting": 1}
    assert ended(start("resume", "st"))[0] == 0
    assert store_of(tmp_path).view().counts == {"done": 4}


def test_ctrl_c_saves_and_the_study_goes_on_from_there(start: Start, tmp_path: Path) -> None:
    write_behaviour(tmp_path, step=0.3)
    process = start(*STUDY, "--jobs", "2")
    wait_for(tmp_path, lambda store: store.view().counts.get("running") == 2)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130
    assert "stopping: what runs is saved first; Ctrl-C again leaves at once\n" in err
    assert err.endswith(f"the study is interrupted: go on with `sdar sweep resume st --runs {tmp_path}`\n")
    assert f"go on with   sdar sweep resume st --runs {tmp_path}\n" in out
    assert store_of(tmp_path).view().counts == {"stopped": 2, "waiting": 2}
    write_behaviour(tmp_path)
    code, out, err = ended(start("resume", "st", "--jobs", "2"))
    assert code == 0 and out.startswith("st: over; of 4 runs 4 done\n")
    check_whole(store_of(tmp_path))


def test_a_pause_from_elsewhere(start: Start, tmp_path: Path) -> None:
    write_behaviour(tmp_path, step=0.3)
    process = start(*STUDY)
    wait_for(tmp_path, lambda store: store.view().counts.get("running") == 1)
    assert here(tmp_path, "pause", "st", "--now") == 0
    code, _, err = ended(process)
    assert code == 130
    assert err.endswith(f"the study is paused: go on with `sdar sweep resume st --runs {tmp_path}`\n")
    write_behaviour(tmp_path)
    code, _, err = ended(start("worker", "st"))
    assert code == 0 and err == f"the study st is paused: `sdar sweep resume st --runs {tmp_path}` goes on\n"
    assert ended(start("resume", "st"))[0] == 0
    check_whole(store_of(tmp_path))


def test_a_worker_that_was_told_to_leave_and_the_next(start: Start, tmp_path: Path) -> None:
    """What a Slurm array does: a signal before the time is up, then another job."""
    write_behaviour(tmp_path, step=0.3)
    process = start(*STUDY)
    wait_for(tmp_path, lambda store: store.view().counts.get("running") == 1)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    worker = start("worker", "st")
    wait_for(tmp_path, lambda store: store.view().counts.get("running") == 1)
    worker.send_signal(signal.SIGUSR1)
    code, _, err = ended(worker)
    assert code == 138 and "stopped, its worker was interrupted" in err
    write_behaviour(tmp_path)
    code, out, err = ended(start("worker", "st"))
    assert code == 0 and out == ""
    check_whole(store_of(tmp_path))


def test_workers_that_cannot_start_are_told_of(start: Start, tmp_path: Path) -> None:
    process = start(*STUDY, "--slurm", str(_profile(tmp_path)))
    assert ended(process)[0] == 0
    journal = tmp_path / "studies" / "st" / "journal.log"
    journal.write_bytes(b"not a journal\n" + journal.read_bytes())
    code, _, err = ended(start("resume", "st"))
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1 and "journal.log is damaged" in err


def _profile(folder: Path) -> Path:
    path = folder / "profile.yaml"
    path.write_text("time: 60\n")
    return path
