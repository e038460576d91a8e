"""The pool: slots keep their worker, lose their episode when it fails, and find a fresh one afterwards."""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.rollout import pool as pool_module
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Observation, Step, Task

TASK = Task("t", "toy")
AGES = 60.0
HERE = Path(__file__).parent


def load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


toys = load("pool_toy", HERE / "pool_toy.py")
Toy, InlineToy, ToyOptions = toys.Toy, toys.InlineToy, toys.ToyOptions


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(Toy, ToyOptions(), workers=2, timeout=AGES) as pool:
        yield pool


def process_of(answer: Observation | Step | SlotError) -> int:
    assert not isinstance(answer, SlotError), answer
    text = answer.observation.text if isinstance(answer, Step) else answer.text
    return int(text.rsplit(" ", 1)[1])


def start(pool: Pool, slots: range | list[int]) -> dict[int, int]:
    return {slot: process_of(answer) for slot, answer in pool.reset(dict.fromkeys(slots, TASK)).items()}


def test_slots_share_workers_in_a_fixed_way_and_are_reused(pool: Pool) -> None:
    first = start(pool, range(5))
    assert first[0] == first[2] == first[4] != first[1] == first[3]
    assert os.getpid() not in first.values()
    assert process_of(pool.step({4: "look"})[4]) == first[4]
    again = pool.reset({4: TASK, 1: TASK})
    assert [a.text.split(" in ")[0] for a in again.values()] == ["hello t episode 2"] * 2
    assert {slot: process_of(answer) for slot, answer in again.items()} == {4: first[4], 1: first[1]}


def test_order_and_content_of_the_answers(pool: Pool) -> None:
    start(pool, range(4))
    steps = pool.step({3: "a", 0: "b", 2: "finish"})
    assert list(steps) == [3, 0, 2]
    assert steps[3].observation.text.startswith("a #1")
    assert (steps[2].done, steps[2].won, steps[2].reward) == (True, True, 1.0)
    assert pool.step({}) == {}
    assert len(pool.step({0: "big"})[0].observation.text) > 1_000_000


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("crash", "crashed (SIGSEGV)"),
        ("exit", "crashed (exit status 3)"),
        ("raise", "raised LookupError: no such thing"),
    ],
)
def test_a_failing_worker_is_replaced_and_the_others_go_on(pool: Pool, action: str, reason: str) -> None:
    first = start(pool, range(5))
    steps = pool.step({0: "look", 1: "look", 2: action})
    assert steps[0] == steps[2] == SlotError(reason)
    assert process_of(steps[1]) == first[1]
    # Slot 4 was not asked, but its episode died with the worker.
    assert pool.step({4: "look"})[4] == SlotError("its worker was replaced")
    assert process_of(pool.step({3: "look"})[3]) == first[1]
    again = start(pool, [0, 4])
    assert again[0] == again[4] != first[0]
    assert process_of(pool.step({4: "look"})[4]) == again[4]


def test_a_hanging_worker_is_replaced() -> None:
    with Pool(Toy, ToyOptions(), workers=2, timeout=1.5) as pool:
        first = start(pool, range(3))
        steps = pool.step({0: "look", 1: "look", 2: "hang"})
        assert steps[0] == steps[2] == SlotError("timed out after 1.5 s")
        assert process_of(steps[1]) == first[1]
        assert start(pool, [2])[2] != first[2]
        with pytest.raises(ProcessLookupError):
            os.kill(first[0], 0)


def test_a_setup_error_is_raised_and_the_pool_lives_on(pool: Pool) -> None:
    start(pool, range(2))
    with pytest.raises(EnvironmentSetupError, match="the toy's box is missing: open it"):
        pool.step({0: "set up", 1: "look"})
    assert pool.reset({0: TASK})[0].text.startswith("hello t episode 1")


