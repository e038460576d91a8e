"""Whatever an environment answers, its episode alone is lost, and its slot is fresh at the next reset."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import garbage_toy as toys

from sdar_cli.errors import EnvironmentSetupError, RunFailed
from sdar_cli.rollout import processes, worker_process
from sdar_cli.rollout.answers import MOST_REASON, Guarded, Lost, checked
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Action, Invalid, Observation, Options, Task

AGES = 60.0
FINE = Task("fine", "toy")


@pytest.fixture(params=[toys.Garbage, toys.ThreadGarbage, toys.ProcessGarbage], scope="module")
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with Pool(request.param, Options(), workers=2, timeout=AGES) as made:
        yield made


@pytest.fixture(scope="module")
def process() -> Iterator[Pool]:
    with Pool(toys.ProcessGarbage, Options(), workers=1, timeout=AGES) as made:
        yield made


def begin(pool: Pool, *slots: int) -> None:
    answers = pool.reset(dict.fromkeys(slots, FINE)).values()
    assert all(isinstance(answer, Observation) for answer in answers), answers


@pytest.mark.parametrize("kind", toys.GARBAGE)
def test_every_kind_of_garbage_is_one_episode(kind: str) -> None:
    """The backends ask ``checked`` and nobody else, so each of them needs to be shown only a few kinds."""
    answer = checked("step", toys.GARBAGE[kind]())
    assert isinstance(answer, SlotError) and answer.reason.startswith("answered garbage: "), answer
    assert "\n" not in answer.reason and len(answer.reason) <= MOST_REASON and "secret" not in answer.reason
    assert isinstance(checked("reset", toys.GARBAGE[kind]()), SlotError) or kind == "observation for a step"


@pytest.mark.parametrize("kind", ["none", "text is huge", "half a pair", "reward is nan", "reward raises"])
def test_garbage_in_a_slot(pool: Pool, kind: str) -> None:
    begin(pool, 0, 1)
    steps = pool.step({0: kind, 1: "seen"})
    assert steps[0] == checked("step", toys.GARBAGE[kind]())
    assert steps[1].observation.text == "seen"
    begin(pool, 0)
    assert pool.step({0: "again"})[0].observation.text == "again"
    answers = pool.reset({0: Task(kind, "toy"), 1: FINE})
    assert isinstance(answers[0], SlotError) and answers[1] == Observation("begun")


def test_what_is_nearly_right_is_made_right(pool: Pool) -> None:
    assert pool.reset({0: Task("as a list", "toy")})[0] == Observation("begun", ("look",))
    own = pool.reset({0: Task("own class", "toy")})[0]
    assert own == Observation("begun") and type(own) is Observation
    step = pool.step({0: "numpy"})[0]
    assert step == toys.step_of(0.5, True, True, 0.25)
    assert [type(value) for value in (step.reward, step.done, step.won, step.score)] == [float, bool, bool, float]


def test_errors_are_cut_and_show_no_secret(pool: Pool) -> None:
    for action in ("secret", "stubborn"):
        begin(pool, 0)
        reason = pool.step({0: action})[0].reason
        assert len(reason) <= MOST_REASON and "secret" not in reason and "token=abc" not in reason
        assert reason.startswith(
            "raised LookupError: of https://***@example.org/" if action == "secret" else "raised S"
        )
        assert "\u202e" not in reason


def test_an_environment_that_exits_loses_its_episode(pool: Pool) -> None:
    begin(pool, 0)
    assert pool.step({0: "exits"})[0].reason in ("raised SystemExit: 3", "crashed (exit status 3)")
    begin(pool, 0)


@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("another slot", "to a question that nobody asked"),
        ("unknown class", "is not expected"),
        ("no pickle", "a message that raised"),
        ("evil pickle", "system is not expected"),
        ("unhashable", "a message that raised TypeError"),
        ("a giant", "a message of more than 16 MiB"),
        ("empty", "a message that raised EOFError"),
    ],
)
def test_a_worker_that_writes_what_it_should_not(process: Pool, action: str, what: str) -> None:
    begin(process, 0, 1)
    assert process.step({1: "seen"})[1].observation.text == "seen"
    answer = process.step({0: action})[0]
    assert isinstance(answer, SlotError) and answer.reason.startswith("answered garbage: ") and what in answer.reason
    assert process.step({1: "seen"})[1] == SlotError("its worker was replaced")
    begin(process, 0, 1)


@pytest.mark.parametrize("action", ["half a message", "drop by drop"])
def test_a_worker_that_stops_in_the_middle_of_a_message_is_late_as_any(action: str) -> None:
    with Pool(toys.ProcessGarbage, Options(), workers=2, timeout=2.0) as pool:
        begin(pool, 0, 1)
        answers = pool.step({0: action, 1: "seen"})
        assert answers[0] == SlotError("timed out after 2 s") and answers[1].observation.text == "seen"
        begin(pool, 0, 1)


def asked_while_nobody_looks(action: str) -> processes.Processes:
    """One worker, whose answer begins to come, and whose time is up before anybody looks."""
    made = processes.Processes(toys.ProcessGarbage, Options(), 1, AGES)
    made.submit("reset", {0: FINE})
    assert made.take(None) == {0: Observation("begun")}
    made.submit("step", {0: action})
    (worker,) = made._workers
    assert worker.frames.wait(AGES)
    worker.deadline = time.monotonic()
    return made


def test_an_answer_larger_than_a_socket_holds_is_not_lost_while_nobody_looks() -> None:
    """It comes in parts, the first of which was there in time."""
    text = "x" * (toys.MEBIBYTE * 3 // 5)
    made = asked_while_nobody_looks(text)
    try:
        assert made.take(None)[0].observation.text == text
    finally:
        made.close()


@pytest.mark.parametrize("action", ["half a message", "drop by drop"])
def test_a_message_without_an_end_is_waited_for_once_more(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setattr(worker_process, "REST_SECONDS", 0.3)
    made = asked_while_nobody_looks(action)
    try:
        began = time.monotonic()
        assert made.take(None) == {0: SlotError("timed out after 60 s")}
        assert 0.3 <= time.monotonic() - began < AGES / 2
        made.submit("reset", {0: FINE})
        assert made.take(None) == {0: Observation("begun")}, "another worker has its place"
    finally:
        made.close()


def test_an_answer_that_came_while_another_worker_was_ended_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time passed meanwhile, and it was there in time."""
    made = processes.Processes(toys.ProcessGarbage, Options(), 2, AGES)
    try:
        made.submit("reset", {0: FINE, 1: FINE})
        while made._workers[0].waiting_for or made._workers[1].waiting_for:
            made.take(None)
        made.submit("step", {0: "leave no successor", 1: "slow"})
        second, replace = made._workers[1], made._replace

        def slowly(index: int) -> None:
            replace(index)
            assert second.frames.wait(AGES)
            second.deadline = time.monotonic()

        monkeypatch.setattr(made, "_replace", slowly)
        answers = made.take(None)
        while len(answers) < 2:
            answers |= made.take(None)
        assert answers[0] == SlotError("crashed (exit status 3)") and answers[1].observation.text == "slow"
    finally:
        made.close()


