"""Options and facts of the environment in an evaluation: kept, stated, and equal where two are paired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import PanelError, RunError
from sdar_cli.evaluation.conditions import differing, in_words
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.evaluation.table_parts import plain

OPTIONS = {"brief": True}
FACTS = {"products": "1,181,436", "store": "0123456789abcdef", "title_matcher": "en_core_web_sm"}
WON = [i % 2 == 0 for i in range(20)]


def cells(make_evaluation, **base_without: object) -> list[Evaluation]:
    """Four of one environment, but for what the base without skills is given."""
    known = {"options": OPTIONS, "facts": FACTS}
    return [
        make_evaluation("no_skills", "base", WON, **(known | base_without)),
        *(make_evaluation(*cell, WON, **known) for cell in [("skills", "base"), ("no_skills", "trained")]),
        make_evaluation("skills", "trained", WON, **known),
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"options": {"brief": False}}, r"differ \(brief: False and True\): evaluate both with the same brief$"),
        ({"facts": FACTS | {"store": "fedcba"}}, r"\(store: fedcba and 0123456789abcdef\).* the same store$"),
        (
            {"facts": {"products": "5", "store": "fedcba", "title_matcher": "words"}},
            r"\(products: 5 and 1,181,436\): evaluate both with the same products, store, title_matcher$",
        ),
    ],
)
def test_other_environments_are_not_paired(make_evaluation, changes: dict, sentence: str) -> None:
    with pytest.raises(PanelError, match=sentence) as error:
        InternalisationReport.build(*cells(make_evaluation, **changes))
    assert str(error.value).startswith("base-no_skills and trained-step-60-no_skills were played in environments that")
    assert "\n" not in str(error.value)


def test_what_one_of_two_does_not_say_is_unknown(make_evaluation) -> None:
    """A base measured before there were options and facts goes with a checkpoint that was measured after."""
    InternalisationReport.build(*cells(make_evaluation))
    InternalisationReport.build(*cells(make_evaluation, options={}, facts={}))
    InternalisationReport.build(*cells(make_evaluation, facts={"store": FACTS["store"], "new": "fact"}))
    assert differing({"a": 1, "b": 2, "c": 3}, {"b": 2, "a": 2, "d": 4}) == ["a"]


def test_a_file_keeps_both_and_one_of_before_has_none(make_evaluation, tmp_path: Path) -> None:
    evaluation = make_evaluation("skills", "base", WON, options=OPTIONS, facts=FACTS)
    evaluation.save(tmp_path / "new.json")
    assert Evaluation.load(tmp_path / "new.json") == evaluation
    content = json.loads((tmp_path / "new.json").read_text())
    del content["options"], content["facts"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = Evaluation.load(tmp_path / "old.json")
    assert (old.options, old.facts, old.records) == ({}, {}, evaluation.records)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"options": ["brief"]}, "its options are no mapping"),
        ({"options": None}, "its options are no mapping"),
        ({"facts": {"products": 3}}, "its facts are no texts by name"),
        ({"facts": "words"}, "its facts are no texts by name"),
        ({"facts": None}, "its facts are no texts by name"),
    ],
)
def test_what_is_neither_is_refused(make_evaluation, changes: dict, says: str) -> None:
    with pytest.raises(RunError, match=says):
        Evaluation.from_json(make_evaluation("skills", "base", WON).to_json() | changes)


def test_facts_stand_below_the_tables_at_80_columns(make_evaluation) -> None:
    report = InternalisationReport.build(*cells(make_evaluation))
    single = SingleReport(report.trained_without, report.base_without)
    for text in (report.text(), plain(single.render)):
        assert max(map(len, text.splitlines())) <= 80
        assert f"toy: {in_words(FACTS)}." in " ".join(text.split())
    assert in_words(FACTS) == "products 1,181,436, store 0123456789abcdef, title matcher en_core_web_sm"
    for content in (report.to_json(), single.to_json()):
        assert (content["options"], content["facts"]) == (OPTIONS, FACTS)


def test_an_environment_without_facts_has_no_line(make_evaluation) -> None:
    evaluations = [make_evaluation(mode, "model", WON) for mode in ("no_skills", "skills")]
    report = InternalisationReport.build(None, None, *evaluations)
    for text in (report.text(), plain(SingleReport(evaluations[0]).render)):
        assert "toy: " not in text
    assert report.to_json()["facts"] == {} == SingleReport(evaluations[0]).to_json()["facts"]
