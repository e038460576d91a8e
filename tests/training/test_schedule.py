"""Which tasks a step plays: every task once a pass, the same after a resume."""

from collections import Counter

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
