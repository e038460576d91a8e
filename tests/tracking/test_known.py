"""What a spool knows of the writes that it no longer has."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.tracking.known import Known, numbers, ranges

steps = st.integers(0, 60)
names = st.sampled_from(["loss", "gap", "eval/a", "system/cpu", "system/gpu"])


@given(st.lists(st.tuples(steps, st.lists(names, max_size=5))), steps)
def test_what_was_added_is_not_fresh_also_after_a_restart(added: list[tuple[int, list[str]]], step: int) -> None:
    known, model = Known(), set()
    for at, found in added:
        known.add(at, found)
        model |= {(at, name) for name in found}
    read = Known.from_json(json.loads(json.dumps(known.to_json())))
    every = ["loss", "gap", "eval/a", "system/cpu", "system/gpu"]
    for one in (known, read):
        assert one.fresh(step, every) == [name for name in every if (step, name) not in model]
        system = [at for at, name in model if name.startswith("system/")]
        assert one.next_step("system/") == (max(system) + 1 if system else 0)


def test_a_long_run_is_known_in_a_line() -> None:
    known = Known()
    for step in range(1, 100_001):
        known.add(step, ["loss", "gap"])
    assert known.to_json()["steps"] == [["3", 1, 100_000]]


@given(st.sets(st.integers(0, 200)))
def test_ranges_are_read_back(found: set[int]) -> None:
    assert numbers(ranges(found)) == found


def test_ranges_are_written_as_people_do() -> None:
    assert ranges({41, 42, 43, 90}) == "41-43, 90"


@pytest.mark.parametrize("steps", [[["1", 0, 10**12]], [["1", 5, 1]], [["zz", 1, 1]], [[1]], 5])
def test_what_was_not_written_here_is_refused(steps: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        Known.from_json({"names": [], "steps": steps, "once": [], "last": {}, "replayed": ""})
