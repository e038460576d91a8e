"""``sdar sweep`` from its first word to its table, with real workers and stand-ins for trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``sdar sweep``; what a failed test leaves is ended, and its workers with it."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(STANDIN), "sweep", *words, "--runs", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def here(root: Path, *words: str) -> int:
    """A command that trains nothing, without a process of its own."""
    return main(["sweep", *words, "--runs", str(root)])


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    assert "Traceback" not in err
    return process.returncode, out, err


def store_of(root: Path) -> StudyStore:
    return StudyStore.open("st", root)


def hold(root: Path, step: int) -> None:
    """Trainings stand still before a step until they are told to leave."""
    write_behaviour(root, hold=str(root / "never"), hold_at=step)


def wait_for(root: Path, runs: int) -> None:
    """Until so many are being trained."""
    deadline = time.monotonic() + DEADLINE
    while [json.loads(file.read_text())["status"] for file in root.glob("st-*/run.json")].count("training") < runs:
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    assert here(tmp_path, *STUDY, "--jobs", "2") == 0
    again = capsys.readouterr()
    assert again.out == out and again.err.startswith("study st: it is there already, and goes on\n")
    assert [guard(store, run.name) for run in store.view().runs] == before

    assert here(tmp_path, "resume", "st", "--json") == 0
    assert json.loads(capsys.readouterr().out)["over"] is True


def test_a_run_that_fails_does_not_stop_the_others_and_can_be_tried_again(start: Start, tmp_path: Path) -> None:
    write_behaviour(tmp_path, fail={"st-c001-s0": "the loss is not finite: look into failure/"})
    code, out, err = ended(start(*STUDY, "--seeds", "1"))
    assert code == 1
    assert "st-c001-s0 failed: the loss is not finite: look into failure/\n" in out
    assert out.startswith("st: over, 1 failed; of 2 runs 1 done, 1 failed\n")
    where = f"st --runs {tmp_path}"
    assert err.splitlines()[-1] == (
        f"error: 1 run failed: see the table, and run them again with `sdar sweep retry-failed {where}`"
    )
    write_behaviour(tmp_path)
    assert here(tmp_path, "retry-failed", "st") == 0
    assert store_of(tmp_path).view().counts == {"done": 1, "waiting": 1}
    assert ended(start("resume", "st"))[0] == 0
    assert store_of(tmp_path).view().counts == {"done": 2}


def test_ctrl_c_saves_and_the_study_goes_on_from_there(start: Start, tmp_path: Path) -> None:
    hold(tmp_path, 4)
    process = start(*STUDY, "--jobs", "2")
    wait_for(tmp_path, 2)
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


def test_a_pause_from_elsewhere(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold(tmp_path, 4)
    process = start(*STUDY, "--seeds", "1")
    wait_for(tmp_path, 1)
    assert here(tmp_path, "pause", "st", "--now") == 0
    code, _, err = ended(process)
    assert code == 130
    assert err.endswith(f"the study is paused: go on with `sdar sweep resume st --runs {tmp_path}`\n")
    write_behaviour(tmp_path)
    capsys.readouterr()
    assert here(tmp_path, "worker", "st") == 0
    assert capsys.readouterr().err == f"the study st is paused: `sdar sweep resume st --runs {tmp_path}` goes on\n"
    assert ended(start("resume", "st"))[0] == 0
    check_whole(store_of(tmp_path))


def test_a_worker_that_was_told_to_leave_and_the_next(start: Start, tmp_path: Path) -> None:
    """What a Slurm array does: a signal before the time is up, then another job."""
    hold(tmp_path, 4)
    process = start(*STUDY, "--seeds", "1")
    wait_for(tmp_path, 1)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    hold(tmp_path, 6)
    worker = start("worker", "st")
    wait_for(tmp_path, 1)
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
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert "journal.log is damaged (its line 1 is not JSON (line 1: Expecting value)): restore it" in err


def _profile(folder: Path) -> Path:
    path = folder / "profile.yaml"
    path.write_text("time: 60\n")
    return path
