"""Native scores: shown where they say more than success, with t intervals over tasks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.scores import graded, mean_score, score_difference
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.evaluation.table_parts import plain
from sdar_cli.evaluation.tables import print_evaluation

N = 48
shares = st.floats(0, 1)


@pytest.fixture
def scored(make_evaluation):
    """``scored(mode, label, scores)``: won where the score is 1, as WebShop has it."""

    def make(mode: str, label: str, scores: list[float]) -> Evaluation:
        evaluation = make_evaluation(mode, label, [score == 1 for score in scores])
        records = (replace(record, score=score) for record, score in zip(evaluation.records, scores, strict=True))
        return replace(evaluation, records=tuple(records))

    return make


BASE = [(0.0, 0.25, 0.5)[i % 3] for i in range(N)]
SKILLED = [(1.0, 0.75, 0.5)[i % 3] for i in range(N)]
TRAINED = [(1.0, 0.5, 2 / 3)[i % 3] for i in range(N)]


@pytest.fixture
def report(scored) -> InternalisationReport:
    return InternalisationReport.build(
        scored("no_skills", "base", BASE),
        scored("skills", "base", SKILLED),
        scored("no_skills", "trained", TRAINED),
        scored("skills", "trained", SKILLED),
    )


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=60), st.floats(0.5, 0.99))
def test_intervals_are_students_within_the_range(pairs: list[tuple[float, float]], level: float) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    mean, difference = mean_score(first, level), score_difference(first, second, level)
    assert 0 <= mean.low <= mean.high <= 1 and -1 <= difference.low <= difference.high <= 1
    swapped = score_difference(second, first, level)
    assert (difference.low, difference.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-9)
    deltas = np.subtract(first, second)
    if deltas.std() > 1e-6:
        low, high = stats.ttest_1samp(deltas, 0).confidence_interval(level)
        assert (difference.low, difference.high) == pytest.approx((max(low, -1), min(high, 1)), abs=1e-6)


def test_a_single_task_leaves_the_range_open() -> None:
    assert (mean_score([0.4]).low, mean_score([0.4]).high) == (0.0, 1.0)
    assert (score_difference([0.4], [0.1]).low, score_difference([0.4], [0.1]).high) == (-1.0, 1.0)
    with pytest.raises(ValueError):
        score_difference([0.1, 0.2], [0.1])


def test_a_score_is_shown_where_it_differs_from_success(scored, make_evaluation) -> None:
    assert graded(scored("skills", "base", [0.5, 1.0, 0.0]).records)
    assert not graded(scored("skills", "base", [1.0, 0.0]).records)
    unscored = [replace(record, score=0.0) for record in make_evaluation("skills", "base", [True, False]).records]
    assert not graded(unscored), "an environment that gives no score"
    assert not graded([])


def test_the_report_has_the_score_beside_success(report: InternalisationReport) -> None:
    cells = report.score
    assert cells is not None and cells.gain is not None
    assert cells.rows[0][1].estimate == pytest.approx(0.25)
    assert cells.gain == score_difference(TRAINED, BASE)
    assert cells.gaps[1] == score_difference(SKILLED, TRAINED)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["native_score"]["gain"] == cells.gain.to_json()
    assert content["cells"][0]["no_skills"]["score"] == pytest.approx(25.0)
    text = report.text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.index("Internalisation") < text.index("Score (× 100)") < text.index("Internalised fraction")
    assert "25.0 [19.0–31.0]" in text and "+47.2 [" in text


def test_one_graded_cell_is_enough(scored) -> None:
    base = scored("no_skills", "base", [0.0] * N), scored("skills", "base", SKILLED)
    trained = scored("no_skills", "trained", [0.0] * N), scored("skills", "trained", [1.0] * N)
    report = InternalisationReport.build(*base, *trained)
    assert report.score is not None and report.score.rows[0][1].estimate == 0.0
    cells = trained[0], replace(trained[1], mode="skills")
    assert InternalisationReport.build(None, None, *cells).score is None


def test_one_evaluation_and_its_gain_show_the_score(scored) -> None:
    evaluation = scored("no_skills", "trained", TRAINED)
    words = " ".join(plain(lambda console: print_evaluation(evaluation, console)).split())
    assert "score 72.2 [66" in words
    single = SingleReport(evaluation, scored("no_skills", "base", BASE))
    text = plain(single.render)
    assert "score: base 25.0 [19.0–31.0], gain +47.2 [" in text
    assert single.to_json()["further"]["score"]["base"]["estimate"] == pytest.approx(0.25)
    plain_success = SingleReport(scored("skills", "a", [1.0, 0.0]), scored("skills", "base", [0.0, 0.0]))
    assert plain_success.further == {}
