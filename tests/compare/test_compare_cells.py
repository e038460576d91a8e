"""Which runs make a row, what the row is called, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compare_runs import make_run, make_study

from sdar_cli.compare.build import build
from sdar_cli.compare.cells import UNREAD, cell_key
from sdar_cli.compare.find import by_reference, of_group, of_study
from sdar_cli.compare.options import Options
from sdar_cli.compare.report import Report
from sdar_cli.errors import RecipeError, RunError, StudyError


def compared(root: Path, names: list[str], **options: Any) -> Report:
    return build(by_reference(names, root), Options(**options))


@pytest.mark.parametrize(
    ("settings", "equal"),
    [
        ({"tracking.group": "g", "tracking.note": "n", "tracking.traces": 0}, True),
        ({"evaluation.transcripts": 3}, True),
        ({"guards.stop_on_collapse": True, "guards.kl": 3.0}, True),
        ({"engine.threads": 1}, True),
        ({"description": "other", "name": "other"}, True),
        ({"gate.beta": 7.0}, False),
        ({"evaluation.every": 3}, False),
        ({"optimiser.learning_rate": 0.5}, False),
        ({"engine.max_batch": 3}, False),
    ],
)
def test_what_makes_a_cell(tmp_path: Path, settings: dict[str, Any], equal: bool) -> None:
    make_run(tmp_path, "a", seed=0)
    make_run(tmp_path, "b", seed=1, settings=settings)
    a, b = by_reference(["a", "b"], tmp_path)
    assert (cell_key(a) == cell_key(b)) is equal
    assert len(compared(tmp_path, ["a", "b"], rows="cell").rows) == (1 if equal else 2)


def test_a_row_a_run_has_its_name_and_what_differs(tmp_path: Path) -> None:
    make_run(tmp_path, "a", settings={"gate.temperature": 0.2, "distill.coef": 0.1})
    make_run(tmp_path, "b", seed=3, method="grpo")
    rows = compared(tmp_path, ["a", "b"]).rows
    assert [row.label for row in rows] == ["a", "b"]
    assert rows[0].settings["distill.coef"] == 0.1 and rows[0].settings["method"] == "sdar"
    assert rows[1].settings["distill.coef"] == UNREAD and rows[1].settings["seed"] == 3


def test_labels_say_only_what_differs_as_it_was_typed(tmp_path: Path) -> None:
    for temperature in (1.0, 0.2, 0.1):
        make_run(tmp_path, f"t{temperature}", settings={"gate.temperature": temperature})
    names = ["t1.0", "t0.2", "t0.1"]
    report = compared(tmp_path, names, rows="cell")
    assert [row.label for row in report.rows] == ["gate.temperature=0.1", "gate.temperature=0.2", "gate.temperature=1"]
    assert report.by == ("gate.temperature",)
    report = compared(tmp_path, names, rows=("gate.beta",))
    assert [row.label for row in report.rows] == ["gate.beta=1", "gate.beta=5", "gate.beta=10"]


def test_cells_that_differ_in_nothing_shown_are_told_apart(tmp_path: Path) -> None:
    make_run(tmp_path, "a", method="sdar", seed=0)
    make_run(tmp_path, "b", method="sdar", seed=1)
    assert [row.label for row in compared(tmp_path, ["a", "b"], rows="cell").rows] == ["quickstart"]


def test_two_runs_of_one_cell_and_seed_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "b")
    assert len(compared(tmp_path, ["a", "b"]).rows) == 2
    with pytest.raises(RunError, match=r"the runs a and b have the same settings and the same seed 0.*sdar runs rm"):
        compared(tmp_path, ["a", "b"], rows=("method",))


def test_keys_that_do_not_exist(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    with pytest.raises(RecipeError, match=r"there is no key 'gate.tempratur': did you mean 'gate.temperature'\?"):
        compared(tmp_path, ["a"], rows=("gate.tempratur",))
    with pytest.raises(RecipeError, match="--by seed would leave nothing to take a mean over"):
        compared(tmp_path, ["a"], rows=("seed",))


def test_a_key_that_only_some_runs_have(tmp_path: Path) -> None:
    make_run(tmp_path, "a", settings={"environment.options.rulebook": 4})
    make_run(tmp_path, "b")
    report = compared(tmp_path, ["a", "b"], rows=("environment.options.rulebook",), force=True)
    assert len(report.rows) == 2


def study(root: Path) -> list[dict[str, Any]]:
    cells = [(method, beta) for method in ("sdar", "grpo_opsd") for beta in (0.2, 1)]
    for index, (method, temperature) in enumerate(cells):
        for seed in range(2):
            settings = {"gate.temperature": temperature} if method == "sdar" else {"distill.coef": temperature}
            won = 0.4 + 0.1 * index + 0.05 * seed
            make_run(root, f"st-c{index:03d}-s{seed}", seed=seed, method=method, won=won, settings=settings, every=0)
    return [{"key": "method", "choices": ["sdar", "grpo_opsd"]}, {"key": "gate.temperature", "choices": [1, 0.2]}]


def test_a_study_has_a_row_a_cell_in_the_order_typed(tmp_path: Path) -> None:
    axes = study(tmp_path)[1:]
    make_study(tmp_path, "st", axes, 2, (0, 1, 2))
    found, entries = of_study("st", tmp_path)
    entries = [entry for entry in entries if entry.method == "sdar"]
    report = build(entries, Options(rows="cell", study=found))
    assert [row.label for row in report.rows] == ["gate.temperature=1", "gate.temperature=0.2"]
    assert report.study == "st" and report.title == "Study st" and report.by == ("gate.temperature",)
    (response,) = report.responses
    assert (response.key, response.numeric, response.log) == ("gate.temperature", True, False)
    assert [(point.x, point.seeds) for point in response.points] == [(1, (0.5, 0.55)), (0.2, (0.4, 0.45))]
    assert all(point.row == "" for point in response.points)


def test_a_study_of_two_axes_and_what_is_missing(tmp_path: Path) -> None:
    make_study(tmp_path, "st", study(tmp_path), 4, (0, 1, 2))
    found, entries = of_study(str(tmp_path / "studies" / "st"), tmp_path / "elsewhere")
    assert found.missing == 4 and len(entries) == 8
    report = build(entries, Options(rows=("method",), study=found))
    assert [row.label for row in report.rows] == ["sdar", "grpo_opsd"]
    assert "Of the study st, 4 runs were not started." in report.notes
    by_key = {response.key: response for response in report.responses}
    assert not by_key["method"].numeric
    assert {(point.x, point.row) for point in by_key["gate.temperature"].points} == {(1, "sdar"), (0.2, "sdar")}


def test_studies_that_cannot_be_compared(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "curve", [{"key": "gate.beta", "low": 0.1, "high": 9.0, "log": True}], 2, (0,))
    with pytest.raises(StudyError, match=r"the study curve has no run in .* yet"):
        of_study("curve", tmp_path)
    with pytest.raises(StudyError, match=r"there is no study 'curv' .*did you mean 'curve'\?"):
        of_study("curv", tmp_path)
    (folder / "study.json").write_text('{"format": 1, "created": 1, "storage": null, "spec": {"axes": 3}}')
    with pytest.raises(StudyError, match="is damaged"):
        of_study("curve", tmp_path)


def test_a_log_axis_is_known_by_the_study_or_by_its_values(tmp_path: Path) -> None:
    for index, beta in enumerate((0.1, 1.0, 10.0)):
        make_run(tmp_path, f"r-c{index:03d}-s0", settings={"gate.beta": beta, "tracking.group": "g"}, every=0)
    make_study(tmp_path, "r", [{"key": "gate.beta", "low": 0.1, "high": 10.0, "log": True}], 3, (0,))
    found, entries = of_study("r", tmp_path)
    assert build(entries, Options(rows="cell", study=found)).responses[0].log
    assert build(of_group("g", tmp_path), Options(rows=("gate.beta",))).responses[0].log


def test_a_group(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path, f"g{seed}", seed=seed, settings={"tracking.group": "lambdas"})
        make_run(tmp_path, f"h{seed}", seed=seed, settings={"tracking.group": "lambdas", "distill.coef": 0.5})
    make_run(tmp_path, "other")
    report = build(of_group("lambdas", tmp_path), Options(rows="cell"))
    assert [row.label for row in report.rows] == ["distill.coef=0.5", "distill.coef=1"]
    assert [row.seeds for row in report.rows] == [(0, 1), (0, 1)]
    with pytest.raises(RunError, match=r"no run in .* is of the group 'lambda': did you mean 'lambdas'\?"):
        of_group("lambda", tmp_path)
    with pytest.raises(RunError, match=r"give runs one with tracking\.group=NAME"):
        of_group("quite another", tmp_path)
