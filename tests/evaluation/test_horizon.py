"""Success by the turns that the expert needs: slices, records, files of before, the report's table and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import EnvironmentSetupError, RunError
from sdar_cli.evaluation import evaluate
from sdar_cli.evaluation.evaluator import Evaluator
from sdar_cli.evaluation.horizon import SLICES, expert_turns, slice_of
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.evaluation.single import SingleReport
from sdar_cli.evaluation.table_parts import plain
from sdar_cli.evaluation.tables import print_evaluation
from sdar_cli.statistics import paired_difference, wilson
from sdar_envs.base import Task
from sdar_envs.household.environment import Household, HouseholdOptions

N = 60
EXPERT = [(3, 5, 6, 10, 11, 40)[i % 6] for i in range(N)]
"""Two tasks in six for each slice."""
BASE = [i % 12 == 0 for i in range(N)]
SKILLED = [i % 6 < 5 for i in range(N)]
TRAINED = [i % 6 < 3 for i in range(N)]
MIXED = [None if i < 6 else turns for i, turns in enumerate(EXPERT)]
TASK = Task("t", "clean")


@pytest.fixture
def report(make_evaluation) -> InternalisationReport:
    return InternalisationReport.build(
        make_evaluation("no_skills", "base", BASE, expert=EXPERT),
        make_evaluation("skills", "base", SKILLED, expert=EXPERT),
        make_evaluation("no_skills", "trained", TRAINED, expert=EXPERT),
        make_evaluation("skills", "trained", SKILLED, expert=EXPERT),
    )


@pytest.mark.parametrize(
    ("turns", "name"),
    [(0, "turns_le_5"), (5, "turns_le_5"), (6, "turns_6_10"), (10, "turns_6_10"), (11, "turns_gt_10")],
)
def test_a_slice_ends_where_its_name_says(turns: int, name: str) -> None:
    assert slice_of(turns).name == name


def test_the_experts_turns_are_counted_or_unknown_or_an_error() -> None:
    class Sums:
        name = "sums"

        def __init__(self, answer: object) -> None:
            self.answer = answer

        def expert(self, task: Task) -> object:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    assert expert_turns(Sums(["look", "go"]), TASK) == 2
    assert expert_turns(Sums(()), TASK) == 0
    assert expert_turns(Sums(None), TASK) is None
    with pytest.raises(EnvironmentSetupError, match=r"'sums' failed on task t .KeyError: 'mug'.: mend its expert"):
        expert_turns(Sums(KeyError("mug")), TASK)
    with pytest.raises(EnvironmentSetupError, match=r"^fetch the games$"):
        expert_turns(Sums(EnvironmentSetupError("fetch the games")), TASK)


def test_an_evaluator_asks_once_for_each_task() -> None:
    asked: list[str] = []

    class Counting(Household):
        def expert(self, task: Task) -> list[str]:
            asked.append(task.id)
            return super().expert(task)

    world = Counting()
    tasks = world.tasks("test")[:12]
    evaluator = Evaluator(SimpleNamespace(environment=world), Panel.make(world, "test", 12, 0))
    turns = [evaluator.expert_turns(task) for _ in range(4) for task in tasks]
    assert turns == 4 * [5 if task.task_type == "pick_two_obj_and_place" else 3 for task in tasks]
    assert asked == [task.id for task in tasks]


def test_household_reaches_every_slice() -> None:
    def slices(**options: object) -> set[str]:
        world = Household(HouseholdOptions(**options))
        return {slice_of(len(world.expert(task))).name for task in world.tasks("test")}

    assert slices() == {"turns_le_5"}
    assert slices(errands=2) == {"turns_6_10"}
    assert slices(errands=3) == {"turns_6_10", "turns_gt_10"}
    assert slices(errands=4) == {"turns_gt_10"}
    assert slices(walk=True) == {"turns_le_5", "turns_6_10"}
    assert slices(walk=True, errands=2) == {"turns_6_10", "turns_gt_10"}


def test_a_summary_has_wilsons_interval_of_each_slice(make_evaluation) -> None:
    evaluation = make_evaluation("skills", "trained", TRAINED, expert=MIXED)
    summary = evaluation.summary
    own = {one.name: [w for w, t in zip(TRAINED, MIXED, strict=True) if t and slice_of(t) is one] for one in SLICES}
    assert summary.by_horizon == {name: wilson(sum(won), len(won)) for name, won in own.items()}
    assert summary.episodes_by_horizon == {"turns_le_5": 18, "turns_6_10": 18, "turns_gt_10": 18}
    metrics = evaluation.metrics()
    assert metrics["eval/skills/success/turns_le_5"] == 1.0
    assert metrics["eval/skills/success/turns_6_10"] == 0.5
    assert metrics["eval/skills/success/turns_gt_10"] == 0.0
    assert metrics["eval/skills/episodes"] == N and metrics["eval/skills/episodes/turns_6_10"] == 18


def test_without_an_expert_there_are_no_slices(make_evaluation) -> None:
    evaluation = make_evaluation("skills", "trained", TRAINED)
    assert evaluation.summary.by_horizon == {} == evaluation.summary.episodes_by_horizon
    assert not [name for name in evaluation.metrics() if "turns_" in name]


def test_a_file_of_before_there_were_horizons_still_loads(make_evaluation, tmp_path: Path) -> None:
    evaluation = make_evaluation("skills", "trained", TRAINED)
    content = json.loads(json.dumps(evaluation.to_json()))
    for record in content["records"]:
        del record["expert_turns"]
    for name in ("by_horizon", "episodes_by_horizon"):
        del content["summary"][name]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    assert Evaluation.load(path) == evaluation
    content["summary"]["solved"] += 1
    with pytest.raises(RunError, match="was edited"):
        Evaluation.from_json(content)


@pytest.mark.parametrize("edit", ["moved", "removed", "emptied", "invented", "unreadable"])
def test_an_edited_horizon_is_refused(make_evaluation, edit: str) -> None:
    content = json.loads(json.dumps(make_evaluation("skills", "trained", TRAINED, expert=EXPERT).to_json()))
    assert Evaluation.from_json(content).records[2].expert_turns == 6
    sentence = "was edited"
    if edit == "moved":
        content["records"][2]["expert_turns"] = 11
    elif edit == "removed":
        del content["summary"]["by_horizon"]
    elif edit == "emptied":
        content["summary"]["episodes_by_horizon"] = {}
    elif edit == "invented":
        content["records"] = [record | {"expert_turns": None} for record in content["records"]]
    else:
        content["records"][2]["expert_turns"], sentence = "six", "malformed"
    with pytest.raises(RunError, match=sentence):
        Evaluation.from_json(content)


def test_the_report_pairs_within_each_slice(report: InternalisationReport) -> None:
    slices = report.by_horizon
    assert [(one.slice.name, one.tasks) for one in slices] == [(one.name, 20) for one in SLICES]
    for one in slices:
        chosen = [i for i in range(N) if slice_of(EXPERT[i]) is one.slice]
        base, trained, skilled = ([won[i] for i in chosen] for won in (BASE, TRAINED, SKILLED))
        assert one.cells == (
            ("base", wilson(sum(base), 20), wilson(sum(skilled), 20)),
            ("trained", wilson(sum(trained), 20), wilson(sum(skilled), 20)),
        )
        assert one.gain == paired_difference(trained, base)
        assert one.gain_with == paired_difference(skilled, skilled)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))["by_horizon"]
    assert [entry["slice"] for entry in content] == ["turns_le_5", "turns_6_10", "turns_gt_10"]
    assert content[0]["cells"][1]["no_skills"] == wilson(20, 20).to_json()
    assert content[0]["gain"] == slices[0].gain.to_json()


@given(st.lists(st.tuples(st.none() | st.integers(0, 60), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_slices_share_out_the_tasks_that_have_an_expert(
    make_evaluation, tasks: list[tuple[int | None, bool, bool]]
) -> None:
    expert, first, second = zip(*tasks, strict=True)
    without = make_evaluation("no_skills", "trained", first, expert=expert)
    with_skills = make_evaluation("skills", "trained", second, expert=expert)
    slices = InternalisationReport.build(None, None, without, with_skills).by_horizon
    assert sum(one.tasks for one in slices) == sum(turns is not None for turns in expert)
    for column, won in ((1, first), (2, second)):
        solved = sum(w for w, turns in zip(won, expert, strict=True) if turns is not None)
        assert sum(round(one.cells[0][column].estimate * one.tasks) for one in slices) == solved
    assert all(one.gain is None and one.tasks > 0 for one in slices)


def test_its_table_reads_at_80_columns(report: InternalisationReport) -> None:
    text = report.text()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    table = text[text.index("Success by the turns that the expert needs") :]
    rows = [line.split() for line in table.splitlines() if line.strip().startswith(("≤", "6", ">"))]
    assert [row[:3] for row in rows] == [["≤", "5", "20"], ["6–10", "20", "0.0"], [">", "10", "20"]]
    assert rows[0][3:7] == ["25.0", "100.0", "100.0", "100.0"] and rows[0][7].startswith("+75.0")
    assert "are in no row" not in text


def test_one_slice_alone_is_no_table_and_tasks_without_expert_are_told(make_evaluation) -> None:
    def text(expert: list[int | None]) -> str:
        cells = [make_evaluation(mode, "model", TRAINED, expert=expert) for mode in ("no_skills", "skills")]
        return InternalisationReport.build(None, None, *cells).text()

    assert "expert" not in text([3] * N)
    mixed = text(MIXED)
    assert "6 tasks, which have no expert, are in no row." in mixed
    assert "gain" not in mixed[mixed.index("Success by the turns") :]


def test_cells_of_before_take_the_turns_from_the_newer_ones(make_evaluation) -> None:
    old = [make_evaluation(mode, "base", BASE) for mode in ("no_skills", "skills")]
    new = [make_evaluation(mode, "trained", TRAINED, expert=EXPERT) for mode in ("no_skills", "skills")]
    slices = InternalisationReport.build(*old, *new).by_horizon
    assert [one.tasks for one in slices] == [20, 20, 20]
    assert slices[0].gain is not None and slices[0].gain.estimate == 0.75


def test_one_evaluation_lists_its_slices(make_evaluation) -> None:
    evaluation = make_evaluation("no_skills", "trained", TRAINED, expert=EXPERT)
    text = plain(lambda console: print_evaluation(evaluation, console))
    assert max(map(len, text.splitlines())) <= 80
    assert "expert turns 6–10 20 50.0 %" in " ".join(text.split())
    assert SingleReport(evaluation).to_json()["evaluation"]["episodes_by_horizon"]["turns_6_10"] == 20


@pytest.mark.parametrize("named", [None, "panel.json"])
def test_other_tasks_are_drawn_where_the_environment_was_changed(tmp_path: Path, named: str | None) -> None:
    recipe = SimpleNamespace(evaluation=SimpleNamespace(panel=named))
    run = SimpleNamespace(panel_file=tmp_path / "panel.json", recipe=lambda: recipe)

    def chosen(environment: Household) -> Panel:
        panel = Panel.make(environment, "test", 6, 0)
        return evaluate._panel(SimpleNamespace(environment=environment, recipe=recipe, panel=lambda: panel), run)

    short, longer = Household(), Household(HouseholdOptions(errands=2))
    own = Panel.make(short, "test", 4, 1)
    own.save(run.panel_file)
    assert chosen(short) == own
    # A panel that was named is not swapped behind its owner's back: playing it says what does not fit.
    assert chosen(longer) == (own if named else Panel.make(longer, "test", 6, 0))
