"""What a worker finds where a run belongs: a run that is over, another's, a damaged one, or somebody at work."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_tools import begin, check_whole, outcomes, spec_of, state, work, write_behaviour
from worker_nursery import alive, until

from sdar_cli.sweep.processes import RUN, trainings_of
from sdar_cli.sweep.store import StudyStore

ONE = ["distill.coef=0.1,0.2"]


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """Two cells of one seed."""
    return StudyStore.create(spec_of(words=ONE, seeds="1"), tmp_path)


def test_a_damaged_run_has_failed(nursery, store):
    folder = store.run_folder(0, 0)
    folder.mkdir()
    (folder / "run.json").write_text("{")
    assert work(nursery, store) == "over"
    view = store.view()
    assert view.counts == {"done": 1, "failed": 1}
    assert view.runs[0].reason == f"{folder / 'run.json'} is damaged: restore it, or move the folder away"


def test_a_folder_without_run_json_has_failed_and_keeps_what_is_in_it(nursery, store):
    kept = store.run_folder(0, 0) / "checkpoints" / "step-50" / "weights"
    kept.parent.mkdir(parents=True)
    kept.write_text("of days")
    assert work(nursery, store) == "over"
    run = store.view().runs[0]
    assert run.reason == f"{store.run_folder(0, 0)} has no run.json: restore it, or move the folder away"
    assert kept.read_text() == "of days" and store.view().counts == {"done": 1, "failed": 1}


def test_a_run_that_finished_and_was_not_told_is_told_and_not_run_again(nursery, store):
    assert work(nursery, store) == "over"
    expected = outcomes(store)
    again = StudyStore.create(store.spec.model_copy(update={"name": "other"}), store.root)
    for cell in range(2):
        for seed in store.spec.seeds:
            os.rename(store.run_folder(cell, seed), again.run_folder(cell, seed))
    before = {path.name: (path / "log").read_text() for path in (store.root / "guard").iterdir()}
    assert work(nursery, again) == "over"
    assert {key: value[1:] for key, value in outcomes(again).items()} == {k: v[1:] for k, v in expected.items()}
    assert {path.name: (path / "log").read_text() for path in (store.root / "guard").iterdir()} == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_other_settings_is_no_result_of_this_study(nursery, store, finished):
    """As a study of the same name leaves it that was removed by hand: neither adopted nor resumed."""
    write_behaviour(store.root, fail={} if finished else {"study-c001-s0": "no memory"})
    assert work(nursery, store) == "over"
    shutil.rmtree(store.folder)
    write_behaviour(store.root)
    again = StudyStore.create(spec_of(words=["distill.coef=0.1,0.3"], seeds="1"), store.root)
    before = (store.root / "study-c001-s0" / "run.json").read_bytes()
    assert work(nursery, again) == "over"
    assert [run.state for run in again.view().runs] == ["done", "failed"]
    folder = again.run_folder(1, 0)
    assert again.view().runs[1].reason == f"{folder} holds a run of other settings: remove it, or move it away"
    assert (folder / "run.json").read_bytes() == before
    shutil.rmtree(folder)
    assert again.forgive() == 1
    assert work(nursery, again) == "over"
    assert again.view().counts == {"done": 2}


def test_a_run_that_a_person_works_on_is_waited_for(nursery, store):
    folder = begin(store, 0, 0)
    with (folder / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = nursery.start(store.folder, store.root, patience=0.1)
        until(lambda: store.view().runs[0].state == "running")
        time.sleep(0.4)
        assert state(store, "study-c000-s0") == "created"
    assert nursery.wait([pid]) == ["over"]
    check_whole(store)


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_orphan_is_waited_for_and_ended_at_last(nursery, store, tmp_path, stubborn):
    """Its worker is gone, and it holds the lock: as between the worker's death and the end of the step."""
    folder = begin(store, 0, 0)
    seconds = 60 if stubborn else 0.4
    script = f"""
import fcntl, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep({seconds})
"""
    shell = f"{sys.executable} -c '{script}' {folder / 'run.lock'} & echo $!"
    environment = os.environ | {RUN: str(folder)}
    with subprocess.Popen(["sh", "-c", shell], env=environment, stdout=subprocess.PIPE, text=True) as process:
        orphan = int(process.stdout.readline())
        assert process.stdout.readline() == "held\n"
        assert trainings_of(folder) == [orphan]
        pid = nursery.start(store.folder, store.root, patience=0.5 if stubborn else 30)
        assert nursery.wait([pid]) == ["over"]
        assert not alive(orphan)
    check_whole(store)
