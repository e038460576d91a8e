"""What becomes of a signal, whatever the process is at: it leaves at once, is noted, or waits for an instant."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sdar_cli.errors import UserError
from sdar_cli.stop import GRACE, LAST_WORDS, SIGNALS, Stop, take_grace

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}
each = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


@pytest.fixture
def stop() -> Iterator[Stop]:
    stop = Stop()
    with stop.guard():
        yield stop


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    for _ in range(10):  # Python looks for signals between two instructions
        pass


@each
def test_a_signal_leaves_at_once_with_its_code(stop: Stop, number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        send(number)
    assert (stop.code, stop.asked, stop.raised) == (CODES[number], True, True)
    assert stop.name == ("Ctrl-C" if number == signal.SIGINT else number.name)


@each
def test_the_first_one_only_prepares_and_the_second_leaves(stop: Stop, number: signal.Signals) -> None:
    told: list[int] = []
    with stop.patiently(lambda: told.append(stop.code)):
        send(number)
        assert told == [CODES[number]] and not stop.raised
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert told == [CODES[number]] and stop.code == CODES[number], "the first one says why"


def test_a_wish_that_a_library_swallowed_is_not_forgotten(stop: Stop) -> None:
    with suppress(KeyboardInterrupt):
        send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        stop.check()
    told: list[str] = []
    with stop.patiently(lambda: told.append("told")):
        stop.check()  # nothing: who is patient decides when
    assert told == ["told"]


@each
def test_an_instant_is_not_torn(stop: Stop, number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stop.held():
        send(number)
        send(number)
        done.append("whole")
    assert done == ["whole"]


@each
def test_what_is_over_is_over(stop: Stop, number: signal.Signals) -> None:
    stop.end()
    send(number)
    stop.check()
    with pytest.raises(KeyboardInterrupt):
        send(number)


def test_an_error_of_a_library_that_was_interrupted_is_the_interruption(stop: Stop) -> None:
    with pytest.raises(KeyboardInterrupt), stop.translated():
        try:
            send(signal.SIGUSR1)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None
    with pytest.raises(ImportError), Stop().translated():
        raise ImportError("a real one")


def test_two_tellers_of_one_wish(stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster tells all processes of a job, and a launcher passes on what it was told."""
    stop.shared = True
    with stop.patiently(lambda: None):
        send(signal.SIGUSR1)
        send(signal.SIGTERM)
        monkeypatch.setattr("sdar_cli.stop.TWICE_TOLD", 0.0)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)


def test_the_grace_time_and_what_is_left_of_it(stop: Stop) -> None:
    stop.grace = 30.0
    assert stop.left() == LAST_WORDS
    with stop.patiently(lambda: None):
        send(signal.SIGTERM)
    assert 29 < stop.deadline - time.monotonic() <= 30 and stop.left() == LAST_WORDS
    stop.deadline = time.monotonic() + 1
    assert 0 < stop.left() <= 1
    stop.deadline = time.monotonic() - 1
    assert stop.left() == 0


def test_handlers_of_others_are_left_alone_and_ours_go() -> None:
    mine = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop.guard():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        with stop.guard():
            pass
        assert signal.getsignal(signal.SIGTERM) == stop._handle
    assert signal.getsignal(signal.SIGTERM) == mine and signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert not stop.asked


@pytest.mark.parametrize(
    ("option", "variable", "seconds"), [(None, None, GRACE), (5.0, "7", 5.0), (None, "7", 7.0), (0.0, None, 0.0)]
)
def test_where_the_grace_time_comes_from(
    monkeypatch: pytest.MonkeyPatch, option: float | None, variable: str | None, seconds: float
) -> None:
    from sdar_cli import stop

    monkeypatch.delenv("SDAR_GRACE", raising=False)
    if variable is not None:
        monkeypatch.setenv("SDAR_GRACE", variable)
    monkeypatch.setattr(stop.STOP, "grace", GRACE)
    take_grace(option)
    assert stop.STOP.grace == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan", ""])
def test_a_grace_time_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SDAR_GRACE", text)
    with pytest.raises(UserError, match="must be seconds, 0 or more: correct it, or unset it"):
        take_grace(None)
