"""Coefficients at a step: schedules, and that what a method does not read stays at its default."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings, scheduled
from sdar_cli.recipe.schema import Recipe, Schedule


def recipe(**changes) -> Recipe:
    return Recipe.model_validate(
        {"name": "x", "environment": {"name": "household"}, "model": {"path": "unused"}, **changes}
    )


def test_a_linear_schedule():
    schedule = Schedule(to=0.0, steps=100)
    assert [scheduled(0.5, schedule, step) for step in (0, 50, 99, 100, 10**6)] == pytest.approx(
        [0.5, 0.25, 0.005, 0, 0]
    )
    assert scheduled(0.5, schedule, 100) == 0.0, "exactly, so that a teacher is no longer asked"


def test_a_cosine_schedule():
    schedule = Schedule(to=1.0, steps=8, shape="cosine")
    for step in range(12):
        share = (1 - math.cos(math.pi * min(1, step / 8))) / 2
        assert scheduled(0.2, schedule, step) == pytest.approx(0.2 + 0.8 * share)
    assert scheduled(0.2, schedule, 8) == 1.0


@given(st.floats(0, 10), st.floats(0, 10), st.integers(1, 50), st.sampled_from(["linear", "cosine"]))
def test_a_schedule_stays_between_its_ends_and_moves_one_way(start, to, steps, shape):
    values = [scheduled(start, Schedule(to=to, steps=steps, shape=shape), step) for step in range(steps + 3)]
    low, high = min(start, to), max(start, to)
    assert values[0] == start and values[-1] == to and all(low - 1e-12 <= v <= high + 1e-12 for v in values)
    moves = [b - a for a, b in pairwise(values)]
    assert all(m * (to - start) >= -1e-12 for m in moves)


def test_no_schedule_is_a_constant():
    assert scheduled(0.3, None, 10**9) == 0.3


def test_all_three_schedules_are_read():
    made = recipe(
        method="sdar",
        distill={"coef": 1.0, "schedule": {"to": 0.0, "steps": 10}},
        gate={"beta": 2.0, "schedule": {"to": 4.0, "steps": 10}},
        credit={"mu": 0.5, "schedule": {"to": 0.0, "steps": 5}},
    )
    at = Settings.at(made, 5)
    assert (at.coef, at.beta, at.mu) == (0.5, 3.0, 0.0)


@pytest.mark.parametrize("method", sorted(OBJECTIVES))
def test_a_method_takes_its_own_form_and_ignores_what_it_does_not_read(method):
    objective = OBJECTIVES[method]
    reads_gate = "gate" in objective.settings
    made = recipe(method=method, gate={"normalise": "turn_mean"}, distill={"divergence": "jsd"})
    at = Settings.at(made, 0)
    assert at.form == (objective.forms[0] if objective.forms else "gated")
    assert at.normalise == ("turn_mean" if reads_gate else "none")
    assert at.divergence == ("jsd" if objective.forms else "sampled")


@pytest.mark.parametrize("gate", ["gap", "soft_or", "entropy", "none"])
def test_a_gate_that_does_not_see_the_gap_has_nothing_to_normalise(gate):
    at = Settings.at(recipe(gate={"kind": gate, "normalise": "zscore"}), 0)
    assert at.normalise == ("zscore" if gate in ("gap", "soft_or") else "none")


def test_a_form_without_a_gate_has_nothing_to_normalise():
    made = recipe(method="opsd", distill={"form": "signed"}, gate={"normalise": "zscore"})
    assert Settings.at(made, 0).normalise == "none"
    assert not OBJECTIVES["opsd"].needs(Settings.at(made, 0)).old
