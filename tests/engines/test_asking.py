"""Requests in threads: answers as they come, errors here, nothing left over; and whether a server is still the same."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from sdar_cli.engines.asking import Asking, SameProcess, given_up
from sdar_cli.engines.client import Gone

AGES = 60.0


@pytest.fixture
def asking():
    made = Asking(8)
    yield made
    made.close()


def test_answers_come_as_they_are_ready(asking: Asking) -> None:
    gate = threading.Event()
    asking.submit("slow", lambda: gate.wait(AGES))
    asking.submit("fast", lambda: 1)
    assert asking.take(None) == [("fast", 1)]
    assert asking.take(0.0) == []
    gate.set()
    assert asking.take(None) == [("slow", True)]
    assert asking.take(None) == [], "nothing is under way"


def test_more_work_than_threads(asking: Asking) -> None:
    for n in range(50):
        asking.submit(n, lambda n=n: n * n)
    came: dict[int, int] = {}
    while len(came) < 50:
        came.update(asking.take(None))
    assert came == {n: n * n for n in range(50)}


def test_what_the_work_raises_is_raised_here(asking: Asking) -> None:
    asking.submit("broken", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asking.take(None)
    assert asking.take(None) == []


def test_what_is_dropped_reaches_nobody() -> None:
    one = Asking(1)
    gate, begun, made = threading.Event(), threading.Event(), []
    one.submit("under way", lambda: (begun.set(), gate.wait(AGES)))
    one.submit("not begun", lambda: made.append("not begun"))
    assert begun.wait(AGES)
    one.drop()
    assert one.take(None) == []
    gate.set()
    one.submit("new", lambda: "new")
    assert one.take(None) == [("new", "new")] and made == []
    one.close()
    one.close()


def test_what_hangs_does_not_hold_up_what_comes_after_a_drop() -> None:
    one = Asking(1)
    gate, begun = threading.Event(), threading.Event()
    one.submit("hangs", lambda: (begun.set(), gate.wait(AGES)))
    assert begun.wait(AGES)
    one.drop()
    one.submit("new", lambda: "new")
    assert one.take(AGES) == [("new", "new")]
    gate.set()
    one.close()


def test_work_is_told_that_it_was_given_up_and_its_threads_end() -> None:
    asking = Asking(4)
    before, gate, told = set(threading.enumerate()), threading.Event(), []
    begun = threading.Barrier(5)
    for n in range(8):
        asking.submit(n, lambda: (begun.wait(AGES), told.append(given_up()), gate.wait(AGES), told.append(given_up())))
    begun.wait(AGES)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 4
    asking.drop()
    gate.set()
    for thread in threads:
        thread.join(AGES)
    assert told.count(True) >= 4 and len(told) == 8, "the other four were never begun"
    assert not any(thread.is_alive() for thread in threads) and not given_up()


@pytest.mark.parametrize("end", ["asking.drop()", "asking.close()", "raise SystemExit(0)"])
def test_a_program_ends_whatever_is_under_way(end: str) -> None:
    """A request that hangs, and one after it."""
    program = f"""
import threading
from sdar_cli.engines.asking import Asking
asking, begun = Asking(1), threading.Event()
asking.submit("hangs", lambda: (begun.set(), threading.Event().wait()))
asking.submit("next", lambda: print("begun"))
begun.wait()
{end}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=AGES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Booted:
    """A server that says its number when it is let."""

    def __init__(self) -> None:
        self.number, self.holder, self.questions = "a", "me", 0
        self.asked, self.gate = threading.Event(), threading.Event()

    def state(self) -> tuple[str, str]:
        self.questions += 1
        self.asked.set()
        assert self.gate.wait(AGES)
        return self.number, self.holder


def test_an_answer_that_came_after_a_question_needs_another() -> None:
    server = Booted()
    server.gate.set()
    same = SameProcess(server, "a", "me")
    for asked in (1, 2):
        same.confirm()
        assert server.questions == asked


def test_twenty_answers_that_wait_cost_two_questions() -> None:
    """Those that came while the first question was open share the second."""
    server = Booted()
    same = SameProcess(server, "a", "me")
    first = threading.Thread(target=same.confirm)
    first.start()
    assert server.asked.wait(AGES)
    came = threading.Barrier(21)
    lock = same._lock

    class Queue:
        """The lock, before which all others have arrived."""

        def __enter__(self) -> None:
            came.wait(AGES)
            lock.acquire()

        def __exit__(self, *error) -> None:
            lock.release()

    same._lock = Queue()
    threads = [threading.Thread(target=same.confirm) for _ in range(20)]
    for thread in threads:
        thread.start()
    came.wait(AGES)
    server.gate.set()
    for thread in [first, *threads]:
        thread.join(AGES)
    assert server.questions == 2


def test_another_process_is_told_to_all() -> None:
    server = Booted()
    server.gate.set()
    same = SameProcess(server, "a", "me")
    same.confirm()
    server.number = "b"
    for _ in range(2):
        with pytest.raises(Gone, match="it was started again"):
            same.confirm()
    assert server.questions == 2, "and not asked again"