def test_an_environment_that_cannot_start_ends_the_run_in_one_sentence() -> None:
    with Pool(Toy, ToyOptions(refuse_to_start=True), workers=1, timeout=AGES) as pool:
        with pytest.raises(EnvironmentSetupError, match="no batteries: buy some"):
            pool.reset({0: TASK})


def test_options_reach_the_worker() -> None:
    with Pool(Toy, ToyOptions(greeting="servus"), workers=1, timeout=AGES) as pool:
        assert pool.reset({7: TASK})[7].text.startswith("servus t")


def test_stepping_without_a_live_episode_is_a_bug(pool: Pool) -> None:
    with pytest.raises(ValueError, match="slot 0 has no live episode"):
        pool.step({0: "look"})
    start(pool, [0, 1])
    pool.step({0: "finish"})
    pool.release([1])
    for slot in (0, 1):
        with pytest.raises(ValueError, match=f"slot {slot} has no live episode"):
            pool.step({slot: "look"})


def test_workers_are_recycled_only_between_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "RECYCLE_RESETS", 3)
    with Pool(Toy, ToyOptions(), workers=1, timeout=AGES) as pool:
        first = start(pool, range(3))
        pool.step({0: "finish"})
        assert start(pool, [0])[0] == first[0], "slots 1 and 2 are still playing"
        pool.release([1])
        pool.step({2: "finish"})
        assert start(pool, [0])[0] != first[0]


def test_noise_stays_in_the_worker(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    start(pool, [0])
    pool.step({0: "look"})
    with Pool(InlineToy, ToyOptions(), workers=1, timeout=AGES) as inline:
        inline.reset({0: TASK})
        inline.step({0: "look"})
    assert capfd.readouterr() == ("", "")


def test_close_ends_the_workers_and_is_final() -> None:
    pool = Pool(Toy, ToyOptions(), workers=2, timeout=AGES)
    processes = set(start(pool, range(2)).values())
    pool.close()
    pool.close()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    with pytest.raises(ValueError, match="closed"):
        pool.reset({0: TASK})


def test_inline_slots_live_here_and_fail_alone() -> None:
    with Pool(InlineToy, ToyOptions(), workers=3, timeout=AGES) as pool:
        assert set(start(pool, range(3)).values()) == {os.getpid()}
        steps = pool.step({0: "raise", 1: "look"})
        assert steps[0] == SlotError("raised LookupError: no such thing")
        assert process_of(steps[1]) == os.getpid()
        assert pool.step({0: "look", 2: "look"})[0] == SlotError("its worker was replaced")
        assert pool.reset({0: TASK})[0].text.startswith("hello t episode 1")
        with pytest.raises(EnvironmentSetupError, match="open it"):
            pool.step({1: "set up"})


def test_a_class_from_a_bare_file_is_found_in_the_worker(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text((HERE / "pool_toy.py").read_text().replace("hello", "from a file"))
    mine = load("sdar_user_environment_mine", file)
    with Pool(mine.Toy, mine.ToyOptions(), workers=1, timeout=AGES) as pool:
        assert pool.reset({0: TASK})[0].text.startswith("from a file t")


def test_workers_die_with_their_parent_even_in_the_middle_of_a_step() -> None:
    program = textwrap.dedent(
        f"""
        import os, sys, threading
        sys.path.insert(0, {str(HERE)!r})
        from pool_toy import Toy, ToyOptions
        from sdar_cli.rollout.pool import Pool
        from sdar_envs.base import Task
        pool = Pool(Toy, ToyOptions(), workers=1, timeout=600.0)
        print(pool.reset({{0: Task("t", "toy")}})[0].text.rsplit(" ", 1)[1], flush=True)
        threading.Thread(target=pool.step, args=({{0: "hang"}},), daemon=True).start()
        sys.stdin.readline()
        os._exit(9)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdin is not None
    worker = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.communicate("die\n")
        assert select.select([worker], [], [], AGES)[0], "the worker outlived its parent"
    finally:
        os.close(worker)
