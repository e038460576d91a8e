from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.runs import lock
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.store import RunFolder

HOLD = """
import sys
from pathlib import Path
from sdar_cli.runs.lock import RunLock

with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_run(run: RunFolder) -> None:
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        assert run.lock().is_held()
        with pytest.raises(RunError) as caught:
            run.lock().acquire()
        assert f"process {holder.pid} is working on {run.path}" in str(caught.value)
        holder.kill()
        holder.wait()
    assert not run.lock().is_held()
    with run.lock():
        assert run.lock().is_held()


def test_a_lock_is_free_after_its_block(run: RunFolder) -> None:
    with run.lock(), pytest.raises(RunError, match="is working on"):
        run.lock().acquire()
    with run.lock():
        pass


def ask(folder: Path, over) -> None:
    while not over.is_set():
        RunLock(folder).is_held()


def test_who_asks_refuses_nobody(run: RunFolder) -> None:
    """Asking takes the lock for an instant, and a list of runs, or a study's view, asks all the time."""
    forks = multiprocessing.get_context("fork")
    with run.lock():  # there is a file to ask, and no lock that a fork would share
        pass
    over = forks.Event()
    asker = forks.Process(target=ask, args=(run.path, over))
    asker.start()
    try:
        for _ in range(30):
            with run.lock():
                time.sleep(0.001)
    finally:
        over.set()
        asker.join()
    assert asker.exitcode == 0


def test_one_that_is_about_to_go_is_waited_for(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 60.0)
    before = run.lock()
    before.acquire()
    timer = threading.Timer(0.05, before.release)
    timer.start()
    with run.lock():
        timer.join()
