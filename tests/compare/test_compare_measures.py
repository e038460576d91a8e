"""The measures of a row, against scipy, numpy and arithmetic by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from compare_runs import TASKS, make_run, outcomes, over_seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.fraction import ratio_over_seeds
from sdar_cli.compare.options import Options
from sdar_cli.compare.report import MEASURES, Report
from sdar_cli.statistics import internalised_fraction, paired_difference, seed_difference


def compared(root: Path, *names: str, **options: object) -> Report:
    return build(by_reference(names, root), Options(**options))  # type: ignore[arg-type]


def t_interval(values: list[float]) -> tuple[float, float]:
    from scipy import stats

    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return float(low), float(high)


def test_one_run(tmp_path: Path) -> None:
    from statsmodels.stats.proportion import proportion_confint

    make_run(tmp_path, "a", won=0.6, with_skills=0.9, base=0.1, base_skills=0.8)
    row = compared(tmp_path, "a").rows[0]
    found = row.measures
    low, high = proportion_confint(24, 40, method="wilson")
    assert (found["success"].value, found["success"].low, found["success"].high) == pytest.approx((0.6, low, high))
    won = {key: outcomes(share, TASKS, f"a{key}") for key, share in {"": 0.6, " skills": 0.9, " base": 0.1}.items()}
    gap = paired_difference(won[" skills"], won[""])
    gain = paired_difference(won[""], won[" base"])
    assert (found["gap"].value, found["gap"].low, found["gap"].high) == (gap.estimate, gap.low, gap.high)
    assert (found["gain"].value, found["gain"].low, found["gain"].high) == (gain.estimate, gain.low, gain.high)
    fraction = internalised_fraction(won[""], won[" base"], outcomes(0.8, TASKS, "a base skills"))
    assert fraction is not None and found["internalised"].value == pytest.approx(0.5 / 0.7)
    assert (found["internalised"].low, found["internalised"].high) == (fraction.low, fraction.high)
    turns = [4.0 + i % 3 for i in range(40)]
    assert (found["turns"].low, found["turns"].high) == pytest.approx(t_interval(turns))
    assert found["turns"].value == pytest.approx(np.mean(turns))
    assert found["invalid"].value == pytest.approx(20 / sum(turns))
    assert found["prompt_tokens"].value == pytest.approx(40 * 400 / sum(turns))
    assert row.base["success"].value == 0.1 and row.base["success_skills"].value == 0.8
    assert "iqm" not in found and "score" not in found and "cost" not in found
    assert list(found) == [name for name in MEASURES if name in found]


def test_several_seeds(tmp_path: Path) -> None:
    shares = [0.5, 0.6, 0.75, 0.8]
    for seed, won in enumerate(shares):
        make_run(tmp_path, f"s{seed}", seed=seed, won=won, base=0.1 + seed / 40, with_skills=0.9)
    row = compared(tmp_path, "s0", "s1", "s2", "s3", rows="cell").rows[0]
    found = row.measures
    low, high, _ = over_seeds(shares)
    assert (found["success"].value, found["success"].low, found["success"].high) == pytest.approx(
        (np.mean(shares), low, high)
    )
    gains = [won - (0.1 + seed / 40) for seed, won in enumerate(shares)]
    assert (found["gain"].low, found["gain"].high) == pytest.approx(over_seeds(gains)[:2])
    assert found["iqm"].value == pytest.approx(0.675)
    assert found["success"].count == 4 and row.seeds == (0, 1, 2, 3)
    assert row.runs == ("s0", "s1", "s2", "s3")
    by_type = row.by_type["heat"]
    per_seed = [np.mean(outcomes(won, TASKS, f"s{seed}")[1::3]) for seed, won in enumerate(shares)]
    assert by_type.estimate == pytest.approx(np.mean(per_seed))


def test_best_last_and_the_inflation_between(tmp_path: Path) -> None:
    make_run(tmp_path, "a", won=0.5, steps=20, curve={5: 0.3, 10: 0.8, 15: 0.6})
    found = compared(tmp_path, "a", last=3).rows[0].measures
    assert found["best"].value == 0.8 and found["best"].low is None
    assert found["final"].value == pytest.approx((0.8 + 0.6 + 0.5) / 3)
    assert found["inflation"].value == pytest.approx(0.8 - (0.8 + 0.6 + 0.5) / 3)
    per_task = np.mean([outcomes(share, TASKS, key) for share, key in ((0.8, "a 10"), (0.6, "a 15"), (0.5, "a"))], 0)
    assert (found["final"].low, found["final"].high) == pytest.approx(t_interval(list(per_task)))
    assert compared(tmp_path, "a", last=2).rows[0].measures["final"].value == pytest.approx(0.55)
    assert compared(tmp_path, "a", last=1).rows[0].measures["inflation"].value == pytest.approx(0.3)
    make_run(tmp_path, "b", every=0)
    assert not {"best", "final", "inflation"} & compared(tmp_path, "b").rows[0].measures.keys()


def test_time_and_money(tmp_path: Path) -> None:
    make_run(tmp_path, "a", steps=20, every=5)
    found = compared(tmp_path, "a", price=3.6).rows[0].measures
    assert found["seconds"].value == pytest.approx(20 * 3.0)
    assert found["device_hours"].value == pytest.approx((60 + 4 * 3 + 3 * 3) / 3600)
    assert found["cost"].value == pytest.approx(0.081)
    make_run(tmp_path, "b", journal=False)
    row = compared(tmp_path, "b", price=3.6).rows[0]
    assert not {"seconds", "device_hours", "cost"} & row.measures.keys()
    assert [point.step for point in row.curve] == [0, 5, 10, 15, 20]


def test_a_graded_score(tmp_path: Path) -> None:
    scores = [(i % 5) / 4 for i in range(TASKS)]
    make_run(tmp_path, "a", won=[score == 1 for score in scores], scores=scores)
    make_run(tmp_path, "b", won=[score == 1 for score in scores], scores=[score / 2 for score in scores])
    report = compared(tmp_path, "a", "b", metric="score")
    found = report.rows[0].measures["score"]
    assert found.value == pytest.approx(50) and (found.low, found.high) == pytest.approx(
        tuple(100 * end for end in t_interval(scores))
    )
    assert report.pairs[0].measure == "score" and report.pairs[0].difference.estimate == pytest.approx(25)
    assert report.rows[0].by_type["clean"].estimate == pytest.approx(np.mean(scores[0::3]))
    assert {pair.measure for pair in report.pairs if pair.part} == {"score"}


def test_the_fraction_is_undefined_where_skills_do_not_help_the_base(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, f"a{seed}", seed=seed, base=0.5, base_skills=0.5)
    assert "internalised" not in compared(tmp_path, "a0").rows[0].measures
    assert "internalised" not in compared(tmp_path, "a0", "a1", "a2", rows="cell").rows[0].measures


def test_curve_signals_and_turns(tmp_path: Path) -> None:
    for seed, won in enumerate((0.5, 0.7)):
        make_run(tmp_path, f"a{seed}", seed=seed, won=won, steps=20, every=10)
    row = compared(tmp_path, "a0", "a1", rows="cell").rows[0]
    assert [(point.step, point.runs) for point in row.curve] == [(0, 2), (10, 2), (20, 2)]
    assert row.curve[2].rate.estimate == pytest.approx(0.6)
    assert (row.curve[2].rate.low, row.curve[2].rate.high) == pytest.approx((0, 1), abs=1e-9)
    assert row.signals["gate/active"][0] == (1, pytest.approx(0.31))
    assert len(row.signals["gap/mean"]) == 20
    gaps, gates = row.by_turn["gap"], row.by_turn["gate"]
    assert len(gaps) == len(gates) == 4
    steps = [b - a for a, b in pairwise(gaps) if a is not None and b is not None]
    assert steps == pytest.approx([0.01] * 3)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-0.2, 0.9), st.floats(0.3, 0.9)), min_size=2, max_size=8))
def test_fieller_holds_the_ratios_that_a_t_test_cannot_refuse(pairs: list[tuple[float, float]]) -> None:
    gained, offered = [a for a, _ in pairs], [b for _, b in pairs]
    interval = ratio_over_seeds(gained, offered)
    if interval is None:
        assert seed_difference(offered).low <= 0
        return
    assert interval.low - 1e-9 <= interval.estimate <= interval.high + 1e-9
    if np.std(gained) < 0.02 or np.std(offered) < 0.02 or interval.high - interval.low < 1e-6:
        return
    for ratio, inside in ((interval.low, True), (interval.high, True), (interval.high + 1, False)):
        rest = [a - ratio * b for a, b in pairs]
        if np.std(rest) < 0.01:
            continue
        whole = seed_difference(rest)
        slack = 1e-6 if inside else 0.0
        assert (whole.low - slack <= 0 <= whole.high + slack) is inside


def test_fieller_by_hand() -> None:
    """mean 0.5 / mean 0.7 with a constant denominator is the t interval of the numerator over 0.7."""
    interval = ratio_over_seeds([0.4, 0.5, 0.6], [0.7, 0.7, 0.7])
    low, high = t_interval([0.4, 0.5, 0.6])
    assert interval is not None
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.5 / 0.7, low / 0.7, high / 0.7))
    same = ratio_over_seeds([0.5, 0.5], [0.7, 0.7], grid=1 / 40)
    assert same is not None and same.high > same.low and math.isfinite(same.high)
