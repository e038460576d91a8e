"""The household world: rules, tasks, expert, text."""

import itertools
import json
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sdar_envs.base import Action, Exchange, History
from sdar_envs.household import words
from sdar_envs.household.environment import Household, HouseholdOptions
from sdar_envs.household.rulebook import Rulebook
from sdar_envs.household.tasks import errands_of, split_of

WORLD = Household(HouseholdOptions())

options = st.builds(
    HouseholdOptions,
    rulebook=st.integers(0, 2**31),
    errands=st.integers(1, 2),
    walk=st.booleans(),
    verbs=st.sampled_from([1, 2]),
    things=st.sampled_from([12, 24]),
    places=st.integers(4, 12),
    clutter=st.integers(0, 8),
)


def test_the_rulebook_is_a_bijection_and_a_function_of_its_seed() -> None:
    book = Rulebook.draw(3)
    assert sorted(book.stations) == sorted(words.ALL_VERBS)
    assert sorted(book.stations.values()) == sorted(words.STATIONS)
    assert book == Rulebook.draw(3) != Rulebook.draw(4)


def test_a_verb_is_served_by_every_station_equally_often_over_rulebooks() -> None:
    counts = Counter(Rulebook.draw(seed).stations["wash"] for seed in range(2400))
    assert set(counts) == set(words.STATIONS)
    assert max(counts.values()) < 270 and min(counts.values()) > 130  # 200 ± 5 standard deviations


@pytest.mark.parametrize("count", range(13))
def test_misstated_rules_are_exactly_as_many_as_asked_for(count: int) -> None:
    book = Rulebook.draw(1)
    wrong = book.misstated(count / 12, seed=7)
    assert sum(wrong.stations[verb] != book.stations[verb] for verb in words.ALL_VERBS) == count