def test_a_worker_that_stops_in_its_first_word_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START_SECONDS", 3.0)
    sentence = r"^an environment worker said nothing for 3 s while it started: run `sdar doctor`$"
    with (
        Pool(toys.HalfStart, Options(), workers=1, timeout=1.0) as pool,
        pytest.raises(RunFailed, match=sentence),
    ):
        pool.reset({0: FINE})


def test_a_worker_that_takes_nothing_is_late_as_any() -> None:
    """It stands still, and more is to be sent than a socket holds."""
    with Pool(toys.ProcessGarbage, Options(), workers=1, timeout=2.0) as pool:
        begun = pool.reset({0: Task("pid", "toy")})[0]
        os.kill(int(begun.text.split()[-1]), signal.SIGSTOP)
        assert pool.reset({0: Task("t", "toy", data={"text": "x" * toys.MEBIBYTE})})[0].reason == "timed out after 2 s"
        begin(pool, 0)


def test_a_task_that_cannot_be_sent_is_a_sentence() -> None:
    with Pool(toys.ProcessGarbage, Options(), workers=1, timeout=AGES) as pool:
        with pytest.raises(
            EnvironmentSetupError, match=r"cannot be sent to a worker process.*: keep plain values in T"
        ):
            pool.reset({0: Task("t", "toy", data={"a": lambda: 1})})
        begin(pool, 0)


