"""``environment.worker_memory``: a worker that takes more is renewed between episodes, and killed within one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from garbage_toy import ProcessGarbage

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout import processes
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Observation, Options, Task

AGES = 60.0
PID = Task("pid", "toy")


@pytest.fixture
def opened() -> Iterator[list[Pool]]:
    pools: list[Pool] = []
    yield pools
    for pool in pools:
        pool.close()


def pool_of(opened: list[Pool], gibibytes: float, workers: int = 1) -> Pool:
    opened.append(Pool(ProcessGarbage, Options(), workers=workers, timeout=AGES, memory=gibibytes))
    return opened[-1]


def begin(pool: Pool, *slots: int) -> list[str]:
    """What processes the slots are in."""
    answers = pool.reset(dict.fromkeys(slots, PID))
    assert all(isinstance(answer, Observation) for answer in answers.values()), answers
    return [answer.text for answer in answers.values()]


def test_a_leak_within_an_episode_ends_the_worker(opened: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.0)
    pool = pool_of(opened, 0.2, workers=2)
    first = begin(pool, 0, 1, 2)
    steps = pool.step({0: "leak", 1: "seen"})
    assert steps[1].observation.text == "seen"
    assert re.fullmatch(r"took 0\.\d\d GiB of memory, above environment\.worker_memory=0\.2 GiB", steps[0].reason)
    assert pool.step({2: "seen"})[2] == SlotError("its worker was replaced"), "it shared the worker"
    again = begin(pool, 0, 1, 2)
    assert again[1] == first[1] and again[0] == again[2] != first[0]


def test_a_worker_that_leaks_and_does_not_answer_is_found(opened: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.05)
    pool = pool_of(opened, 0.2)
    begin(pool, 0)
    assert "above environment.worker_memory" in pool.step({0: "leak and wait"})[0].reason


def test_a_slow_leak_costs_no_episode(opened: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    """300 MiB beside the interpreter's own are more than three quarters of the limit, and less than the limit."""
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.0)
    pool = pool_of(opened, 0.42)
    first = begin(pool, 0, 1)
    assert pool.step({0: "leak"})[0].observation.text == "leak"
    assert begin(pool, 0) == first[:1], "slot 1 is still playing"
    pool.release([1])
    assert begin(pool, 0) != first[:1]


def test_nothing_is_watched_without_a_limit(opened: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.0)
    opened.append(pool := Pool(ProcessGarbage, Options(), workers=1, timeout=AGES))
    first = begin(pool, 0)
    assert pool.step({0: "leak"})[0].observation.text == "leak"
    assert begin(pool, 0) == first


def test_a_system_that_does_not_tell(opened: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    with pytest.raises(EnvironmentSetupError, match="worker_memory needs /proc"):
        pool_of(opened, 1.0)
