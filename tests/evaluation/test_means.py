"""Means over task types: the interval against theory and simulation, in files, metrics, and both reports."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RunError
from sdar_cli.evaluation.evaluator import Evaluator
from sdar_cli.evaluation.means import mean_difference, mean_of_strata, stated, type_mean
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.evaluation.table_parts import plain
from sdar_cli.evaluation.tables import print_evaluation
from sdar_cli.models.tiny import build_tokenizer
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.policies import Generation
from sdar_cli.statistics import Interval, paired_difference, wilson
from sdar_cli.workshop import Workshop
from sdar_envs.alfworld.world import TASK_TYPES
from sdar_envs.household.environment import Household

MEANS = {"mean of two": ("clean", "heat"), "clean alone": ("clean",), "with what was not played": ("clean", "cool")}
N = 40
BASE = [i % 8 == 0 for i in range(N)]
SKILLED = [i % 4 < 3 for i in range(N)]
TRAINED = [i % 2 == 0 or i % 5 == 0 for i in range(N)]

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.fixture
def report(make_evaluation) -> InternalisationReport:
    cells = (("no_skills", "base", BASE), ("skills", "base", SKILLED))
    cells += (("no_skills", "trained", TRAINED), ("skills", "trained", SKILLED))
    return InternalisationReport.build(*(make_evaluation(*cell, means=MEANS) for cell in cells))


def split(won: list[bool]) -> tuple[list[bool], list[bool]]:
    """Outcomes of clean and heat, as the fixture deals them."""
    return won[::2], won[1::2]


def test_the_interval_is_zou_huang_and_zhangs() -> None:
    """L = Σpᵢ/k − √Σ(pᵢ − lᵢ)²/k with Wilson's lᵢ, and U alike, worked out by hand for 3 of 4 and 1 of 10."""
    ours = mean_of_strata([wilson(3, 4), wilson(1, 10)])
    low, high = (0.300642, 0.954413), (0.017876, 0.404150)
    assert ours.estimate == pytest.approx(0.425)
    assert ours.low == pytest.approx(0.425 - math.sqrt((0.75 - low[0]) ** 2 + (0.1 - high[0]) ** 2) / 2, abs=1e-5)
    assert ours.high == pytest.approx(0.425 + math.sqrt((low[1] - 0.75) ** 2 + (high[1] - 0.1) ** 2) / 2, abs=1e-5)


@given(st.lists(counts, min_size=1, max_size=8), st.floats(0.5, 0.99))
def test_a_mean_of_shares_is_a_share_and_holds_its_estimate(cells: list[tuple[int, int]], level: float) -> None:
    parts = [wilson(k, n, level) for k, n in cells]
    ours = mean_of_strata(parts)
    slack = 1e-12
    assert -slack <= ours.low <= ours.estimate <= ours.high <= 1 + slack
    assert ours.estimate == pytest.approx(np.mean([k / n for k, n in cells]))
    assert mean_of_strata(parts[::-1]).low == pytest.approx(ours.low)
    assert ours.low >= np.mean([part.low for part in parts]) - slack
    assert ours.high <= np.mean([part.high for part in parts]) + slack


def test_one_type_has_its_own_interval_and_none_is_no_mean() -> None:
    assert mean_of_strata([wilson(3, 7)]) == wilson(3, 7)
    with pytest.raises(ValueError, match="no mean"):
        mean_of_strata([])
    with pytest.raises(ValueError, match="no mean"):
        mean_of_strata([wilson(1, 2), wilson(1, 2, 0.9)])


@pytest.mark.parametrize(
    "truth",
    [
        ((0.1, 18), (0.3, 18), (0.5, 18), (0.2, 18), (0.4, 18), (0.6, 18), (0.3, 18)),
        ((0.02, 60), (0.95, 30), (0.5, 12)),
    ],
)
def test_coverage_is_near_nominal(truth: tuple[tuple[float, int], ...]) -> None:
    """2,000 simulated panels: between 93 and 98 % of the intervals hold the true mean."""
    generator = np.random.default_rng(0)
    drawn = np.stack([generator.binomial(n, p, size=2000) for p, n in truth], axis=1)
    mean = np.mean([p for p, _ in truth])
    held = [mean in mean_of_strata([wilson(int(k), n) for k, (_, n) in zip(row, truth, strict=True)]) for row in drawn]
    assert 0.93 <= np.mean(held) <= 0.98