@pytest.mark.parametrize("bad_starts", [2, 3])
def test_a_successor_that_does_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch, bad_starts: int) -> None:
    with Pool(toys.ProcessGarbage, Options(), workers=1, timeout=AGES) as pool:
        begin(pool, 0)
        own, left = processes.WorkerProcess, [bad_starts]

        def make(hello):
            """With a class that is not there, a worker ends while it starts."""
            if not left[0]:
                return own(hello)
            left[0] -= 1
            return own(("nothing", hello[1]))

        monkeypatch.setattr(processes, "WorkerProcess", make)
        assert pool.step({0: "leave no successor"})[0].reason == "crashed (exit status 3)"
        if bad_starts < processes.START_TRIES:
            begin(pool, 0, 1)
            assert pool.step({0: "a", 1: "b"})[1].observation.text == "b"
        else:
            with pytest.raises(RunFailed, match=r"^an environment worker raised .* in 3 tries: run `sdar doctor`$"):
                pool.reset({0: FINE})


def test_no_process_to_be_had_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(hello):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(processes, "WorkerProcess", refuse)
    monkeypatch.setattr(processes.time, "sleep", lambda seconds: None)
    with pytest.raises(RunFailed, match="no environment worker could be started"):
        Pool(toys.ProcessGarbage, Options(), workers=1, timeout=AGES)


def test_slow_operations_are_counted() -> None:
    with Pool(toys.ProcessGarbage, Options(), workers=1, timeout=1.5) as pool:
        begin(pool, 0)
        before = pool.slow
        pool.step({0: "slow"})
        assert pool.slow == before + 1


class Prototype(toys.Garbage):
    """Answers what it was told, whatever it is asked."""

    def parse(self, response):
        return self._say()

    goal = followup = prompt = lambda self, *about: self._say()

    def _say(self):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        ("parse", None),
        ("parse", "look"),
        ("parse", Action(None)),
        ("parse", Action("a\ud800")),
        ("parse", Invalid(3)),
        ("parse", Invalid("no", b"")),
        ("parse", KeyError("key")),
        ("parse", SystemExit(0)),
        ("parse", RecursionError()),
        ("goal", None),
        ("goal", "x" * (toys.MEBIBYTE + 1)),
        ("followup", ["text"]),
        ("prompt", None),
        ("prompt", []),
        ("prompt", "text"),
        ("prompt", ["text"]),
        ("prompt", [{"role": "user"}]),
        ("prompt", [{"role": "tool", "content": "a"}]),
        ("prompt", [{"role": ["user"], "content": "a"}]),
        ("prompt", [{"role": "user", "content": None}]),
        ("prompt", ValueError("at https://me:secret@example.org")),
    ],
)
def test_a_prototypes_faults_are_one_episodes(ask: str, answer: object) -> None:
    made = Prototype(Options())
    made.answer = answer
    about = (FINE, Observation("")) if ask == "goal" else (None,)
    with pytest.raises(Lost) as caught:
        getattr(Guarded.of(made), ask)(*about)
    assert caught.value.reason.startswith(f"{ask} ") and "secret" not in caught.value.reason
    assert str(caught.value).startswith(f"the environment's {ask} ") and str(caught.value).endswith(
        ": correct its code"
    )


def test_a_prototype_that_is_not_set_up_ends_the_run() -> None:
    made = Prototype(Options())
    made.answer = EnvironmentSetupError("the toy's box is missing: open it")
    with pytest.raises(EnvironmentSetupError, match="open it"):
        Guarded.of(made).parse("")
