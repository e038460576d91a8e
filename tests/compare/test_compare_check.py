"""What may not be compared, and how a comparison that was forced is marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from compare_runs import SAMPLING, make_run

from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Options
from sdar_cli.compare.render.csv import measures, pairs
from sdar_cli.compare.render.latex import latex
from sdar_cli.compare.render.markdown import markdown
from sdar_cli.compare.render.terminal import render
from sdar_cli.compare.render.write import write
from sdar_cli.errors import PanelError
from sdar_cli.evaluation.table_parts import plain

DIFFERENT: list[tuple[dict[str, Any], str]] = [
    ({"panel": "12" * 32}, "panel is abababababab in a and 121212121212 in b"),
    ({"split": "valid"}, "split is test in a and valid in b"),
    ({"sampling": SAMPLING | {"temperature": 1.0}}, "sampling.temperature is 0.4 in a and 1.0 in b"),
    ({"sampling": SAMPLING | {"top_k": 5}}, "sampling.top_k is 0 in a and 5 in b"),
    ({"sampling": SAMPLING | {"max_turns": 30}}, "sampling.max_turns is 10 in a and 30 in b"),
    ({"sampling": SAMPLING | {"retrieval": "full"}}, "sampling.retrieval is null in a and full in b"),
    ({"bank_digest": "99" * 32}, "bank is cdcdcdcdcdcd in a and 999999999999 in b"),
    ({"options": {"admissible": True}}, "options.admissible is false in a and true in b"),
    ({"facts": {"products": "300"}}, "facts.products is 1000 in a and 300 in b"),
    ({"seed": 7}, "evaluation.panel_seed is 0 in a and 7 in b"),
    ({"environment": "webshop"}, "environment is household in a and webshop in b"),
]
KNOWN: dict[str, Any] = {"options": {"admissible": False}, "facts": {"products": "1000"}}


def two(root: Path, changes: dict[str, Any], **more: Any) -> list[Any]:
    make_run(root, "a", won=0.8, conditions=KNOWN)
    make_run(root, "b", won=0.5, method="grpo", conditions=KNOWN | changes, **more)
    return by_reference(["a", "b"], root)


@pytest.mark.parametrize(("changes", "sentence"), DIFFERENT, ids=lambda value: str(value)[:30])
def test_each_difference_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    entries = two(tmp_path, changes)
    with pytest.raises(PanelError) as caught:
        build(entries, Options())
    message = str(caught.value)
    assert sentence in message and "--force" in message and "\n" not in message
    assert sentence in build(entries, Options(force=True)).forced


def test_other_tasks_under_one_panel_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match="tasks is 40 tasks in a and 30 tasks in b"):
        build(two(tmp_path, {}, tasks=30), Options())


def test_what_is_not_said_does_not_differ(tmp_path: Path) -> None:
    make_run(tmp_path, "a", conditions=KNOWN)
    make_run(tmp_path, "b")
    assert build(by_reference(["a", "b"], tmp_path), Options()).forced == ()


def test_a_first_run_that_says_nothing_hides_no_difference_of_the_others(tmp_path: Path) -> None:
    make_run(tmp_path, "old")
    make_run(tmp_path, "b", conditions=KNOWN)
    make_run(tmp_path, "c", conditions=KNOWN | {"facts": {"products": "300"}})
    with pytest.raises(PanelError, match=r"conditions \(facts\.products is 1000 in b and 300 in c\): "):
        build(by_reference(["old", "b", "c"], tmp_path), Options())


def test_a_base_measured_otherwise_is_refused_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, "a")
    file = run.path / "evaluations" / "base-skills.json"
    content = json.loads(file.read_text())
    content["sampling"]["temperature"] = 0.7
    file.write_text(json.dumps(content))
    with pytest.raises(PanelError, match=r"sampling\.temperature is 0\.4 in a and 0\.7 in a \(base-skills\)"):
        build(by_reference(["a"], tmp_path), Options())


def test_several_runs_and_differences_are_counted(tmp_path: Path) -> None:
    for i in range(6):
        changes = {"seed": 7, "split": "valid"} if i > 1 else {}
        make_run(tmp_path, f"r{i}", conditions=changes)
    with pytest.raises(PanelError, match=r"split is test in r0, r1 and valid in r2, r3, r4 and 1 more; and 1 more\)"):
        build(by_reference([f"r{i}" for i in range(6)], tmp_path), Options())


def test_every_output_of_a_forced_comparison_is_marked(tmp_path: Path) -> None:
    import csv

    report = build(two(tmp_path, {"sampling": SAMPLING | {"temperature": 1.0}}), Options(force=True))
    phrase = "sampling.temperature is 0.4 in a and 1.0 in b"
    assert report.forced == (phrase,)
    text = plain(lambda console: render(report, console))
    assert text.startswith("FORCED comparison") and phrase in " ".join(text.split())
    assert markdown(report).startswith("# a and b (FORCED)\n\n> **FORCED")
    for table in (measures(report), pairs(report)):
        lines = list(csv.DictReader(table.splitlines()))
        assert lines and all(line["forced"] == phrase for line in lines)
    tex = latex(report)
    captions = [line for line in tex.splitlines() if r"\caption" in line]
    assert captions and all("FORCED" in line for line in captions)
    assert report.to_json()["forced"] == (phrase,)
    (page,) = write(report, tmp_path / "page.html", {})
    assert phrase in page.read_text()


def test_forced_runs_of_one_panel_stay_paired(tmp_path: Path) -> None:
    report = build(two(tmp_path, {"sampling": SAMPLING | {"temperature": 1.0}}), Options(force=True))
    assert report.pairs[0].test == "exact McNemar"


def test_forced_runs_of_other_tasks_are_not_paired(tmp_path: Path) -> None:
    from scipy.stats import fisher_exact
    from statsmodels.stats.proportion import confint_proportions_2indep

    report = build(two(tmp_path, {"panel": "12" * 32}, tasks=30), Options(force=True))
    pair = report.pairs[0]
    assert pair.test == "Fisher's exact, unpaired" and pair.about == "checkpoints" and pair.count == 30
    low, high = confint_proportions_2indep(32, 40, 15, 30, method="newcomb")
    assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
    assert pair.p_value == pytest.approx(fisher_exact([[32, 8], [15, 15]]).pvalue)
    assert pair.needed is not None and pair.needed > 2
