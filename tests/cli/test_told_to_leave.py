"""``sdar data`` and the command line itself, told to leave: the code, one sentence, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.stop import SIGNALS

DEADLINE = 60.0
"""Seconds; reached only where something hangs."""
COMMANDS = {
    "sdar_envs.webshop.catalogue.fill": ("data", "webshop", "--generate", "--size", "30"),
    "sdar_envs.search_qa.generated.index_corpus": (
        "data", "search-qa", "--generate", "--entities", "6", "--train", "8", "--test", "4"
    ),
}  # fmt: skip
"""In the middle of what; the command."""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize(("place", "command"), COMMANDS.items(), ids=["webshop", "search-qa"])
def test_what_is_generated_is_whole_or_absent(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    place: str,
    command: tuple[str, ...],
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(place, lambda *_, **__: signal.raise_signal(number))
        assert main(list(command)) == 128 + number
    told = capsys.readouterr()
    why = "" if number == signal.SIGINT else f" by {number.name}"
    assert (told.out, told.err.splitlines()[-1]) == ("", f"error: interrupted{why}")
    assert "Traceback" not in told.err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    if number == signal.SIGUSR1:
        assert main(list(command)) == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_real_process(tmp_path: Path, number: signal.Signals) -> None:
    """It waits for a pipe that nobody writes to, as a command waits for a disk."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import sys; from sdar_cli.cli import main as entry; "
        f"entry._run = lambda words: print('ready', flush=True) or open({str(pipe)!r}).read(); sys.exit(entry.main())"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + DEADLINE
        process.send_signal(number)
        while process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        why = "" if number == signal.SIGINT else f" by {number.name}"
        assert (process.returncode, process.stderr.read()) == (128 + number, f"error: interrupted{why}\n")
