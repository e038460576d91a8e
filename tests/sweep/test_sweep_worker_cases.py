"""What a worker meets while it works: failing and collapsing runs, signals, pauses, thieves."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from study_tools import check_steps, check_whole, guard, spec_of, state, work, write_behaviour
from worker_nursery import until

from sdar_cli.sweep.processes import trainings_of
from sdar_cli.sweep.store import StudyStore

ONE = ["distill.coef=0.1,0.2"]


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    """Two cells of one seed, unless a test asks for more."""
    return StudyStore.create(spec_of(words=ONE, seeds="1"), tmp_path)


@pytest.fixture
def wide(tmp_path: Path) -> StudyStore:
    """Two cells of two seeds."""
    return StudyStore.create(spec_of(words=ONE, seeds="2"), tmp_path)


def test_a_study_from_start_to_end(nursery, wide):
    assert work(nursery, wide) == "over"
    check_whole(wide)
    run = wide.view().runs[0]
    assert run.result["seconds"] > 0
    assert [step for step, *_ in run.result["evaluations"]] == [2, 4, 6, 8]
    assert (run.result["score"], run.result["success_skills"], run.result["collapsed"]) == (
        pytest.approx(100 * run.result["success"]),
        0.9,
        False,
    )
    assert (wide.folder / "logs" / f"{run.name}.0.log").exists()
    assert list(wide.folder.glob("shown-*"))
    assert (wide.folder / "published").read_text() == "2\n"
    assert work(nursery, wide) == "over"
    assert all(len(run.attempts) == 1 for run in wide.view().runs)


def test_a_failing_run_says_why_and_the_study_goes_on(nursery, wide):
    write_behaviour(wide.root, fail={"study-c000-s1": "the GPU ran out of memory: lower rollout.group"})
    assert work(nursery, wide) == "over"
    view = wide.view()
    assert view.counts == {"done": 3, "failed": 1}
    assert [cell.state for cell in view.cells] == ["partial", "done"]
    run = view.cells[0].runs[1]
    assert (run.state, run.reason) == ("failed", "the GPU ran out of memory: lower rollout.group")
    assert view.cells[0].mean == view.cells[0].runs[0].result["success"]


def test_a_forgiven_run_goes_on_from_its_checkpoint(nursery, wide):
    write_behaviour(wide.root, fail={"study-c000-s1": "no memory"})
    assert work(nursery, wide) == "over"
    write_behaviour(wide.root)
    assert wide.forgive() == 1
    assert work(nursery, wide) == "over"
    run = wide.view().cells[0].runs[1]
    assert (run.state, [attempt.from_step for attempt in run.attempts]) == ("done", [0, 3])
    assert wide.view().cells[0].state == "done"
    assert wide.cells.all()[0].value == wide.view().cells[0].mean
    check_steps(guard(wide, run.name))


def test_a_training_that_makes_no_run_gives_the_last_error_that_it_printed(nursery, store):
    write_behaviour(store.root, refuse={"study-c000-s0": "the model is not here: give a folder with --model"})
    assert work(nursery, store) == "over"
    run = store.view().runs[0]
    assert (run.state, run.reason) == ("failed", "the model is not here: give a folder with --model")


def test_a_collapsed_run_is_a_result(nursery, store):
    write_behaviour(store.root, collapse=["study-c001-s0"])
    assert work(nursery, store) == "over"
    run = store.view().cells[1].runs[0]
    assert (run.state, run.result["collapsed"], run.result["steps"]) == ("done", True, 6)


@pytest.mark.parametrize(
    ("how", "each", "reason"),
    [("die", "lost", "ended from outside (SIGKILL)"), ("leave", "stopped", "told to leave (SIGUSR1)")],
)
def test_a_training_that_others_end_each_time_has_failed_after_eight(nursery, store, how, each, reason):
    """Where it comes no further than where it began; what its own worker stops does not count."""
    write_behaviour(store.root, **{how: ["study-c000-s0"]})
    assert work(nursery, store) == "over"
    run = store.view().runs[0]
    assert [attempt.state for attempt in run.attempts] == [each] * 8 + ["failed"]
    assert reason in run.attempts[0].reason
    assert run.reason.startswith("it was lost, or told to leave, 8 times in a row at step 0: look into")
    write_behaviour(store.root)
    assert store.forgive() == 1
    assert work(nursery, store) == "over"
    assert store.view().runs[0].state == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_an_interrupted_worker_saves_its_run_and_the_next_goes_on_with_it(nursery, store, number):
    write_behaviour(store.root, step=0.1)
    pid = nursery.start(store.folder, store.root)
    until(lambda: state(store, "study-c000-s0") == "training")
    os.kill(pid, number)
    assert nursery.wait([pid]) == ["interrupted"]
    run = store.view().runs[0]
    assert (run.state, run.reason) == ("stopped", "its worker was interrupted")
    assert state(store, run.name) == "interrupted"
    heard = json.loads((store.root / run.name / "run.json").read_text())["told"]
    assert heard == (signal.SIGTERM if number == signal.SIGHUP else number), "passed on as it was heard"
    assert store.view().counts["waiting"] == 1
    write_behaviour(store.root)
    assert work(nursery, store) == "over"
    check_whole(store)
    assert store.view().runs[0].attempts[1].from_step >= 1


def test_a_training_that_was_told_to_leave_by_others_is_taken_again(nursery, store):
    """By a cluster, for example, that tells all processes; the worker itself was told nothing."""
    write_behaviour(store.root, step=0.1)
    pid = nursery.start(store.folder, store.root)
    until(lambda: state(store, "study-c000-s0") == "training")
    [training] = trainings_of(store.run_folder(0, 0))
    os.kill(training, signal.SIGTERM)
    write_behaviour(store.root)
    assert nursery.wait([pid]) == ["over"]
    check_whole(store)
    first, *rest = store.view().runs[0].attempts
    assert (first.state, first.reason) == ("stopped", "its training was told to leave (SIGTERM), and saved")
    assert [attempt.state for attempt in rest] == ["done"] and rest[0].from_step >= 1


def test_a_pause_lets_runs_end_and_a_pause_now_saves_them(nursery, store):
    write_behaviour(store.root, step=0.1)
    pid = nursery.start(store.folder, store.root)
    until(lambda: state(store, "study-c000-s0") == "training")
    store.pause()
    assert nursery.wait([pid]) == ["paused"]
    assert store.view().counts == {"done": 1, "waiting": 1}
    assert work(nursery, store) == "paused"
    store.unpause()
    pid = nursery.start(store.folder, store.root)
    until(lambda: state(store, "study-c001-s0") == "training")
    store.pause(now=True)
    assert nursery.wait([pid]) == ["paused"]
    assert store.view().counts == {"done": 1, "stopped": 1}
    store.unpause()
    write_behaviour(store.root)
    assert work(nursery, store) == "over"
    check_whole(store)


def test_a_worker_that_hung_finds_its_run_taken_and_ends_its_training(nursery, store):
    """It stands still for longer than the lease, is taken for lost, and wakes up."""
    write_behaviour(store.root, step=0.15)
    hung = nursery.start(store.folder, store.root)
    until(lambda: state(store, "study-c000-s0") == "training")
    os.kill(hung, signal.SIGSTOP)
    other = nursery.start(store.folder, store.root, lease=0.5, patience=0.2)
    until(lambda: len(store.view().runs[0].attempts) == 2)
    os.kill(hung, signal.SIGCONT)
    assert nursery.wait([hung, other]) == ["over", "over"]
    check_whole(store)
    said = (nursery.scratch / f"{hung}.said").read_text()
    assert "study-c000-s0: another worker has it now" in said


def test_a_cell_that_nobody_told_is_told_by_the_next(nursery, store):
    assert work(nursery, store) == "over"
    journal = store.folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    told = [line for line in lines if b'"values":[' in line and json.loads(line)["trial_id"] in cell_trials(store)]
    assert len(told) == 2
    journal.write_bytes(b"".join(line for line in lines if line not in told))
    damaged = StudyStore.open("study", store.root)
    assert [trial.state.name for trial in damaged.cells.all().values()] == ["RUNNING", "RUNNING"]
    assert work(nursery, damaged) == "over"
    check_whole(damaged)


def cell_trials(store: StudyStore) -> set[int]:
    return {trial._trial_id for trial in store.cells.all().values()}


def test_tpe_draws_each_cell_once(nursery, tmp_path):
    spec = spec_of("tpe", ["distill.coef=log:0.01..1"], seeds="2", search="tpe", cells=5)
    store = StudyStore.create(spec, tmp_path)
    assert store.view().counts == {"waiting": 10}
    assert nursery.wait([nursery.start(store.folder, tmp_path) for _ in range(3)]) == ["over"] * 3
    check_whole(store)
    assert len({cell.params["distill.coef"] for cell in store.view().cells}) == 5
