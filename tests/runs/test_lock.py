from __future__ import annotations

import subprocess
import sys

import pytest

from sdar_cli.errors import RunError
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
