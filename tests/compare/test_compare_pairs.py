"""Which test, and its numbers, against scipy and statsmodels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from compare_runs import TASKS, make_run, outcomes, over_seeds, rounded_variance

from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Options
from sdar_cli.compare.report import Pair, Report
from sdar_cli.errors import UserError
from sdar_cli.statistics import cohens_h, episodes_needed, paired_difference, seeds_needed


def compared(root: Path, names: Sequence[str], **options: object) -> Report:
    return build(by_reference(names, root), Options(**options))  # type: ignore[arg-type]


def whole(report: Report, measure: str = "success") -> list[Pair]:
    return [pair for pair in report.pairs if pair.part is None and pair.measure == measure]


def seeds(root: Path, method: str, shares: dict[int, float], **settings: object) -> list[str]:
    names = []
    for seed, won in shares.items():
        names.append(f"{method}{seed}")
        make_run(root, names[-1], seed=seed, method=method, won=won, **settings)  # type: ignore[arg-type]
    return names


def test_one_seed_each_is_about_checkpoints(tmp_path: Path) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    make_run(tmp_path, "a", won=0.8)
    make_run(tmp_path, "b", method="grpo", won=0.5)
    report = compared(tmp_path, ["a", "b"])
    (pair,) = whole(report)
    a, b = np.array(outcomes(0.8, TASKS, "a")), np.array(outcomes(0.5, TASKS, "b"))
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert pair.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert pair.difference == paired_difference(list(a), list(b)) and pair.difference.estimate == pytest.approx(0.3)
    assert (pair.test, pair.about, pair.count) == ("exact McNemar", "checkpoints", TASKS)
    assert pair.effect == pytest.approx(cohens_h(0.8, 0.5)) and pair.effect_name == "Cohen's h"
    assert pair.needed == episodes_needed(list(a), list(b)) and pair.improvement is None
    assert "This is about these two checkpoints, not the methods: one seed each." in report.notes


def test_shared_seeds_are_paired(tmp_path: Path) -> None:
    first, second = {0: 0.6, 1: 0.7, 2: 0.85, 3: 0.6}, {0: 0.5, 1: 0.65, 2: 0.6, 3: 0.65}
    names = seeds(tmp_path, "sdar", first) + seeds(tmp_path, "grpo", second)
    report = compared(tmp_path, names, rows=("method",))
    (pair,) = whole(report)
    differences = [a - b for a, b in zip(first.values(), second.values(), strict=True)]
    assert (pair.difference.low, pair.difference.high, pair.p_value) == pytest.approx(over_seeds(differences))
    assert (pair.test, pair.about, pair.count) == ("paired t over seeds", "methods", 4)
    assert pair.effect == pytest.approx(np.mean(differences) / np.std(differences, ddof=1))
    assert pair.needed == seeds_needed(differences, grid=1 / TASKS)
    exceed = [(a > b) + (a == b) / 2 for a in first.values() for b in second.values()]
    assert pair.improvement == pytest.approx(np.mean(exceed))
    assert not [note for note in report.notes if "checkpoints" in note]


def test_only_shared_seeds_count_and_a_note_says_so(tmp_path: Path) -> None:
    names = seeds(tmp_path, "sdar", {0: 0.6, 1: 0.7, 2: 0.8}) + seeds(tmp_path, "grpo", {1: 0.5, 2: 0.55, 9: 0.1})
    report = compared(tmp_path, names, rows=("method",))
    (pair,) = whole(report)
    assert pair.count == 2 and pair.difference.estimate == pytest.approx((0.2 + 0.25) / 2)
    assert "sdar − grpo: by seeds 1, 2 alone, of seeds 0, 1, 2 and seeds 1, 2, 9." in report.notes


def test_seeds_that_are_not_shared_are_not_paired(tmp_path: Path) -> None:
    from scipy import stats
    from statsmodels.stats.power import TTestIndPower

    first, second = {0: 0.6, 1: 0.7, 2: 0.8}, {3: 0.4, 4: 0.55, 5: 0.5}
    names = seeds(tmp_path, "sdar", first) + seeds(tmp_path, "grpo", second)
    report = compared(tmp_path, names, rows=("method",))
    (pair,) = whole(report)
    groups = [list(first.values()), list(second.values())]
    difference = float(np.mean(groups[0]) - np.mean(groups[1]))
    summary = [(np.mean(group), np.sqrt(rounded_variance(group)), len(group)) for group in groups]
    test = stats.ttest_ind_from_stats(*summary[0], *summary[1], equal_var=False)
    assert pair.p_value == pytest.approx(test.pvalue) and pair.about == "methods"
    errors = [rounded_variance(group) / 3 for group in groups]
    freedom = sum(errors) ** 2 / sum(error**2 / 2 for error in errors)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(errors))
    assert (pair.difference.low, pair.difference.high) == pytest.approx((difference - half, difference + half))
    assert pair.test == "unpaired t over seeds" and pair.effect_name == "Cohen's d"
    assert pair.effect == pytest.approx(difference / np.sqrt(np.mean([np.var(group, ddof=1) for group in groups])))
    effect = difference / np.sqrt(np.mean([rounded_variance(group) for group in groups]))
    exact = next(n for n in range(2, 99) if TTestIndPower().power(effect, n, 0.05) >= 0.8)
    assert pair.needed in (exact, exact + 1)
    assert [note for note in report.notes if "fewer than two seeds are shared" in note]


def test_one_seed_against_several_falls_back_on_checkpoints(tmp_path: Path) -> None:
    names = seeds(tmp_path, "sdar", {0: 0.6, 1: 0.7, 2: 0.8}) + seeds(tmp_path, "grpo", {2: 0.5})
    report = compared(tmp_path, names, rows=("method",))
    (pair,) = whole(report)
    assert pair.about == "checkpoints" and pair.difference.estimate == pytest.approx(0.3)
    assert "sdar − grpo: by seed 2 alone, of seeds 0, 1, 2 and seed 2." in report.notes


def test_two_seeds_that_agree_by_rounding_have_an_interval(tmp_path: Path) -> None:
    names = seeds(tmp_path, "sdar", {0: 0.6, 1: 0.7}) + seeds(tmp_path, "grpo", {0: 0.5, 1: 0.6})
    (pair,) = whole(compared(tmp_path, names, rows=("method",)))
    assert (pair.difference.low, pair.difference.high, pair.p_value) == pytest.approx(over_seeds([0.1, 0.1]))
    assert pair.difference.high - pair.difference.low > 0.02 and 0 < pair.p_value < 1
    names = seeds(tmp_path, "rlsd", {0: 0.625, 1: 0.725}, with_skills=0.5)
    (near,) = whole(compared(tmp_path, [*names, "sdar0", "sdar1"], rows=("method",)))
    assert near.p_value > 0.05 and near.needed is not None and near.needed > 2


def test_holm_over_pairs_and_over_types(tmp_path: Path) -> None:
    from statsmodels.stats.multitest import multipletests

    for name, won in (("a", 0.9), ("b", 0.6), ("c", 0.3)):
        make_run(tmp_path, name, won=won, with_skills=won)
    report = compared(tmp_path, ["a", "b", "c"])
    for chosen in (
        [pair for pair in report.pairs if pair.part is None and pair.measure == "success"],
        [pair for pair in report.pairs if pair.part is None and pair.measure == "success_skills"],
        [pair for pair in report.pairs if pair.part is not None],
    ):
        expected = multipletests([pair.p_value for pair in chosen], method="holm")[1]
        assert [pair.p_adjusted for pair in chosen] == pytest.approx(list(expected))
    assert len([pair for pair in report.pairs if pair.part]) == 9
    heat = next(pair for pair in report.pairs if pair.part == "heat" and (pair.first, pair.second) == ("a", "c"))
    a, c = outcomes(0.9, TASKS, "a")[1::3], outcomes(0.3, TASKS, "c")[1::3]
    assert heat.difference == paired_difference(a, c) and heat.count == len(a)


def test_which_rows_are_paired(tmp_path: Path) -> None:
    names = [f"r{i}" for i in range(7)]
    for i, name in enumerate(names):
        make_run(tmp_path, name, won=0.3 + i / 20, every=0)
    six = whole(compared(tmp_path, names[:6]))
    assert len(six) == 15 and (six[0].first, six[0].second) == ("r0", "r1")
    assert [(pair.first, pair.second) for pair in whole(compared(tmp_path, names))] == [
        (f"r{i}", "r0") for i in range(1, 7)
    ]
    against = whole(compared(tmp_path, names[:3], baseline="r1"))
    assert [(pair.first, pair.second) for pair in against] == [("r0", "r1"), ("r2", "r1")]
    with pytest.raises(UserError, match="--baseline 'r9' names no single row: choose from r0; r1; r2"):
        compared(tmp_path, names[:3], baseline="r9")


@pytest.mark.parametrize("baseline", ["sdar, gate.beta=2", "2", "sdar-2"])
def test_a_baseline_by_label_value_or_run(tmp_path: Path, baseline: str) -> None:
    for beta in (1, 2, 4):
        make_run(tmp_path, f"sdar-{beta}", settings={"gate.beta": float(beta)})
    make_run(tmp_path, "grpo", method="grpo")
    names = ["sdar-1", "sdar-2", "sdar-4", "grpo"]
    report = compared(tmp_path, names, rows=("method", "gate.beta"), baseline=baseline)
    assert [row.label for row in report.rows] == ["sdar, gate.beta=1", "sdar, gate.beta=2", "sdar, gate.beta=4", "grpo"]
    assert {pair.second for pair in report.pairs} == {"sdar, gate.beta=2"}


def test_a_row_that_pools_settings_is_a_mean_by_seed(tmp_path: Path) -> None:
    for beta, lift in ((1.0, 0.0), (2.0, 0.1)):
        for seed, won in enumerate((0.5, 0.6, 0.75)):
            make_run(tmp_path, f"s{beta:.0f}{seed}", seed=seed, won=won + lift, settings={"gate.beta": beta})
    names = seeds(tmp_path, "grpo", {0: 0.4, 1: 0.5, 2: 0.5})
    names = [*names, *(f"s{beta}{seed}" for beta in (1, 2) for seed in range(3))]
    report = compared(tmp_path, names, rows=("method",))
    row = next(row for row in report.rows if row.label == "sdar")
    assert row.measures["success"].value == pytest.approx(np.mean([0.55, 0.65, 0.8]))
    assert row.measures["success"].count == 6 and row.seeds == (0, 1, 2)
    assert "A seed's value is the mean over its runs, which differ in gate.beta." in report.notes
    assert "Not every seed of every row has the same number of runs: the rows are not balanced." in report.notes
    (pair,) = whole(report)
    assert pair.count == 3 and pair.difference.estimate == pytest.approx(
        np.mean([0.4, 0.5, 0.5]) - np.mean([0.55, 0.65, 0.8])
    )


def test_one_seed_of_pooled_settings_is_tested_over_tasks(tmp_path: Path) -> None:
    from scipy import stats

    for beta in (1.0, 2.0):
        make_run(tmp_path, f"s{beta:.0f}", won=0.7, settings={"gate.beta": beta})
    make_run(tmp_path, "g", method="grpo", won=0.4)
    (pair,) = whole(compared(tmp_path, ["s1", "s2", "g"], rows=("method",)))
    means = np.mean([outcomes(0.7, TASKS, "s1"), outcomes(0.7, TASKS, "s2")], axis=0)
    test = stats.ttest_rel(means, np.array(outcomes(0.4, TASKS, "g"), dtype=float))
    assert pair.p_value == pytest.approx(test.pvalue) and pair.test == "paired t over tasks"
    assert pair.about == "checkpoints"
