"""What the launcher makes of signals: they go on to its processes, and twice told it does not wait for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sdar_cli.errors import RunFailed
from sdar_cli.launch import agent
from sdar_cli.stop import SIGNALS, STOP

DEADLINE = 60.0
"""Seconds; reached only where something hangs."""
CHILD = """
import signal, sys, time
def told(number, frame):
    print(number, flush=True)
    if not {deaf}:
        sys.exit(128 + number)
for number in {signals}:
    signal.signal(number, told)
print("ready", flush=True)
time.sleep({deadline})
"""


@contextmanager
def child(*, deaf: bool) -> Iterator[subprocess.Popen[str]]:
    code = CHILD.format(deaf=deaf, signals=[int(number) for number in SIGNALS], deadline=DEADLINE)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_each_signal_is_passed_on(number: signal.Signals) -> None:
    with STOP.guard(), agent._signals_passed_on(), child(deaf=False) as process:
        signal.raise_signal(number)
        assert process.wait(DEADLINE) == 128 + number == STOP.code


def test_a_second_one_has_the_others_leave_or_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "HURRY", 0.2)
    monkeypatch.setattr(agent, "TWICE_TOLD", 0.0)
    with STOP.guard(), child(deaf=True) as process:
        with pytest.raises(KeyboardInterrupt), agent._signals_passed_on():
            signal.raise_signal(signal.SIGTERM)
            assert process.stdout.readline() == f"{int(signal.SIGTERM)}\n"
            signal.raise_signal(signal.SIGINT)
            assert process.stdout.readline() == f"{int(signal.SIGINT)}\n", "it has its chance"
            time.sleep(DEADLINE)
        assert process.wait(DEADLINE) == -signal.SIGKILL and STOP.code == 143


def told(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to this process, and see that it goes on."""
    signal.raise_signal(number)
    assert process.stdout.readline() == f"{int(number)}\n"


def test_two_within_a_second_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster tells every process of a job: the others count them as one too, and finish their step."""
    monkeypatch.setattr(agent, "HURRY", 0.01)
    monkeypatch.setattr(agent, "TWICE_TOLD", DEADLINE)
    with STOP.guard(), child(deaf=True) as process:
        with agent._signals_passed_on():
            told(process, signal.SIGTERM)
            told(process, signal.SIGTERM)
            told(process, signal.SIGINT)
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert process.poll() is None and STOP.code == 143


def test_a_third_one_gives_them_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "HURRY", 10 * DEADLINE)
    monkeypatch.setattr(agent, "TWICE_TOLD", 0.0)
    with STOP.guard(), child(deaf=True) as process, agent._signals_passed_on():
        told(process, signal.SIGTERM)
        told(process, signal.SIGTERM)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        for _ in range(3):
            told(process, signal.SIGTERM)
            before, (left, _) = left, signal.getitimer(signal.ITIMER_REAL)
            assert 0 < left < before


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_before_there_are_processes_it_leaves_itself(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.Process.children", lambda *_, **__: [])  # others' tests may have left some
    with STOP.guard():
        with pytest.raises(KeyboardInterrupt), agent._signals_passed_on():
            signal.raise_signal(number)
        assert STOP.code == 128 + number
        for name in SIGNALS:
            assert signal.getsignal(name) == STOP._handle


def test_the_exit_code_is_that_of_the_process_that_left() -> None:
    assert agent._code({0: 143, 1: -15}) == 143
    with pytest.raises(RunFailed, match="process 1 of the run was ended by SIGTERM"):
        agent._code({1: -15})
    with STOP.guard():
        STOP.hear(signal.SIGUSR1)
        assert agent._code({0: -10, 1: -10}) == 138, "it came before they could hear it"
