"""Random and TPE: reproducible, without repeats, told of what is pruned as Optuna would be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from sdar_cli.sweep.make import Wish, make_spec
from sdar_cli.sweep.spec import StudySpec
from sdar_cli.sweep.suggest import Finished, _study, distribution


@cache
def spec_of(*words: str, cells: int = 12, search: Any = "tpe", sampler_seed: int = 0) -> StudySpec:
    return make_spec(Wish("quickstart", words, cells=cells, search=search, sampler_seed=sampler_seed)).spec


def play(spec: StudySpec, value: Callable[[Mapping[str, Any]], float]) -> list[Finished]:
    cells: list[Finished] = []
    for index in range(spec.cells):
        params = spec.suggest(index, cells)
        cells.append(Finished(params, value(params), "done"))
    return cells


def peak(params: Mapping[str, Any]) -> float:
    """Best at a coefficient of 0.02, and for the entropy gate."""
    return math.exp(-((math.log10(params["distill.coef"] / 0.02)) ** 2)) + 0.3 * (params["gate.kind"] == "entropy")


SPACE = ("distill.coef=log:1e-4..10", "gate.kind=gap,entropy,soft_or")


def test_random_cells_are_known_and_the_same_everywhere() -> None:
    spec = spec_of(*SPACE, search="random")
    assert [spec.suggest(index) for index in range(12)] == list(spec.grid())
    assert spec.grid() == spec_of(*SPACE, search="random").grid()
    assert spec.grid() != spec_of(*SPACE, search="random", sampler_seed=1).grid()
    assert spec_of(*SPACE, search="random", cells=5).grid() == spec.grid()[:5]


def test_random_over_few_settings_finds_all_of_them() -> None:
    spec = spec_of("gate.beta=1,2,3", "gate.kind=gap,entropy", search="random", cells=6)
    assert len({spec.label(params) for params in spec.grid()}) == 6


def test_tpe_is_a_function_of_the_history() -> None:
    spec = spec_of(*SPACE, cells=20)
    first = play(spec, peak)
    assert first == play(spec, peak)
    assert first != play(spec_of(*SPACE, cells=20, sampler_seed=1), peak)
    assert len({spec.label(cell.params) for cell in first}) == 20
    assert all(cell.params["distill.coef"] == float(f"{cell.params['distill.coef']:.4g}") for cell in first)


def test_tpe_closes_in_on_what_is_good() -> None:
    for seed in range(2):
        cells = play(spec_of(*SPACE, cells=20, sampler_seed=seed), peak)
        early, late = cells[:6], cells[-6:]
        assert sum(cell.value for cell in late) > sum(cell.value for cell in early) + 1


def test_a_setting_that_is_at_work_is_not_tried_again() -> None:
    spec = spec_of("gate.beta=1,2,3,4", cells=4)
    running: list[tuple] = []
    for index in range(4):
        running.append((spec.suggest(index, running), None, "running"))
    assert sorted(params["gate.beta"] for params, _, _ in running) == [1, 2, 3, 4]


def test_tpe_has_no_more_cells_than_there_are_settings() -> None:
    from sdar_cli.errors import UserError

    with pytest.raises(UserError, match="5 cells were asked for, but the space holds 4 settings that differ"):
        spec_of("gate.beta=1,2,3,4", cells=5)


def test_tpe_knows_of_parameters_that_only_some_methods_read() -> None:
    spec = spec_of("distill.coef=log:1e-3..1e-1", "method=grpo,sdar", cells=10)
    cells = play(spec, lambda params: params.get("distill.coef", 0.0))
    assert sum("distill.coef" not in cell.params for cell in cells) == 1
    assert cells[-1].params["method"] == "sdar"


@pytest.mark.parametrize(
    ("state", "value", "trial"),
    [
        ("done", 0.5, ("COMPLETE", 0.5)),
        ("partial", 0.5, ("COMPLETE", 0.5)),
        ("pruned", 0.5, ("PRUNED", {30: 0.5})),
        ("pruned", None, ("PRUNED", {})),
        ("running", None, ("RUNNING", {})),
        ("waiting", None, ("RUNNING", {})),
        ("failed", None, None),
        ("done", None, None),
    ],
)
def test_what_optuna_is_told(state: str, value: float | None, trial: tuple | None) -> None:
    spec = spec_of(*SPACE, "gate.detach=true,false")
    params = {"distill.coef": 0.02, "gate.kind": "entropy", "gate.detach": False}
    study = _study(spec.axes, [Finished(params, value, state, 30)], 1, 3)
    told = [
        (one.state.name, one.value if one.state.name == "COMPLETE" else one.intermediate_values) for one in study.trials
    ]
    assert told == ([] if trial is None else [trial])
    if trial is not None:
        assert study.trials[0].params == {"distill.coef": 0.02, "gate.kind": 1, "gate.detach": 1}


def test_axes_are_optunas_distributions() -> None:
    spec = spec_of(
        *["gate.beta=1..2.5/0.5", "distill.coef=log:1e-3..1", "train.steps=int:5..9/3", "rollout.group=log:int:2..64"],
        "teacher.ema_decay=0..1",
        "teacher.kind=ema",
    )
    shown = [str(distribution(axis)) for axis in spec.axes]
    assert shown == [
        "FloatDistribution(high=2.5, log=False, low=1.0, step=0.5)",
        "FloatDistribution(high=1.0, log=True, low=0.001, step=None)",
        "IntDistribution(high=8, log=False, low=5, step=3)",
        "IntDistribution(high=64, log=True, low=2, step=1)",
        "FloatDistribution(high=1.0, log=False, low=0.0, step=None)",
    ]
    for index in range(6):
        params = spec.suggest(index, [])
        assert params["gate.beta"] in (1.0, 1.5, 2.0, 2.5) and params["train.steps"] in (5, 8)
