"""Slots in threads: side by side, each on its own clock, and none can hold up the run."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout import threads as threads_module
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Action, Environment, History, Message, Observation, Options, Step, Task

AGES = 60.0
SOON = 1.0
TASK = Task("t", "toy")


class World(Options):
    """What the toys of one test share; options reach a thread as they are."""

    model_config = {"arbitrary_types_allowed": True, "extra": "forbid", "frozen": True}

    gate: threading.Event
    """Steps that say ``wait`` wait for it."""
    meeting: threading.Barrier
    made: Counter
    """Instances made, and closed."""


class ThreadToy(Environment):
    name = "thread-toy"
    Options = World
    isolation = "thread"

    def __init__(self, options: World) -> None:
        super().__init__(options)
        options.made["made"] += 1
        self.number = options.made["made"]
        self.steps = 0

    def tasks(self, split: str) -> Sequence[Task]:
        return [TASK]

    def reset(self, task: Task) -> Observation:
        self.steps = 0
        if task.id == "set up":
            raise EnvironmentSetupError("the toy's box is missing: open it")
        if task.id == "wait":
            self.options.gate.wait(AGES)
        return Observation(f"{task.id} in {self.number}")

    def step(self, action: str) -> Step:
        self.steps += 1
        match action:
            case "wait":
                self.options.gate.wait(AGES)
            case "meet":
                self.options.meeting.wait(AGES)
            case "raise":
                raise LookupError("no such\nthing")
            case "exit":
                raise SystemExit(3)
            case "set up":
                raise EnvironmentSetupError("the toy's box is missing: open it")
        return Step(Observation(f"{action} #{self.steps} in {self.number}"), 0.0, done=action == "finish")

    def parse(self, response: str) -> Action:
        return Action(response)

    def prompt(self, history: History) -> list[Message]:
        return [{"role": "user", "content": history.observation.text}]

    def close(self) -> None:
        self.options.made["closed"] += 1


@pytest.fixture
def world() -> Iterator[World]:
    world = World(gate=threading.Event(), meeting=threading.Barrier(4), made=Counter())
    yield world
    world.gate.set()  # whatever a test left behind goes on, and ends


def texts(answers: dict[int, Step | SlotError]) -> dict[int, str]:
    return {slot: a.reason if isinstance(a, SlotError) else a.observation.text for slot, a in answers.items()}


def start(pool: Pool, slots: Sequence[int]) -> None:
    assert all(isinstance(answer, Observation) for answer in pool.reset(dict.fromkeys(slots, TASK)).values())


def test_as_many_slots_as_there_are_threads_are_stepped_at_once(world: World) -> None:
    with Pool(ThreadToy, world, workers=4, timeout=AGES) as pool:
        start(pool, range(8))
        steps = pool.step(dict.fromkeys(range(8), "meet"))  # each waits until four are there
        assert [text.split(" in ")[0] for text in texts(steps).values()] == ["meet #1"] * 8


def test_slots_keep_their_instance_and_answers_their_order(world: World) -> None:
    with Pool(ThreadToy, world, workers=3, timeout=AGES) as pool:
        start(pool, range(5))
        homes = {slot: text.rsplit(" ", 1)[1] for slot, text in texts(pool.step(dict.fromkeys(range(5), "a"))).items()}
        assert len(set(homes.values())) == 5
        later = pool.step({4: "b", 0: "b", 2: "finish"})
        assert list(later) == [4, 0, 2]
        assert texts(later) == {
            4: f"b #2 in {homes[4]}",
            0: f"b #2 in {homes[0]}",
            2: f"finish #2 in {homes[2]}",
        }
        assert pool.reset({2: TASK})[2] == Observation(f"t in {homes[2]}")
        assert pool.step({}) == {}
    assert world.made == {"made": 5, "closed": 5}


@pytest.mark.parametrize(
    ("action", "reason"), [("raise", "raised LookupError: no such thing"), ("exit", "raised SystemExit: 3")]
)
def test_a_slot_that_raises_loses_its_own_episode_only(world: World, action: str, reason: str) -> None:
    with Pool(ThreadToy, world, workers=2, timeout=AGES) as pool:
        start(pool, range(3))
        steps = texts(pool.step({0: "a", 1: action, 2: "a"}))
        assert steps[1] == reason
        assert steps[0].startswith("a #1") and steps[2].startswith("a #1")
        assert texts(pool.step({0: "b", 1: "b"}))[1] == "its worker was replaced"
        assert pool.reset({1: TASK})[1] == Observation("t in 4"), "a new instance"
        assert texts(pool.step({0: "c", 1: "c"}))[1] == "c #1 in 4"


def test_a_slot_that_hangs_is_given_up_and_the_threads_stay_as_many(world: World) -> None:
    with Pool(ThreadToy, world, workers=4, timeout=SOON) as pool:
        start(pool, range(6))
        steps = texts(pool.step({slot: "wait" if slot < 4 else "a" for slot in range(6)}))
        assert [steps[slot] for slot in range(4)] == ["timed out after 1 s"] * 4
        assert [steps[slot].split(" in ")[0] for slot in (4, 5)] == ["a #1", "a #1"], "queued behind those that hung"
        start(pool, range(4))
        assert len(texts(pool.step(dict.fromkeys(range(4), "meet")))) == 4
        assert all(text.startswith("meet") for text in texts(pool.step(dict.fromkeys(range(4), "meet"))).values())
        world.gate.set()  # late answers go nowhere
        assert all(text.startswith("b #3") for text in texts(pool.step(dict.fromkeys(range(4), "b"))).values())


def test_the_clock_of_a_slot_starts_when_a_thread_takes_it(world: World) -> None:
    with Pool(ThreadToy, world, workers=1, timeout=SOON) as pool:
        start(pool, range(3))
        before = time.monotonic()
        steps = texts(pool.step({0: "wait", 1: "wait", 2: "a"}))
        assert steps[0] == steps[1] == "timed out after 1 s"
        assert steps[2].startswith("a #1")
        assert time.monotonic() - before >= 2 * SOON


def test_a_reset_that_hangs_is_given_up_too(world: World) -> None:
    with Pool(ThreadToy, world, workers=2, timeout=SOON) as pool:
        first = pool.reset({0: Task("wait", "toy"), 1: TASK})
        assert first[0] == SlotError("timed out after 1 s")
        assert isinstance(first[1], Observation)
        world.gate.set()
        assert isinstance(pool.reset({0: Task("wait", "toy")})[0], Observation)


def test_a_setup_error_is_raised_here_and_the_pool_lives_on(world: World) -> None:
    with Pool(ThreadToy, world, workers=2, timeout=AGES) as pool:
        start(pool, range(4))
        with pytest.raises(EnvironmentSetupError, match="the toy's box is missing: open it"):
            pool.step({0: "set up", 1: "wait", 2: "wait", 3: "a"})
        # Slot 1 still hangs in a thread that was given up; nothing of that call reaches the next ones.
        start(pool, range(4))
        steps = texts(pool.step(dict.fromkeys(range(4), "b")))
        assert all(text.startswith("b #1") for text in steps.values())
        with pytest.raises(EnvironmentSetupError, match="open it"):
            pool.reset({0: Task("set up", "toy")})


def test_an_episode_that_was_dropped_by_a_setup_error_answers_with_an_error(world: World) -> None:
    with Pool(ThreadToy, world, workers=1, timeout=AGES) as pool:
        start(pool, range(3))
        with pytest.raises(EnvironmentSetupError):
            pool.step({0: "set up", 1: "a", 2: "a"})
        assert pool.step({2: "a"})[2] == SlotError("its worker was replaced")


def test_stepping_without_a_live_episode_is_a_bug(world: World) -> None:
    with Pool(ThreadToy, world, workers=2, timeout=AGES) as pool:
        start(pool, [0])
        pool.step({0: "finish"})
        with pytest.raises(ValueError, match="slot 0 has no live episode"):
            pool.step({0: "a"})


def test_close_does_not_wait_for_a_thread_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "GRACE_SECONDS", AGES)
    pool = Pool(ThreadToy, world, workers=2, timeout=SOON)
    start(pool, [0, 1])
    assert texts(pool.step({0: "wait", 1: "a"}))[0].startswith("timed out")
    before = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - before < AGES / 2
    assert world.made["closed"] == 1, "the instance that hangs is left alone"
    with pytest.raises(ValueError, match="closed"):
        pool.reset({0: TASK})


def test_a_program_ends_though_a_thread_hangs(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys, threading
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from collections import Counter
        from test_pool_threads import TASK, ThreadToy, World
        from sdar_cli.rollout.pool import Pool
        world = World(gate=threading.Event(), meeting=threading.Barrier(2), made=Counter())
        pool = Pool(ThreadToy, world, workers=1, timeout=0.1)
        pool.reset({{0: TASK}})
        print(pool.step({{0: "wait"}})[0].reason)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=AGES, env=os.environ
    )
    assert (done.returncode, done.stdout) == (0, "timed out after 0.1 s\n"), done.stderr
