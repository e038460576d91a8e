"""Guards on made-up histories: when they warn, when they are silent, and that a resumed run warns alike."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from said_lines import Lines

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.recipe import schema
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_cli.training.guards import COLLAPSES, Finding, Guards, Kind
from sdar_cli.training.watch import COLLAPSED, TAG, Watch

WELL = {
    "loss/total": 0.1,
    "optim/rows": 12.0,
    "policy/kl": 0.1,
    "policy/entropy": 1.0,
    "gate/saturated": 0.2,
    "teacher/task_skill_fraction": 1.0,
    "teacher/active": 1.0,
    "rollout/zero_variance_groups": 0.3,
    "rollout/stop/environment_error": 0.0,
}
BAD = {
    "kl": {"policy/kl": 12.5},
    "entropy_low": {"policy/entropy": 3e-5},
    "entropy_high": {"policy/entropy": 9.25},
    "gate_saturated": {"gate/saturated": 0.995},
    "task_skills": {"teacher/task_skill_fraction": 0.5},
    "zero_variance": {"rollout/zero_variance_groups": 0.97},
    "lost_episodes": {"rollout/stop/environment_error": 0.75},
}
SAID = {
    "kl": ("12.5 nats", "guards.kl=10", "policy.kl_coef"),
    "entropy_low": ("3e-05 nats", "guards.entropy=[0.0001, 8]", "policy.entropy_coef"),
    "entropy_high": ("9.25 nats", "guards.entropy=[0.0001, 8]", "optimiser.learning_rate"),
    "gate_saturated": ("99.5%", "guards.saturated_gate=0.99", "gate.beta"),
    "task_skills": ("50.0%", "guards.task_skills=0.9", "skills.retrieval"),
    "zero_variance": ("97.0%", "guards.zero_variance=0.95", "rollout.group"),
    "lost_episodes": ("75.0%", "guards.lost_episodes=0.5", "rollout/lost/*"),
}


def section(**changes: Any) -> schema.Guards:
    return schema.Guards.model_validate(changes)


def evaluation(step: int, solved: int, mode: str = "no_skills", of: int = 4) -> Evaluation:
    records = tuple(
        EpisodeRecord(f"t{i}", "clean", i < solved, 1.0 * (i < solved), 0.0, 1, 1, 1, 0, "success") for i in range(of)
    )
    label = "trained" if step else "base"
    return Evaluation(mode, label, "toy", "p", {}, 0, "hf", records, 0.0, step=step or None)


def fed(guards: Guards, rows: list[dict[str, float]]) -> list[Finding]:
    return [finding for step, row in enumerate(rows, 1) for finding in guards.metrics(step, WELL | row)]


@pytest.mark.parametrize("kind", BAD)
def test_a_measure_warns_once_after_patience_steps(kind: str) -> None:
    found = fed(Guards(section(patience=3)), [BAD[kind]] * 8)
    assert [(finding.kind, finding.step) for finding in found] == [(kind, 3)]
    assert found[0].collapse is (kind in COLLAPSES)
    for words in (*SAID[kind], "for 3 steps in a row"):
        assert words in found[0].sentence
    assert "\n" not in found[0].sentence and found[0].sentence.count(": ") == 1


@pytest.mark.parametrize("kind", BAD)
def test_two_steps_of_three_are_no_streak(kind: str) -> None:
    assert fed(Guards(section(patience=3)), [BAD[kind], BAD[kind], {}] * 5) == []


@pytest.mark.parametrize("kind", BAD)
def test_the_limit_itself(kind: str) -> None:
    """At the limit a KL, an entropy and a share of skills are well; saturation, equal groups and losses are not."""
    limits = {
        "kl": {"policy/kl": 10.0},
        "entropy_low": {"policy/entropy": 1e-4},
        "entropy_high": {"policy/entropy": 8.0},
        "gate_saturated": {"gate/saturated": 0.99},
        "task_skills": {"teacher/task_skill_fraction": 0.9},
        "zero_variance": {"rollout/zero_variance_groups": 0.95},
        "lost_episodes": {"rollout/stop/environment_error": 0.5},
    }
    found = fed(Guards(section(patience=1)), [limits[kind]])
    out_of_range = kind in ("gate_saturated", "zero_variance", "lost_episodes")
    assert [finding.kind for finding in found] == ([kind] if out_of_range else [])


@pytest.mark.parametrize(("kind", "key"), [(kind, words[1].partition("=")[0]) for kind, words in SAID.items()])
def test_null_switches_a_guard_off(kind: str, key: str) -> None:
    off = section(patience=1, **{key.removeprefix("guards."): None})
    assert kind not in {finding.kind for finding in fed(Guards(off), [BAD[kind]] * 3)}


def test_a_figure_that_is_not_finite_is_out_of_range() -> None:
    for value in (math.nan, math.inf):
        (found,) = fed(Guards(section(patience=1)), [{"policy/kl": value}])
        assert found.kind == "kl" and "reference was not finite, above guards.kl=10, at this step" in found.sentence


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4))
def test_streaks_by_a_slow_definition(bad: list[bool], patience: int) -> None:
    """Warn where the last ``patience`` were bad and, since the last warning, as many in a row were well."""
    expected: list[int] = []
    for step in range(1, len(bad) + 1):
        if step < patience or not all(bad[step - patience : step]):
            continue
        since = bad[expected[-1] : step] if expected else None
        if since is None or any(not any(since[i : i + patience]) for i in range(len(since) - patience + 1)):
            expected.append(step)
    found = fed(Guards(section(patience=patience)), [BAD["kl"] if wrong else {} for wrong in bad])
    assert [finding.step for finding in found] == expected


def test_what_has_no_meaning_says_nothing() -> None:
    everything = {name: value for changes in BAD.values() for name, value in changes.items()}
    silent = section(patience=1, kl=None, entropy=None)
    (found,) = fed(Guards(silent), [everything | {"optim/rows": 0.0}] * 3)
    assert found.kind == "lost_episodes", "no rows, nothing else to judge"
    assert fed(Guards(silent, grouped=False), [BAD["zero_variance"]]) == []
    assert fed(Guards(silent, gated=False), [{"gate/saturated": 1.0}]) == []
    assert fed(Guards(silent), [BAD["task_skills"] | {"teacher/active": 0.0}]) == []
    few = Guards(silent).metrics(1, {"loss/total": 0.0, "teacher/task_skill_fraction": 0.0})
    assert few == [], "GRPO has neither gate nor teacher"


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ([], {"gate_saturated", "zero_variance"}),
        (["gate.kind=none"], {"zero_variance"}),
        (["method=opsd"], {"gate_saturated"}),
        (["method=reinforce"], {"gate_saturated"}),
    ],
)
def test_the_method_decides_what_is_watched(changes: list[str], kinds: set[str]) -> None:
    recipe = load_recipe("quickstart", [], [*changes, "guards.patience=1"]).recipe
    found = fed(Guards.of(recipe), [BAD["gate_saturated"] | BAD["zero_variance"]])
    assert {finding.kind for finding in found} == kinds


def test_the_page_states_kinds_keys_and_defaults(repository: Path) -> None:
    page = (repository / "docs" / "guards.md").read_text(encoding="utf-8")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    rows = {row[0].strip("`"): row for row in table if len(row) == 6}
    assert list(rows) == list(get_args(Kind))
    for kind, (_, _, key, default, collapse, _) in rows.items():
        own = getattr(schema.Guards(), key.strip("`").removeprefix("guards."))
        assert own == yaml.safe_load(default.replace("1e-4", "0.0001")), kind
        assert (collapse == "yes") is (kind in COLLAPSES), kind


# -- lost episodes -------------------------------------------------------------------------------------

ALL_LOST = {
    "optim/rows": 0.0,
    "rollout/episodes": 6.0,
    "rollout/stop/environment_error": 1.0,
    "rollout/lost/timed_out": 5.0,
    "rollout/lost/crashed": 1.0,
}


def test_an_environment_that_loses_everything_ends_the_run() -> None:
    guards = Guards(section(patience=3))
    for step, row in enumerate([ALL_LOST, ALL_LOST, {}, ALL_LOST, ALL_LOST], 1):
        guards.metrics(step, WELL | row)
        guards.check_environment(WELL | row)
    guards.metrics(6, WELL | ALL_LOST)
    with pytest.raises(RunFailed) as caught:
        guards.check_environment(WELL | ALL_LOST)
    assert str(caught.value) == (
        "every episode of 3 steps in a row was lost by the environment, the last ones being 6 of 6 episodes (crashed "
        "1, timed out 5): mend what it needs and go on with `sdar resume`, or let guards.lost_episodes=null play on"
    )
    resumed = Guards(section(patience=3))
    resumed.replay([{"step": step} | WELL | ALL_LOST for step in (4, 5)])
    resumed.check_environment(ALL_LOST)
    resumed.metrics(6, WELL | ALL_LOST)
    with pytest.raises(RunFailed, match="3 steps in a row"):
        resumed.check_environment(ALL_LOST)


def test_one_step_may_be_all_the_patience_there_is_and_null_is_for_ever(run: RunFolder) -> None:
    made, tags, _ = watch(run, patience=1)
    with pytest.raises(RunFailed, match=r"^every episode of a step was lost by the environment"):
        made.metrics(1, WELL | ALL_LOST)
    assert f"{TAG}lost_episodes" in tags.now
    made, _, lines = watch(run, patience=1, lost_episodes=None)
    for step in range(10):
        made.metrics(step, WELL | ALL_LOST)
    assert lines.lines == []


# -- success without skills ---------------------------------------------------------------------------


def successes(guards: Guards, *solved: int) -> list[Finding]:
    return [finding for step, n in enumerate(solved) for finding in guards.evaluation(evaluation(10 * step, n))]


def test_zero_success_counts_evaluations_after_one_that_solved_some() -> None:
    (found,) = successes(Guards(section()), 1, 0, 0, 0, 0)
    assert (found.kind, found.step, found.collapse) == ("zero_success", 30, True)
    assert "in 3 evaluations in a row (guards.zero_success=3), after 25.0% by the base: lower" in found.sentence
    (found,) = successes(Guards(section(zero_success=1)), 0, 2, 0)
    assert "in the last evaluation (guards.zero_success=1), after 50.0% at step 10: " in found.sentence


def test_zero_success_is_no_collapse_where_nothing_was_ever_solved() -> None:
    assert successes(Guards(section()), 0, 0, 0, 0, 0, 0) == []
    assert successes(Guards(section()), 1, 0, 0, 1, 0, 0) == []
    assert successes(Guards(section(zero_success=None)), 1, 0, 0, 0) == []


def test_zero_success_warns_again_after_a_recovery() -> None:
    assert [f.step for f in successes(Guards(section(zero_success=2)), 1, 0, 0, 0, 1, 0, 0)] == [20, 60]


def test_an_evaluation_counts_once_and_skills_do_not_count() -> None:
    guards = Guards(section(zero_success=2))
    guards.evaluation(evaluation(0, 1))
    for _ in range(3):
        assert guards.evaluation(evaluation(10, 0)) == []
        assert guards.evaluation(evaluation(11, 0, mode="skills")) == []
    assert [finding.step for finding in guards.evaluation(evaluation(20, 0))] == [20]


# -- resuming -----------------------------------------------------------------------------------------

steps = st.fixed_dictionaries(
    {},
    optional={
        "policy/kl": st.sampled_from([0.1, 20.0, math.inf, math.nan]),
        "policy/entropy": st.sampled_from([1e-7, 1.0, 1 / 3 + 8]),
        "gate/saturated": st.sampled_from([0.1, 0.9999]),
        "teacher/task_skill_fraction": st.sampled_from([0.123456789, 1.0]),
        "rollout/zero_variance_groups": st.sampled_from([0.0, 1.0]),
        "rollout/stop/environment_error": st.sampled_from([0.0, 0.5, 1.0]),
        SUCCESS: st.sampled_from([0.0, 0.25]),
    },
)


def play(journal: Journal, guards: Guards, history: list[dict[str, float]], first: int, last: int) -> None:
    """Steps as a run plays them: evaluation, then metrics, each written down before the guards see it."""
    for step in range(first, last + 1):
        row = dict(history[step - 1])
        success = row.pop(SUCCESS, None)
        if success is not None:
            measured = evaluation(step, int(4 * success))
            journal.append(step, measured.metrics())
            guards.evaluation(measured)
        journal.append(step, WELL | row)
        guards.metrics(step, WELL | row)


kills = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), min_size=1, max_size=3)
"""Steps played before each kill, and steps since the last checkpoint, which are lost."""


@given(st.lists(steps, min_size=6, max_size=12), kills)
def test_a_killed_and_resumed_run_finds_what_the_undisturbed_one_finds(
    history: list[dict[str, float]], kills: list[tuple[int, int]]
) -> None:
    limits = section(patience=2, zero_success=2)
    with tempfile.TemporaryDirectory() as folder:
        quiet = Guards(limits)
        quiet.evaluation(evaluation(0, 1))
        play(Journal(Path(folder) / "quiet.jsonl"), quiet, history, 1, len(history))

        journal, done = Journal(Path(folder) / "killed.jsonl"), 0
        journal.append(0, evaluation(0, 1).metrics())
        for played, lost in [*kills, (len(history), 0)]:
            journal.rewind(done)
            guards = Guards(limits)
            guards.evaluation(evaluation(0, 1))
            guards.replay(journal.read())
            end = min(len(history), done + played)
            play(journal, guards, history, done + 1, end)
            done = max(done, end - lost)
    assert [asdict(f) for f in guards.findings] == [asdict(f) for f in quiet.findings]


# -- telling ------------------------------------------------------------------------------------------


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
