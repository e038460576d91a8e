"""What guards find is said, tagged and kept; a collapse, or an environment that is gone, ends the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from guard_rows import ALL_LOST, BAD, WELL, evaluation
from said_lines import Lines

from sdar_cli.errors import RunFailed
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_cli.training.watch import COLLAPSED, TAG, Watch


class Tags:
    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.set: list[str] = []

    def tag(self, key: str, value: str) -> None:
        self.now[key] = value
        self.set.append(key)

    def untag(self, key: str) -> None:
        self.now.pop(key, None)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    changes = ["guards.patience=2", "guards.stop_on_collapse=true"]
    return RunFolder.create(tmp_path / "runs", load_recipe("quickstart", [], changes), "watched")


def watch(run: RunFolder, **changes: Any) -> tuple[Watch, Tags, Lines]:
    recipe = load_recipe("quickstart", [], ["guards.patience=2", "guards.stop_on_collapse=true"]).recipe
    recipe = recipe.model_copy(update={"guards": recipe.guards.model_copy(update=changes)})
    tags, lines = Tags(), Lines()
    return Watch(recipe, run, tags, lines), tags, lines


def test_a_finding_is_said_tagged_and_kept(run: RunFolder) -> None:
    made, tags, lines = watch(run)
    ended: list[bool] = []
    made.on_end = lambda: ended.append(True)
    for step in (1, 2, 3):
        made.metrics(step, WELL | BAD["zero_variance"] | (BAD["kl"] if step > 1 else {}))
    assert [line.partition(": the KL")[0].partition(": 97")[0] for line in lines.lines] == [
        "warning: step 2",
        "warning: step 3",
    ]
    assert tags.now[f"{TAG}zero_variance"] == lines.lines[0].removeprefix("warning: ")
    assert tags.now[f"{TAG}kl"] == tags.now[COLLAPSED] == lines.lines[1].removeprefix("warning: ")
    assert ended == [True]
    assert tuple(run.state.warnings) == made.findings
    kept = json.loads((run.path / "run.json").read_text())["warnings"]
    assert [(entry["kind"], entry["step"], entry["collapse"]) for entry in kept] == [
        ("zero_variance", 2, False),
        ("kl", 3, True),
    ]


def test_without_stop_on_collapse_nothing_ends(run: RunFolder) -> None:
    made, tags, _ = watch(run, stop_on_collapse=False)
    made.on_end = lambda: pytest.fail("a warning ended the run")
    for step in (1, 2):
        made.metrics(step, WELL | BAD["kl"])
    assert made.findings[0].collapse and made.ended is None
    assert set(tags.now) == {f"{TAG}kl"}


def test_where_every_episode_is_lost_whoever_trains_is_told_so(run: RunFolder) -> None:
    """It saves the step first; the error is raised where nobody does."""
    made, _, _ = watch(run)
    ended: list[RunFailed] = []
    made.on_failure = ended.append
    for step in (1, 2):
        made.metrics(step, WELL | ALL_LOST)
    assert [str(error).partition(",")[0] for error in ended] == [
        "every episode of 2 steps in a row was lost by the environment"
    ]
    alone, _, _ = watch(run)
    with pytest.raises(RunFailed, match="every episode of 2 steps"):
        for step in (1, 2):
            alone.metrics(step, WELL | ALL_LOST)


def test_catching_up_keeps_what_was_said_and_takes_back_what_is_played_again(run: RunFolder) -> None:
    """Killed after step 4 with a checkpoint of step 3: step 2's warning stands, step 4's is void."""
    base, journal = evaluation(0, 1), Journal(run.path / "metrics.jsonl")
    first, before, _ = watch(run)
    journal.append(0, base.metrics())
    first.evaluation(base, [])
    for step in (1, 2, 3, 4):
        row = WELL | BAD["zero_variance"] | (BAD["kl"] if step > 2 else {})
        journal.append(step, row)
        first.metrics(step, row)
    assert [finding.kind for finding in run.state.warnings] == ["zero_variance", "kl"] and COLLAPSED in before.now
    journal.rewind(3)
    again, tags, lines = watch(run)
    tags.now = dict(before.now)
    again.catch_up(base, journal)
    assert lines.lines == [] and again.ended is None
    assert [finding.kind for finding in run.state.warnings] == ["zero_variance"]
    assert set(tags.now) == {f"{TAG}zero_variance"}
    again.metrics(4, WELL | BAD["zero_variance"] | BAD["kl"])
    assert again.findings == first.findings and tags.now == before.now
    assert [line[:16] for line in lines.lines] == ["warning: step 4:"]


def test_a_collapse_before_the_checkpoint_still_ends_the_run(run: RunFolder) -> None:
    base, journal = evaluation(0, 1), Journal(run.path / "metrics.jsonl")
    for step in (1, 2):
        journal.append(step, WELL | BAD["entropy_low"])
    journal.rewind(2)
    made, tags, lines = watch(run)
    made.catch_up(base, journal)
    assert made.ended is not None and made.ended.step == 2
    assert lines.lines == [] and tags.now[COLLAPSED].startswith("step 2: the policy's entropy was 3e-05")
    assert made.ended.ending.startswith("the training collapsed at step 2, as the policy's entropy was 3e-05")


def test_one_step_may_be_all_the_patience_there_is_and_null_is_for_ever(run: RunFolder) -> None:
    made, tags, _ = watch(run, patience=1)
    with pytest.raises(RunFailed, match=r"^every episode of a step was lost by the environment"):
        made.metrics(1, WELL | ALL_LOST)
    assert f"{TAG}lost_episodes" in tags.now
    made, _, lines = watch(run, patience=1, lost_episodes=None)
    for step in range(10):
        made.metrics(step, WELL | ALL_LOST)
    assert lines.lines == []
