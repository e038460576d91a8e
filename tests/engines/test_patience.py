from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.engines.patience import LONGEST, Patience


class Clock:
    """Time that passes only while one sleeps."""

    def __init__(self) -> None:
        self.now, self.pauses = 100.0, []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@given(st.floats(0.01, 5000))
def test_pauses_grow_to_a_bound_and_end_at_the_limit(limit: float) -> None:
    clock = Clock()
    tries = list(Patience(limit, clock.sleep, lambda: clock.now).tries())
    assert tries[0] == 0 and len(tries) == len(clock.pauses) + 1
    assert max(clock.pauses) <= LONGEST
    assert clock.pauses[:-1] == sorted(clock.pauses[:-1]) or min(clock.pauses) < 0.01
    assert abs(sum(clock.pauses) - limit) < 0.01


def test_who_stops_asking_waits_no_more() -> None:
    clock = Clock()
    for _ in Patience(100, clock.sleep, lambda: clock.now).tries():
        if len(clock.pauses) == 2:
            break
    assert clock.pauses == [0.25, 0.5]
