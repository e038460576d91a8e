"""The pictures of a study: which there are, what they say, and that the same study gives the same bytes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from study_views import study_spec, study_view

from sdar_cli.statistics import mean_over_seeds
from sdar_cli.sweep.figures import draw
from sdar_cli.sweep.plots_cells import Scale, measured
from sdar_cli.sweep.plots_history import history
from sdar_cli.sweep.plots_importance import importances, measured_importances
from sdar_cli.sweep.plots_parallel import parallel
from sdar_cli.sweep.plots_response import response


def product(**axes: Any) -> list[dict[str, Any]]:
    keys = [name.replace("__", ".") for name in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*axes.values())]


def rises(params, seed: int) -> float:
    """By the gate's temperature, on 40 tasks."""
    return round(40 * (0.5 + 0.15 * math.log10(params["gate.temperature"]) + 0.02 * seed)) / 40


TEMPERATURES = (0.1, 0.2, 1, 5)
ONE = study_spec("one", ["gate.temperature=0.1,0.2,1,5"], product(gate__temperature=TEMPERATURES))
TWO = study_spec(
    "two",
    ["gate.temperature=0.1,0.2,1,5", "method=sdar,grpo,opsd"],
    product(gate__temperature=TEMPERATURES, method=("sdar", "grpo", "opsd")),
)


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = product(gate__temperature=(0.1, 1), method=("sdar", "grpo"))
    small = study_spec("small", ["gate.temperature=0.1,1", "method=sdar,grpo"], settings)
    made = [draw(study_view(small, rises), tmp_path / folder) for folder in ("first", "second")]
    pictures = ("parallel-coordinates", "response-gate.temperature", "response-method")
    assert names(made[0]) == [f"{name}.{kind}" for name in pictures for kind in ("png", "svg")]
    assert [file.read_bytes() for file in made[0]] == [file.read_bytes() for file in made[1]]


def test_a_study_that_has_nothing_yet_gives_no_file(tmp_path: Path) -> None:
    assert draw(study_view(ONE, lambda params, seed: None), tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()


def test_the_curve_has_means_intervals_and_a_dot_a_seed() -> None:
    view = study_view(ONE, rises)
    figure = response(view, measured(view), view.spec.axes[0])
    (axes,) = figure.axes
    assert axes.get_xlabel() == "gate.temperature", "as typed, although the recipe stores gate.beta"
    assert axes.get_ylabel() == "success without skills (%)"
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.2", "1", "5"]
    curve, *dots = axes.get_lines()
    seeds = [[rises({"gate.temperature": value}, seed) for seed in (1, 2, 3)] for value in TEMPERATURES]
    assert list(curve.get_xdata()) == list(TEMPERATURES)
    assert list(curve.get_ydata()) == pytest.approx([100 * sum(own) / 3 for own in seeds])
    assert [dot.get_ydata()[0] for dot in dots] == pytest.approx([100 * value for own in seeds for value in own])
    (bars,) = axes.collections
    for segment, own in zip(bars.get_segments(), seeds, strict=True):
        expected = mean_over_seeds(own, grid=1 / 40)
        assert sorted(segment[:, 1]) == pytest.approx([100 * expected.low, 100 * expected.high])


@pytest.mark.parametrize(
    ("word", "values", "scale"),
    [
        ("optimiser.learning_rate=1e-4,1e-3,1e-2", (1e-4, 1e-3, 1e-2), "log"),
        ("gate.beta=1,2,4", (1, 2, 4), "linear"),
        ("gate.beta=0,100", (0, 100), "linear"),
        ("distill.coef=log:0.1..0.5", (0.1, 0.5), "log"),
    ],
)
def test_an_axis_is_logarithmic_where_it_is_wide_or_said_to_be(word: str, values: tuple, scale: str) -> None:
    key = word.partition("=")[0]
    spec = study_spec("scaled", [word], [{key: value} for value in values])
    view = study_view(spec, lambda params, seed: 0.5)
    figure = response(view, measured(view), spec.axes[0])
    assert figure.axes[0].get_xscale() == scale


def test_words_are_set_side_by_side_in_their_order() -> None:
    spec = study_spec("words", ["method=sdar,grpo,opsd"], product(method=("sdar", "grpo", "opsd")))
    view = study_view(spec, lambda params, seed: 0.5)
    axes = response(view, measured(view), spec.axes[0]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["sdar", "grpo", "opsd"]


def test_other_axes_are_lines_and_then_panels() -> None:
    view = study_view(TWO, rises)
    (axes,) = response(view, measured(view), view.spec.axes[0]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["method=sdar", "method=grpo", "method=opsd"]
    three = study_spec(
        "three",
        ["gate.temperature=0.1,1,5", "method=sdar,grpo,opsd", "distill.coef=0.1,0.2,1"],
        product(gate__temperature=(0.1, 1, 5), method=("sdar", "grpo", "opsd"), distill__coef=(0.1, 0.2, 1)),
    )
    view = study_view(three, rises)
    panels = response(view, measured(view), view.spec.axes[0]).axes
    assert [axes.get_title() for axes in panels] == ["method=sdar", "method=grpo", "method=opsd"]


def test_cells_between_which_more_differs_are_not_joined() -> None:
    settings = [{"gate.temperature": 0.1 * index, "distill.coef": index / 12} for index in range(1, 12)]
    spec = study_spec("search", ["gate.temperature=0.1..5", "distill.coef=0..1"], settings, search="random")
    view = study_view(spec, rises)
    (axes,) = response(view, measured(view), spec.axes[0]).axes
    assert axes.get_lines()[0].get_linestyle() == "None"
    assert history(view, measured(view)) is not None and history(study_view(ONE, rises), measured(view)) is None


def test_a_setting_that_not_all_cells_have_is_left_out_of_curve_and_importances() -> None:
    settings = [{"method": "sdar", "gate.temperature": value} for value in (0.1, 0.2, 1, 2, 3, 4, 5)]
    settings += [{"method": "grpo"}, {"method": "opsd"}]
    spec = study_spec("unread", ["method=sdar,grpo,opsd", "gate.temperature=0.1,0.2,1,2,3,4,5"], settings)
    view = study_view(spec, lambda params, seed: len(str(params)) / 80)
    curve = response(view, measured(view), spec.axes[1])
    assert len(curve.axes[0].get_lines()[0].get_xdata()) == 7
    assert measured_importances(spec.axes, measured(view)) == {}
    assert parallel(view, measured(view)) is not None


def test_importances_find_the_axis_that_matters() -> None:
    view = study_view(TWO, rises)
    shares = measured_importances(view.spec.axes, measured(view))
    assert sum(shares.values()) == pytest.approx(1) and next(iter(shares)) == "gate.temperature"
    assert shares["gate.temperature"] > 0.9
    assert measured_importances(view.spec.axes, measured(view)) == shares, "the forest has a seed"
    title = importances(view, measured(view)).axes[0].get_title()
    assert "fANOVA over 12 cells" in title


def test_importances_of_too_little_are_none() -> None:
    assert importances(study_view(ONE, rises), measured(study_view(ONE, rises))) is None
    few = study_view(TWO, lambda params, seed: rises(params, seed) if params["method"] == "sdar" else None)
    assert importances(few, measured(few)) is None
    equal = study_view(TWO, lambda params, seed: 0.5)
    assert importances(equal, measured(equal)) is None


def test_a_place_on_an_axis() -> None:
    view = study_view(ONE, rises)
    scale = Scale.of(ONE.axes[0], measured(view))
    assert (scale.share(0.1), scale.share(5)) == (0, 1) and scale.share(1) == pytest.approx(math.log(10, 50))
