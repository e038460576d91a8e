"""Several workers under one: GPUs dealt, Ctrl-C passed on, killed ones replaced, their last words kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from study_tools import spec_of
from worker_nursery import alive, until

from sdar_cli.stop import SIGNALS, STOP
from sdar_cli.sweep.crew import MOST_RESTARTS, Crew
from sdar_cli.sweep.store import StudyStore

PROGRAM = """
import json, os, signal, sys, time
task = json.loads(os.environ["SDAR_SWEEP_WORKER"])
class Stop(BaseException): pass
def stop(number, frame):
    print("told", signal.Signals(number).name, flush=True)
    raise Stop
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, stop)
print(task["gpu"], task["threads"], flush=True)
try:
    {}
except Stop:
    sys.exit(130)
"""


def start(tmp_path: Path, body: str, jobs: int = 2, **options) -> Crew:
    (tmp_path / "study").mkdir(exist_ok=True)
    return Crew.start(
        tmp_path / "study", tmp_path, jobs, program=[sys.executable, "-c", PROGRAM.format(body)], **options
    )


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines(keepends=True)


def words(tmp_path: Path) -> list[str]:
    return sorted(line for log in (tmp_path / "study" / "logs").glob("worker-*.log") for line in lines(log))


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_worker_gets_one_gpu_and_its_share_of_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """A training refuses to choose among several GPUs, also where it is the only one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    with start(tmp_path, "pass", jobs) as crew:
        until(crew.is_over)
    assert (crew.ending, crew.complaints) == ("over", [])
    assert words(tmp_path) == {1: ["4 None\n"], 3: ["4 2\n", "4 2\n", "6 2\n"]}[jobs]


@pytest.mark.parametrize("heard", [None, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_what_told_it_to_leave_is_passed_on_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: signal.Signals | None
) -> None:
    monkeypatch.setattr(STOP, "signal", heard)
    with start(tmp_path, "time.sleep(60)") as crew:
        until(lambda: len(words(tmp_path)) == 2)
        assert not crew.is_over()
        crew.interrupt()
        until(crew.is_over)
    assert (crew.ending, crew.pids) == ("interrupted", [])
    passed_on = heard.name if heard in SIGNALS else "SIGTERM"
    assert words(tmp_path)[2:] == [f"told {passed_on}\n"] * 2


def test_leaving_the_block_leaves_no_worker(tmp_path: Path) -> None:
    with start(tmp_path, "time.sleep(60)") as crew:
        until(lambda: len(words(tmp_path)) == 2)
        pids = crew.pids
        assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with start(tmp_path, "time.sleep(60)") as crew:
        until(lambda: len(words(tmp_path)) == 2)
        os.kill(crew.pids[0], signal.SIGKILL)
        until(lambda: not crew.is_over() and len(words(tmp_path)) == 3)
        assert len(crew.pids) == 2


def test_one_that_is_killed_each_time_is_given_up(tmp_path: Path) -> None:
    with start(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", 1) as crew:
        until(crew.is_over)
    assert len(words(tmp_path)) == 1 + MOST_RESTARTS
    assert len(crew.complaints) == 1


def test_the_last_words_of_a_failing_worker_are_kept(tmp_path: Path) -> None:
    body = "print('error: no disk', file=sys.stderr); sys.exit(2)"
    with start(tmp_path, body, 1) as crew:
        until(crew.is_over)
    assert crew.complaints == ["no disk"]


def test_paused_workers_end_a_crew_as_paused(tmp_path: Path) -> None:
    with start(tmp_path, "sys.exit(3)") as crew:
        until(crew.is_over)
    assert crew.ending == "paused"


def test_a_real_worker_process_finds_its_study(tmp_path: Path) -> None:
    """Paused before it starts, so that nothing is trained."""
    store = StudyStore.create(spec_of(words=["distill.coef=0.1,0.2"], seeds="1"), tmp_path)
    store.pause()
    with Crew.start(store.folder, tmp_path, 1) as crew:
        until(crew.is_over, 60)
    assert (crew.ending, crew.complaints) == ("paused", [])
    (store.folder / "study.json").write_text("{")
    with Crew.start(store.folder, tmp_path, 1) as crew:
        until(crew.is_over, 60)
    (complaint,) = crew.complaints
    assert complaint.startswith(f"{store.folder}/study.json is damaged (it is not JSON (line 1: ")
    assert complaint.endswith("): restore it, or remove its folder")


def test_workers_do_not_outlive_their_crew(tmp_path: Path) -> None:
    """The crew is killed; its workers stop as if it had passed on Ctrl-C."""
    store = StudyStore.create(spec_of(words=["distill.coef=0.1,0.2"], seeds="1"), tmp_path)
    script = f"""
import sys, time
from pathlib import Path
from sdar_cli.sweep.crew import Crew
program = [sys.executable, "-c", {HELD!r}]
crew = Crew.start(Path({str(store.folder)!r}), Path({str(tmp_path)!r}), 2, program=program)
print(*crew.pids, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        until(lambda: words_of(store).count("held\n") == 2)
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids))


HELD = """
import time
from sdar_cli.sweep.leash import hold
hold()
print("held", flush=True)
time.sleep(60)
"""


def words_of(store: StudyStore) -> list[str]:
    return [line for log in (store.folder / "logs").glob("worker-*.log") for line in lines(log)]
