"""The expected cost follows from what was measured, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_study import run_of

from sdar_cli.sweep.cost import expected_cost, measure
from sdar_cli.sweep.make import Wish, make_spec


def cost_of(root: Path, *words: str, seeds: str = "3"):
    made = make_spec(Wish("quickstart", words, seeds=seeds))
    return expected_cost(made.spec, made.first.recipe, root)


def test_the_median_step_and_what_is_beside_it(tmp_path: Path) -> None:
    run_of(tmp_path, "a", [1.0, 2.0, 90.0], rest=30)
    run_of(tmp_path, "b", [3.0, 3.0], rest=50)
    cost = cost_of(tmp_path, "gate.beta=1,2")
    assert cost.step == pytest.approx(2.5) and cost.rest == pytest.approx(40) and cost.steps == 100
    assert cost.runs == 6 and cost.per_run == pytest.approx(290) and cost.total == pytest.approx(1740)
    assert cost.measured == ("a", "b") and cost.alike


def test_time_scales_with_steps(tmp_path: Path) -> None:
    run_of(tmp_path, "a", [2.0] * 4, rest=30)
    assert cost_of(tmp_path, "gate.beta=1,2", "train.steps=50").per_run == pytest.approx(130)
    assert cost_of(tmp_path, "train.steps=10,30", seeds="1").total == pytest.approx(2 * 30 + 2 * (10 + 30))


def test_unknown_where_nothing_of_the_recipe_was_measured(tmp_path: Path) -> None:
    assert cost_of(tmp_path, "gate.beta=1,2") is None
    run_of(tmp_path, "other", [1.0], recipe="alfworld-tiny")
    run_of(tmp_path, "failed", [1.0], status="failed")
    run_of(tmp_path, "going", [1.0], status="training")
    run_of(tmp_path, "empty", [])
    assert cost_of(tmp_path, "gate.beta=1,2") is None


def test_runs_of_the_same_shape_count_before_others(tmp_path: Path) -> None:
    run_of(tmp_path, "small", [1.0], "rollout.tasks=2")
    assert not cost_of(tmp_path, "gate.beta=1,2").alike
    assert cost_of(tmp_path, "gate.beta=1,2").measured == ("small",)
    assert cost_of(tmp_path, "gate.beta=1,2", "rollout.tasks=2").alike
    run_of(tmp_path, "alike", [4.0])
    cost = cost_of(tmp_path, "gate.beta=1,2")
    assert cost.alike and cost.measured == ("alike",) and cost.step == pytest.approx(4)


def test_what_the_study_varies_makes_no_other_shape(tmp_path: Path) -> None:
    run_of(tmp_path, "a", [1.0], "rollout.tasks=2")
    assert cost_of(tmp_path, "rollout.tasks=2,4,8").alike


def test_a_resumed_run_says_nothing_of_its_start(tmp_path: Path) -> None:
    run = run_of(tmp_path, "a", [1.0, 1.0], rest=9999, rewinds=2)
    assert measure(run).rest is None
    cost = cost_of(tmp_path, "gate.beta=1,2")
    assert cost.rest == 0.0 and cost.step == pytest.approx(1)


def test_steps_without_times_do_not_count(tmp_path: Path) -> None:
    run = run_of(tmp_path, "a", [2.0, 2.0])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3, "time/training": None}) + "\n{broken")
    assert measure(run).step == pytest.approx(2)
