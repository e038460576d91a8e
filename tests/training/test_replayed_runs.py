"""A recorded run and its replay: the same weights, bit for bit; what a replay refuses."""

from __future__ import annotations

import pytest
import torch
from tiny_training import Replay, Unlearning, recipe, trainer, weights

from sdar_cli.errors import UserError
from sdar_cli.rollout.replay import RecordingLoop, ReplayLoop, append_rollout

pytestmark = pytest.mark.train


def recording(path, **about):
    """A loop that plays made-up episodes and writes them down."""

    def make(made):
        loop = Replay(len(made._tokenizer), **about)
        return RecordingLoop(loop, lambda episodes: append_rollout(path, made.state.global_step, episodes))

    return make


def replaying(path):
    def make(made):
        return ReplayLoop(path, Unlearning(), lambda: made.state.global_step, teacher=made.recipe.needs_teacher)

    return make


@pytest.mark.parametrize("name", ["rollouts.jsonl", "rollouts.jsonl.gz"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": "agent_opsd", "optimiser": {"rows_per_update": 6}},
        {"rollout": {"context": "full"}, "distill": {"divergence": "jsd"}},
    ],
    ids=["sdar", "agent_opsd in several updates", "jsd, full context"],
)
def test_a_replay_trains_to_the_same_weights(base, tmp_path, name, changes):
    chosen, path = recipe(**changes), tmp_path / name
    played, first = trainer(base, tmp_path / "a", chosen, make_loop=recording(path, context=chosen.rollout.context))
    played.train()
    again, second = trainer(base, tmp_path / "b", chosen, make_loop=replaying(path))
    again.train()
    for a, b in zip(first.steps, second.steps, strict=True):
        keys = [key for key in a if not key.startswith("time/")]
        assert {key: a[key] for key in keys} == {key: b[key] for key in keys}
    for key, value in weights(played.model).items():
        assert torch.equal(value, weights(again.model)[key]), key


def test_another_objective_can_be_tried_on_the_same_rollouts(base, tmp_path):
    """What a replay is for: the episodes are those of the recording, whatever the weights became."""
    path = tmp_path / "r.jsonl"
    sdar, first = trainer(base, tmp_path / "a", recipe(), make_loop=recording(path))
    sdar.train()
    grpo, second = trainer(base, tmp_path / "b", recipe(method="grpo"), make_loop=replaying(path))
    grpo.train()
    for a, b in zip(first.steps, second.steps, strict=True):
        keys = [key for key in a if key.startswith("rollout/")]
        assert {key: a[key] for key in keys} == {key: b[key] for key in keys}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": {"steps": 4}}, "holds the steps 0 to 2 and not 3: set train.steps=3"),
        ({"rollout": {"tasks": 3}}, "has no group 2 at step 0: set rollout.tasks to what was recorded"),
        ({"rollout": {"group": 5}}, "has no sample 4 of group 0 at step 0: set rollout.group to what was recorded"),
        ({"rollout": {"context": "full"}}, "does not continue the turn before it"),
    ],
)
def test_a_recording_that_lacks_something_ends_with_a_sentence(base, tmp_path, changes, says):
    path = tmp_path / "r.jsonl.gz"
    played, _ = trainer(base, tmp_path / "a", recipe(method="grpo"), make_loop=recording(path))
    played.train()
    about = {"method": "grpo"} | changes
    again, _ = trainer(base, tmp_path / "b", recipe(**about), make_loop=replaying(path))
    with pytest.raises(UserError) as caught:
        again.train()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_fewer_groups_and_samples_than_were_recorded(base, tmp_path):
    path = tmp_path / "r.jsonl"
    played, _ = trainer(base, tmp_path / "a", recipe(), make_loop=recording(path))
    played.train()
    again, record = trainer(
        base, tmp_path / "b", recipe(rollout={"tasks": 1, "group": 3}, train={"steps": 1}), make_loop=replaying(path)
    )
    again.train()
    assert record.steps[0]["rollout/episodes"] == 3.0
