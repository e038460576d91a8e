"""A signal that comes while Python itself ends: the exit code is that of the command, not of the signal."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

ENDS = """
import os, signal, sys
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):
        kill(pid, number)
last = Last()
from sdar_cli.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", [signal.SIGINT.name, signal.SIGTERM.name, signal.SIGUSR1.name])
def test_the_code_stays(name: str) -> None:
    for words, code in ((["--version"], 0), (["recipes", "show", "nothing-of-that-name"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", ENDS.format(name=name), *words], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, done.stderr
