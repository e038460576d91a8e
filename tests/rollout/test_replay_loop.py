"""A recording in the place of the rollout loop: the episodes that are asked for, or a sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from recorded_rollouts import one, rollout

from sdar_cli.errors import UserError
from sdar_cli.rollout.loop import Start
from sdar_cli.rollout.replay import RecordingLoop, ReplayLoop, append_rollout
from sdar_envs.base import Task


class Retriever:
    pass


def loop(path: Path, step: int = 0, teacher: bool = False) -> ReplayLoop:
    return ReplayLoop(path, Retriever(), lambda: step, teacher=teacher)


def starts(*places: tuple[int, int]) -> list[Start]:
    return [Start(Task("t", "type"), group, sample) for group, sample in places]


def test_the_episodes_that_were_asked_for_in_their_order(tmp_path):
    path = tmp_path / "r.jsonl"
    append_rollout(path, 0, rollout(0))
    append_rollout(path, 1, rollout(1))
    played = loop(path, step=1).play(starts((1, 0), (0, 1)))
    assert [(e.group, e.sample) for e in played] == [(1, 0), (0, 1)]
    assert all(e.turns[0].response.startswith("1 ") for e in played)
    assert loop(path).play([]) == [], "a rank whose share of the groups is empty"


@pytest.mark.parametrize(
    ("step", "asked", "says"),
    [
        (2, (0, 0), "holds the steps 4 to 5 and not 2: record it from the first step on"),
        (6, (0, 0), "holds the steps 4 to 5 and not 6: set train.steps=6"),
        (4, (2, 0), "has no group 2 at step 4: set rollout.tasks to what was recorded"),
        (4, (1, 2), "has no sample 2 of group 1 at step 4: set rollout.group to what was recorded"),
    ],
)
def test_what_a_recording_lacks(tmp_path, step, asked, says):
    path = tmp_path / "r.jsonl"
    append_rollout(path, 4, rollout(4))
    append_rollout(path, 5, rollout(5))
    with pytest.raises(UserError) as caught:
        loop(path, step).play(starts((0, 0), asked))
    assert str(caught.value) == f"{path} {says}"


def test_a_recording_without_a_teacher(tmp_path):
    path = tmp_path / "r.jsonl"
    append_rollout(path, 0, [one(teacher=False), one(sample=1, teacher=False)])
    assert len(loop(path).play(starts((0, 0)))) == 1
    with pytest.raises(
        UserError, match=r"was recorded without a teacher: record it with a method that has one, or set"
    ):
        loop(path, teacher=True).play(starts((0, 0)))


def test_a_recording_loop_is_the_loop_and_what_it_is_told_to_keep_is_written():
    class Played:
        timing = "its timing"

        def play(self, starts):
            return ["episode"]

    kept: list = []
    made = RecordingLoop(Played(), kept.append)
    assert made.play([]) == ["episode"] and kept == [] and made.timing == "its timing"
    made.keep(["episode"])
    assert kept == [["episode"]]
