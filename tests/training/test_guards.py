"""Guards on made-up histories: when they warn, and when they are silent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import yaml
from guard_rows import ALL_LOST, BAD, SAID, WELL, evaluation, fed, section
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import RunFailed
from sdar_cli.recipe import schema
from sdar_cli.recipe.load import load_recipe
from sdar_cli.training.guards import COLLAPSES, Finding, Guards, Kind


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
