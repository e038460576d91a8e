"""The internalisation report: its numbers, its refusals, and how it reads at 80 columns."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from sdar_cli.errors import PanelError
from sdar_cli.evaluation.report import Comparison, InternalisationReport, points
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.table_parts import plain
from sdar_cli.evaluation.tables import print_evaluation
from sdar_cli.statistics import internalised_fraction, mcnemar, paired_difference, wilson
from sdar_envs.alfworld.world import TASK_TYPES

BASE = [i % 8 == 0 for i in range(64)]
SKILLED = [i != 5 for i in range(64)]
TRAINED = [i % 8 < 5 for i in range(64)]


@pytest.fixture
def report(make_evaluation) -> InternalisationReport:
    return InternalisationReport.build(
        make_evaluation("no_skills", "base", BASE),
        make_evaluation("skills", "base", SKILLED, prompt=160),
        make_evaluation("no_skills", "trained", TRAINED),
        make_evaluation("skills", "trained", SKILLED, prompt=160),
    )


def test_its_numbers_are_those_of_the_statistics(report: InternalisationReport) -> None:
    assert report.gain is not None and report.base_gap is not None
    assert report.gap.difference == paired_difference(SKILLED, TRAINED)
    assert report.gain.difference == paired_difference(TRAINED, BASE)
    assert report.gain.p_value == mcnemar(TRAINED, BASE)
    assert report.base_gap.difference.estimate == pytest.approx((63 - 8) / 64)
    assert report.internalised == internalised_fraction(TRAINED, BASE, SKILLED)
    assert report.internalised.estimate == pytest.approx((40 - 8) / (63 - 8))
    assert report.tokens_saved == {"per_turn": 60, "per_episode": 240, "share_per_turn": 60 / 160}
    assert report.why_undefined is None


def test_the_json_holds_the_four_cells(report: InternalisationReport) -> None:
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    cells = content["cells"]
    assert [cell["label"] for cell in cells] == ["base", "trained"]
    assert cells[1]["no_skills"]["success"] == wilson(40, 64).to_json()
    assert cells[0]["skills"]["solved"] == 63
    assert content["panel"] == "ab" * 32
    assert content["bank"] == {"name": "toy-bank", "digest": "cd" * 8}
    assert content["internalised_fraction"]["estimate"] == pytest.approx(32 / 55)


def test_it_reads_at_80_columns_without_colour(report: InternalisationReport) -> None:
    text = report.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text and "…" not in text
    for expected in (
        "12.5 % [6.5–22.8]",
        "62.5 % [50.3–73.3]",
        "+50.0 [",
        "Internalised fraction  58 % [",
        "60 a turn (38 %), 240 an episode",
        "toy-bank cdcdcdcdcdcd",
        "panel abababababab",
        "McNemar p < 0.001",
    ):
        assert expected in text, text
    types = next(line for line in text.splitlines() if line.strip().startswith("clean"))
    assert types.split()[:2] == ["clean", "32"]


def test_long_names_and_markup_survive_80_columns(make_evaluation) -> None:
    label = "organisation/a-model-with-a-long-name[bold]-7B-instruct"
    cells = [make_evaluation(mode, label, TRAINED) for mode in ("no_skills", "skills")]
    text = InternalisationReport.build(None, None, *cells).text()
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]" in "".join(text.split()), "a label is text, not markup"


def test_a_bare_model_gets_two_cells(make_evaluation) -> None:
    cells = [make_evaluation(mode, "model", TRAINED) for mode in ("no_skills", "skills")]
    report = InternalisationReport.build(None, None, *cells)
    assert report.gain is None and report.internalised is None and report.base_gap is None
    content = report.to_json()
    assert len(content["cells"]) == 1 and content["gain"] is None
    assert content["internalised_fraction_undefined"] == "no base was evaluated"
    assert "Internalised fraction" not in report.text()


def test_a_base_that_gains_nothing_leaves_the_fraction_undefined(make_evaluation) -> None:
    report = InternalisationReport.build(
        make_evaluation("no_skills", "base", BASE),
        make_evaluation("skills", "base", BASE),
        make_evaluation("no_skills", "trained", TRAINED),
        make_evaluation("skills", "trained", TRAINED),
    )
    assert report.internalised is None
    assert "undefined, as the base's own gain from skills is not clearly above 0" in " ".join(report.text().split())
    assert report.gap.episodes_needed is None
    assert report.to_json()["internalised_fraction"] is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"panel": "ef" * 32}, "scored on different panels"),
        ({"environment": "other"}, "scored on different panels"),
        (
            {"sampling": {"temperature": 1.0, "max_turns": 10}},
            "sampled differently .temperature: 1.0 and 0.4.",
        ),
        ({"sampling": {"temperature": 0.4}}, "one setting of max_turns"),
    ],
)
def test_what_does_not_belong_together_is_refused(make_evaluation, changes: dict, sentence: str) -> None:
    cells = [
        make_evaluation("no_skills", "base", BASE, **changes),
        make_evaluation("skills", "base", SKILLED),
        make_evaluation("no_skills", "trained", TRAINED),
        make_evaluation("skills", "trained", SKILLED),
    ]
    with pytest.raises(PanelError, match=sentence) as error:
        InternalisationReport.build(*cells)
    assert "\n" not in str(error.value)


def test_other_tasks_half_a_base_and_two_banks_are_refused(make_evaluation) -> None:
    trained = [
        make_evaluation("no_skills", "trained", TRAINED),
        make_evaluation("skills", "trained", SKILLED),
    ]
    base = make_evaluation("no_skills", "base", BASE)
    with pytest.raises(PanelError, match="do not list the same tasks"):
        InternalisationReport.build(None, None, make_evaluation("no_skills", "trained", TRAINED[:-1]), trained[1])
    with pytest.raises(PanelError, match="has mode skills, where no_skills was needed"):
        InternalisationReport.build(None, None, *reversed(trained))
    with pytest.raises(PanelError, match="one mode only"):
        InternalisationReport.build(base, None, *trained)
    with pytest.raises(PanelError, match="different skill banks"):
        other = make_evaluation("skills", "base", SKILLED, bank_digest="00" * 8)
        InternalisationReport.build(base, other, *trained)


def test_one_evaluation_reads_at_80_columns(make_evaluation) -> None:
    evaluation = make_evaluation("no_skills", "trained", TRAINED)
    text = plain(lambda console: print_evaluation(evaluation, console))
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    assert "trained, without skills" in words and "all 64 62.5 % [50.3–73.3]" in words
    assert "ended by: max_turns 24, success 40" in words and "25.0 % invalid actions" in words


def test_alfworlds_six_types_are_stated_each_at_80_columns(make_evaluation) -> None:
    def typed(mode: str, label: str, won: list[bool]) -> Evaluation:
        made = make_evaluation(mode, label, won)
        records = (replace(one, task_type=TASK_TYPES[i % 6]) for i, one in enumerate(made.records))
        return replace(made, records=tuple(records))

    single = typed("no_skills", "trained", TRAINED)
    report = InternalisationReport.build(
        typed("no_skills", "base", BASE), typed("skills", "base", SKILLED), single, typed("skills", "trained", SKILLED)
    )
    for text in (report.text(), plain(lambda console: print_evaluation(single, console))):
        assert max(map(len, text.splitlines())) <= 80
        for task_type in TASK_TYPES:
            (line,) = [line for line in text.splitlines() if line.strip().startswith(task_type)]
            assert line.split()[1] == str(single.summary.episodes_by_type[task_type])
            assert f"{100 * single.summary.by_type[task_type].estimate:.1f}" in line


def test_points_are_signed_and_zero_is_plain() -> None:
    assert [points(x) for x in (0.125, -0.031, 0.0, -0.0, 0.0004)] == ["+12.5", "−3.1", "0.0", "0.0", "0.0"]


def test_a_comparison_of_equals_needs_no_number_of_tasks(make_evaluation) -> None:
    same = make_evaluation("skills", "base", BASE)
    comparison = Comparison.of(same, same)
    assert (comparison.p_value, comparison.episodes_needed, comparison.difference.estimate) == (
        1.0,
        None,
        0.0,
    )


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, sdar_cli.evaluation.panel, sdar_cli.evaluation.report, sdar_cli.evaluation.result\n"
        "heavy = {'torch', 'scipy', 'pandas', 'mlflow', 'rich', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