@given(options)
@settings(max_examples=15, deadline=None)
def test_the_expert_wins_every_task_by_admissible_commands(chosen: HouseholdOptions) -> None:
    world = Household(chosen)
    for split in world.splits:
        tasks = world.tasks(split)
        for task in itertools.islice(tasks, 0, None, max(1, len(tasks) // 40)):
            observation = world.reset(task)
            plan = world.expert(task)
            for number, action in enumerate(plan, start=1):
                assert action in observation.admissible
                step = world.step(action)
                observation = step.observation
                assert step.done == step.won == (number == len(plan))
                assert step.reward == (10.0 if step.done else 0.0)


def test_episodes_take_3_to_20_turns_and_more() -> None:
    def lengths(**changes) -> set[int]:
        world = Household(HouseholdOptions(**changes))
        return {len(world.expert(task)) for task in world.tasks("train")[:240]}

    assert lengths() == {3, 5}
    assert lengths(walk=True) == {5, 6, 9}
    assert max(lengths(errands=4)) == 20 and min(lengths(errands=4)) == 12


def test_splits_share_no_combination_and_are_large_and_balanced() -> None:
    seen: dict[str, set] = {}
    for split in WORLD.splits:
        tasks = WORLD.tasks(split)
        assert len({task.id for task in tasks}) == len(tasks)
        seen[split] = {
            (e.verb, thing, source, e.destination)
            for task in tasks
            for e in errands_of(task)
            for thing, source in zip(e.things, e.sources, strict=True)
        }
        assert {split_of(*combination) for combination in seen[split]} == {split}
        for size in (6, 12, 60, 300):
            types = Counter(task.task_type for task in tasks[:size])
            assert set(types.values()) == {size // 6}
    assert not seen["train"] & seen["test"]
    assert len(WORLD.tasks("train")) >= 2000 and len(WORLD.tasks("test")) >= 512


def test_tasks_are_the_same_under_every_rulebook_and_in_every_process() -> None:
    other = Household(HouseholdOptions(rulebook=99))
    assert list(other.tasks("test")) == list(WORLD.tasks("test"))
    task = WORLD.tasks("test")[0]
    assert pickle.loads(pickle.dumps(task)) == task
    assert json.loads(json.dumps(dict(task.data))) == dict(task.data)
    assert [t.id for t in WORLD.tasks("train")[:2]] == [
        "pick_and_place_simple/store-egg-from-shelf",
        "look_at_obj_in_light/examine-pot-from-rug-to-dresser",
    ]


@pytest.mark.parametrize("task_type", words.TASK_TYPES)
def test_any_wrong_station_spoils_the_thing_and_ends_the_episode(task_type: str) -> None:
    task = next(task for task in WORLD.tasks("test") if task.task_type == task_type)
    take, use, *_ = WORLD.expert(task)
    right = use.split()[-1]
    for station in words.STATIONS:
        WORLD.reset(task)
        WORLD.step(take)
        step = WORLD.step(use.replace(right, station))
        assert step.done == (station != right)
        assert not step.won and step.reward == 0.0
        if step.done:
            assert step.observation.text.endswith("is spoilt.") and step.observation.admissible == ()


def test_all_stations_look_alike_before_they_are_used() -> None:
    task = WORLD.tasks("test")[0]
    WORLD.reset(task)
    take, use, *_ = WORLD.expert(task)
    observation = WORLD.step(take).observation
    for station in words.STATIONS:
        assert f"{use.rsplit(' ', 1)[0]} {station}" in observation.admissible
        assert station not in observation.text


@given(st.text(max_size=60) | st.lists(st.sampled_from(["take", "go to", "mug", "desk", "put", "with"])).map(" ".join))
def test_what_is_not_admissible_changes_nothing(action: str) -> None:
    task = WORLD.tasks("train")[5]
    observation = WORLD.reset(task)
    if action in observation.admissible:
        return
    step = WORLD.step(action)
    assert (step.observation.text, step.reward, step.done) == ("Nothing happens.", 0.0, False)
    assert step.observation.admissible == observation.admissible


@given(st.lists(st.integers(0, 40), max_size=25), options)
@settings(max_examples=40, deadline=None)
def test_random_play_is_deterministic_and_never_breaks(choices: list[int], chosen: HouseholdOptions) -> None:
    def play() -> list:
        world = Household(chosen)
        observation = world.reset(world.tasks("train")[3])
        told = [observation]
        for choice in choices:
            if not observation.admissible:
                break
            step = world.step(observation.admissible[choice % len(observation.admissible)])
            observation = step.observation
            told.append(step)
            assert step.done == (not observation.admissible)
        return told

    assert play() == play()


def test_a_finished_episode_stays_finished() -> None:
    task = WORLD.tasks("train")[0]
    WORLD.reset(task)
    for action in WORLD.expert(task):
        step = WORLD.step(action)
    assert step.won
    after = WORLD.step("look")
    assert after.done and after.reward == 0.0


@pytest.mark.parametrize("window", [0, 1, 2])
def test_the_prompt_always_shows_the_task_and_only_the_window(window: int) -> None:
    world = Household(HouseholdOptions(show_admissible=False))
    task = world.tasks("train")[2]
    observation = world.reset(task)
    turns: list[Exchange] = []
    for action in world.expert(task):
        history = History(task, task.goal, tuple(turns), observation, window)
        (message,) = world.prompt(history)
        assert message["role"] == "user" and f"Task: {task.goal}" in message["content"]
        assert message["content"].count(" > ") == min(window, len(turns))
        assert message["content"].endswith(f"Now: {observation.text}")
        assert ("Steps taken" in message["content"]) == bool(turns)
        turns.append(Exchange(observation, action))
        observation = world.step(action).observation


def test_admissible_commands_are_in_the_prompt_unless_turned_off() -> None:
    task = WORLD.tasks("train")[2]
    history = History(task, task.goal, (), WORLD.reset(task), 2)
    lines = WORLD.prompt(history)[0]["content"].splitlines()
    quoted = [line[1:-1] for line in lines if line.startswith("'")]
    assert tuple(quoted) == history.observation.admissible
    assert "<action>" in lines[-1]


def test_responses_read_back_as_their_actions() -> None:
    for action in ("look", "wash mug with sink"):
        assert WORLD.parse(WORLD.format_response(action)) == Action(action)
        assert WORLD.parse(f"<think>hm</think> {WORLD.format_response(action)}") == Action(action)


@pytest.mark.parametrize(
    "wrong",
    [
        {"errands": 0},
        {"errands": 3, "things": 12},
        {"walk": "yes"},
        {"wrong_rules": 1.5},
        {"rulebok": 1},
        {"verbs": 3},
    ],
)
def test_options_are_strict(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        HouseholdOptions.model_validate(wrong)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no split 'valid'"):
        WORLD.tasks("valid")
