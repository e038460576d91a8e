"""A run that is killed and resumed warns as the undisturbed one does."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict
from pathlib import Path

from guard_rows import WELL, evaluation, section
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.runs.checkpoints import SUCCESS
from sdar_cli.tracking.journal import Journal
from sdar_cli.training.guards import Guards

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
