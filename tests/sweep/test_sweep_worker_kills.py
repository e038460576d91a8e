"""A study of 20 runs under four workers, of which two are killed with SIGKILL at random instants, ten times over:
20 finished, none twice, none lost, results equal to those of the undisturbed study."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from study_tools import check_whole, outcomes, spec_of, write_behaviour
from worker_nursery import alive, until

from sdar_cli.sweep.processes import trainings_of
from sdar_cli.sweep.store import StudyStore

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    store = StudyStore.create(spec_of("quiet"), root)
    workers = [nursery.start(store.folder, root) for _ in range(4)]
    assert nursery.wait(workers) == ["over"] * 4
    check_whole(store)
    assert all(len(run.attempts) == 1 for run in store.view().runs)
    return outcomes(store)


def test_two_of_four_workers_killed_ten_times_over_one_study(nursery, undisturbed, tmp_path):
    draw = random.Random(20)
    write_behaviour(tmp_path, step=0.05)
    store = StudyStore.create(spec_of("volleys"), tmp_path)
    workers = [nursery.start(store.folder, tmp_path) for _ in range(4)]
    kills = 0
    for _ in range(10):
        time.sleep(draw.uniform(0.02, 0.3))
        for pid in draw.sample(workers, 2):
            kills += alive(pid)
            kill(pid)
            workers.remove(pid)
            workers.append(nursery.start(store.folder, tmp_path))
    assert nursery.wait(workers) == ["over"] * 4
    assert kills == 20
    check_whole(store)
    assert outcomes(store) == undisturbed
    assert any(len(run.attempts) > 1 for run in store.view().runs)


def test_two_workers_finish_what_four_began(nursery, undisturbed, tmp_path):
    draw = random.Random(1)
    write_behaviour(tmp_path, step=0.02)
    store = StudyStore.create(spec_of("survivors"), tmp_path)
    workers = [nursery.start(store.folder, tmp_path) for _ in range(4)]
    for pid in draw.sample(workers, 2):
        time.sleep(draw.uniform(0.0, 0.6))
        kill(pid)
        workers.remove(pid)
    assert nursery.wait(workers) == ["over"] * 2
    check_whole(store)
    assert outcomes(store) == undisturbed


def test_all_workers_killed_and_one_comes_later(nursery, undisturbed, tmp_path):
    write_behaviour(tmp_path, step=0.02)
    store = StudyStore.create(spec_of("alone"), tmp_path)
    workers = [nursery.start(store.folder, tmp_path) for _ in range(4)]
    time.sleep(0.5)
    for pid in workers:
        kill(pid)
    until(lambda: not any(alive(pid) for pid in workers))
    left = [run for run in StudyStore.open("alone", tmp_path).view().runs if run.state == "lost"]
    assert 1 <= len(left) <= 4
    assert nursery.wait([nursery.start(store.folder, tmp_path)]) == ["over"]
    check_whole(store)
    assert outcomes(store) == undisturbed


def test_a_killed_worker_leaves_no_training_behind(nursery, tmp_path):
    write_behaviour(tmp_path, step=0.02)
    store = StudyStore.create(spec_of("leash", ["distill.coef=0.1,0.2"], seeds="1"), tmp_path)
    worker = nursery.start(store.folder, tmp_path)
    folder = store.run_folder(0, 0)
    until(lambda: trainings_of(folder))
    kill(worker)
    until(lambda: not trainings_of(folder))
    assert nursery.wait([nursery.start(store.folder, tmp_path)]) == ["over"]
    check_whole(store)


def kill(pid: int) -> None:
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
