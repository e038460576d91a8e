"""Which tasks a step plays: every task once a pass, the same after a resume."""

from collections import Counter

import pytest
from counted_tasks import CountedTasks

from sdar_cli.training.schedule import TaskSchedule
from sdar_envs.base import Task

TASKS = [Task(str(i), "type") for i in range(10)]


def ids(schedule, step):
    return [task.id for task in schedule.at(step)]


def test_every_pass_visits_each_task_once():
    schedule = TaskSchedule(TASKS, 4, seed=0)
    seen = [i for step in range(5) for i in ids(schedule, step)]
    assert Counter(seen) == dict.fromkeys(map(str, range(10)), 2)
    assert sorted(seen[:10]) == sorted(seen[10:]) and seen[:10] != seen[10:]


def test_a_step_depends_on_seed_and_step_alone():
    walked, jumped = TaskSchedule(TASKS, 4, seed=1), TaskSchedule(TASKS, 4, seed=1)
    for step in range(7):
        walked.at(step)
    assert ids(walked, 7) == ids(jumped, 7)
    assert ids(TaskSchedule(TASKS, 4, seed=2), 0) != ids(jumped, 0)


def test_more_groups_than_tasks():
    assert Counter(ids(TaskSchedule(TASKS[:3], 6, seed=0), 0)) == {"0": 2, "1": 2, "2": 2}


def test_the_order_is_what_it_always_was():
    """Runs that were started before must resume into the same tasks."""
    schedule = TaskSchedule(TASKS, 4, seed=7)
    assert ["".join(ids(schedule, step)) for step in (0, 1, 2, 9)] == ["8263", "4791", "0596", "2680"]
    schedule = TaskSchedule([Task(str(i), "type") for i in range(1000)], 3, seed=0)
    assert ids(schedule, 0) == ["284", "750", "173"]
    assert ids(schedule, 400) == ["888", "801", "230"]


@pytest.mark.parametrize("step", [0, 400])
def test_a_step_makes_its_own_tasks_alone(step):
    tasks = CountedTasks([Task(str(i), "type") for i in range(1000)])
    assert ids(TaskSchedule(tasks, 3, seed=0), step) == tasks.made
    assert len(tasks.made) == 3