def test_only_means_whose_types_were_all_played_are_stated(make_evaluation) -> None:
    evaluation = make_evaluation("no_skills", "base", TRAINED, means=MEANS)
    clean, heat = split(TRAINED)
    assert evaluation.summary.means == {
        "mean of two": mean_of_strata([wilson(sum(clean), 20), wilson(sum(heat), 20)]),
        "clean alone": wilson(sum(clean), 20),
    }
    assert stated({"of nothing": ()}, {"clean": wilson(1, 2)}) == {}


def test_each_type_counts_once_however_many_tasks_it_has(make_evaluation) -> None:
    evaluation = make_evaluation("no_skills", "base", [True] * 3, means=MEANS)  # clean 2 of 2, heat 1 of 1
    lost = make_evaluation("no_skills", "base", [True, False, True], means=MEANS)
    assert evaluation.summary.means["mean of two"].estimate == 1.0
    assert lost.summary.means["mean of two"].estimate == 0.5 != lost.summary.success.estimate


def test_metrics_name_each_mean_with_its_interval(make_evaluation) -> None:
    evaluation = make_evaluation("skills", "base", TRAINED, means=MEANS)
    metrics, mean = evaluation.metrics(), evaluation.summary.means["mean of two"]
    assert metrics["eval/skills/mean/mean of two"] == mean.estimate
    assert metrics["eval/skills/mean_low/mean of two"] == mean.low
    assert metrics["eval/skills/mean_high/mean of two"] == mean.high
    assert not any("not played" in name for name in metrics)


