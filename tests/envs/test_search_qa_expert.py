"""The expert of the generated world: it wins every question, and does nothing that its screen does not show."""

from __future__ import annotations

import pytest

from sdar_cli.training.demonstrations import demonstrate, demonstrate_all
from sdar_envs.base import Action, Exchange, History, Task
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.parsing import read_action
from sdar_envs.search_qa.questions import TYPES

TURNS = {"one_hop": 2, "two_hop": 3, "three_hop": 4, "comparison": 3}


def environment(**options: object) -> SearchQa:
    return SearchQa(SearchQaOptions.model_validate({"questions": "generated", **options}))


def play(world: SearchQa, task: Task) -> tuple[float, bool, int]:
    """Reward, won and turns, after each action was found in the prompt and read back from its response."""
    observation, past = world.reset(task), []
    reward, won = 0.0, False
    actions = world.expert(task)
    assert actions is not None
    for action in actions:
        (message,) = world.prompt(History(task, task.goal, tuple(past), observation, 4))
        move = read_action(action)
        assert move is not None and move[1] in message["content"], (task.id, action)
        assert world.parse(world.format_response(action)) == Action(action)
        step = world.step(action)
        past.append(Exchange(observation, action))
        observation, reward, won = step.observation, reward + step.reward, step.won
        assert step.done == (action is actions[-1])
    return reward, won, len(actions)


@pytest.mark.parametrize("brief", [False, True])
def test_it_wins_every_test_question_by_what_it_reads(brief: bool) -> None:
    world = environment(brief=brief, test=256)
    tasks = world.tasks("test")
    assert {task.task_type for task in tasks} == set(TYPES)
    for task in tasks:
        assert play(world, task) == (1.0, True, TURNS[task.task_type])


def test_it_wins_every_training_question_of_another_world() -> None:
    world = environment(seed=9, entities=10, train=256, test=64)
    assert all(play(world, task)[1] for task in world.tasks("train"))


def test_it_needs_every_one_of_its_searches() -> None:
    """With one search fewer than hops, chains are lost: the answer has not been read."""
    world = environment(test=64)
    for task in world.tasks("test"):
        actions = world.expert(task) or ()
        if task.task_type == "comparison":
            continue
        observation, read = world.reset(task), ""
        for action in actions[:-2]:
            observation = world.step(action).observation
            read += observation.text
        assert task.data["targets"][0] not in read + task.goal, task.id


def test_searches_may_be_as_many_as_the_longest_chain_has() -> None:
    world = environment(max_searches=2, test=64)
    lost = {task.task_type for task in world.tasks("test") if demonstrate(world, task) is None}
    assert lost == {"three_hop"}


def test_demonstrations_are_played_side_by_side() -> None:
    world = environment(test=32)
    tasks = world.tasks("test")
    played = list(demonstrate_all(world, tasks, workers=2, timeout=60))
    assert [demonstration.task for demonstration in played] == list(tasks)


def test_other_questions_have_no_expert() -> None:
    assert environment().expert(Task("test/nq-0", "nq", "Who?", {"targets": ("Ann",)})) is None