def test_a_file_keeps_the_means_and_one_of_before_has_none(make_evaluation, tmp_path: Path) -> None:
    evaluation = make_evaluation("skills", "base", TRAINED, means=MEANS)
    evaluation.save(tmp_path / "new.json")
    assert Evaluation.load(tmp_path / "new.json") == evaluation
    content = make_evaluation("skills", "base", TRAINED).to_json()
    del content["means"], content["summary"]["means"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = Evaluation.load(tmp_path / "old.json")
    assert old.means == {} == old.summary.means
    assert old.records == evaluation.records


@pytest.mark.parametrize("means", [["clean"], {"mean": "clean"}, {"mean": [1]}, None, {"mean": None}])
def test_means_that_are_none_are_refused(make_evaluation, means: object) -> None:
    content = make_evaluation("skills", "base", TRAINED).to_json() | {"means": means}
    with pytest.raises(RunError, match="its means are no lists of task types"):
        Evaluation.from_json(content)


def test_a_changed_mean_is_noticed(make_evaluation) -> None:
    content = json.loads(json.dumps(make_evaluation("skills", "base", TRAINED, means=MEANS).to_json()))
    content["means"]["clean alone"] = ["heat"]
    with pytest.raises(RunError, match="was edited"):
        Evaluation.from_json(content)


def test_the_difference_of_means_is_paired_within_types(make_evaluation) -> None:
    first = make_evaluation("no_skills", "trained", TRAINED, means=MEANS)
    second = make_evaluation("no_skills", "base", BASE, means=MEANS)
    parts = [paired_difference(a, b) for a, b in zip(split(TRAINED), split(BASE), strict=True)]
    difference = mean_difference(first, second, ("clean", "heat"))
    assert difference == mean_of_strata(parts)
    means = [type_mean(evaluation, ("clean", "heat")).estimate for evaluation in (first, second)]
    assert difference.estimate == pytest.approx(means[0] - means[1])


def test_the_report_has_the_means_of_all_cells(report: InternalisationReport) -> None:
    cells = report.means["mean of two"]
    assert [label for label, *_ in cells.rows] == ["base", "trained"]
    assert cells.rows[1][1] == report.trained_without.summary.means["mean of two"]
    assert cells.gain is not None and cells.gain.estimate == pytest.approx(
        cells.rows[1][1].estimate - cells.rows[0][1].estimate
    )
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert list(content["means"]) == ["mean of two", "clean alone"]
    assert content["means"]["mean of two"]["cells"][0]["skills"] == cells.rows[0][2].to_json()
    assert content["means"]["mean of two"]["gain"] == cells.gain.to_json()


def test_a_base_that_was_measured_before_there_were_means_has_them_in_the_report(make_evaluation) -> None:
    report = InternalisationReport.build(
        make_evaluation("no_skills", "base", BASE),
        make_evaluation("skills", "base", SKILLED),
        make_evaluation("no_skills", "trained", TRAINED, means=MEANS),
        make_evaluation("skills", "trained", SKILLED, means=MEANS),
    )
    clean, heat = split(BASE)
    assert report.means["mean of two"].rows[0][1] == mean_of_strata([wilson(sum(clean), 20), wilson(sum(heat), 20)])


def test_the_report_reads_at_80_columns(report: InternalisationReport) -> None:
    text = report.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "Success, mean of two" in text and "Success, clean alone" in text and "not played" not in text
    without = report.means["mean of two"].rows[1][1]
    assert f"{100 * without.estimate:.1f} % [{100 * without.low:.1f}–{100 * without.high:.1f}]" in text
    assert "Score" not in text


def test_an_environment_without_means_shows_none(make_evaluation) -> None:
    cells = [make_evaluation(mode, "model", TRAINED) for mode in ("no_skills", "skills")]
    report = InternalisationReport.build(None, None, *cells)
    assert report.means == {} and report.to_json()["means"] == {}
    assert "Success, " not in report.text()


def test_one_evaluation_and_its_gain_show_the_means(make_evaluation) -> None:
    evaluation = make_evaluation("no_skills", "trained", TRAINED, means=MEANS)
    words = " ".join(plain(lambda console: print_evaluation(evaluation, console)).split())
    mean = evaluation.summary.means["mean of two"]
    assert f"mean of two 40 {100 * mean.estimate:.1f} % [" in words
    single = SingleReport(evaluation, make_evaluation("no_skills", "base", BASE))
    base, gain = single.further["mean of two"]
    assert gain == mean_difference(evaluation, make_evaluation("no_skills", "base", BASE), ("clean", "heat"))
    shown = plain(single.render)
    assert f"mean of two: base {100 * base.estimate:.1f} % [" in shown and max(map(len, shown.splitlines())) <= 80
    assert single.to_json()["further"]["clean alone"]["gain"]["level"] == 0.95
    assert SingleReport(evaluation).further == {}


def test_an_evaluation_takes_the_means_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Household, "means", MappingProxyType({"mean of all": tuple(TASK_TYPES), "of none": ("cool",)}))
    overrides = ["evaluation.tasks=12", "rollout.max_turns=1"]

    class Mute:
        def generate(self, prompts: list[list[int]]) -> list[Generation]:
            return [Generation([tokenizer.eos_token_id]) for _ in prompts]

    with Workshop.open(load_recipe("quickstart", [], overrides).recipe) as workshop:
        tokenizer = build_tokenizer(workshop.environment.vocabulary())
        evaluator = Evaluator(workshop, workshop.panel())
        evaluation, _ = evaluator.play(Mute(), tokenizer, {tokenizer.eos_token_id}, "no_skills", label="base")
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation
    assert evaluation.metrics()["eval/no_skills/mean/mean of all"] == 0.0
    assert list(evaluation.summary.means) == ["mean of all"]


def test_an_interval_is_plain_data() -> None:
    assert mean_of_strata([wilson(1, 2)]) == Interval(**wilson(1, 2).to_json())
