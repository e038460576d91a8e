"""Pruning: what a cell's intermediate values are, and what ends when its pruner says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_tools import spec_of, write_behaviour
from worker_nursery import Nursery, until

from sdar_cli.sweep.cell_trials import make_pruner
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.prune import intermediate
from sdar_cli.sweep.results import evaluations
from sdar_cli.sweep.store import StudyStore
from sdar_cli.sweep.view import RunView


def run(seed: int, values: list[float] | None, state: str = "done") -> RunView:
    """A run of ``len(values)`` steps with an evaluation at each."""
    curve = [[step, value, 100 * value] for step, value in enumerate(values or [], 1)]
    result = {} if values is None else {"success": values[-1], "score": 100 * values[-1], "steps": len(values)}
    return RunView(0, seed, f"r{seed}", state, (), result | {"evaluations": curve} if state == "done" else {})


def test_the_first_seed_is_its_own_curve() -> None:
    assert intermediate([run(0, None, "running")], {0: [(2, 0.25, 1.0), (4, 0.5, 1.0)]}) == {2: 0.25, 4: 0.5}


def test_a_later_seed_is_averaged_with_the_ends_of_those_before() -> None:
    runs = [run(0, [0.0, 1.0]), run(1, None, "running")]
    assert intermediate(runs, {1: [(1, 0.5, None)]}) == {1: 0.0, 2: 1.0, 3: 0.75}


def test_a_seed_that_is_ahead_of_one_before_it_waits() -> None:
    runs = [run(0, None, "running"), run(1, [0.5, 0.5])]
    assert intermediate(runs, {0: [(1, 0.25, None)]}) == {1: 0.25}


def test_a_score_is_used_where_it_is_the_metric() -> None:
    assert intermediate([run(0, [0.25, 0.5])], {}, "score") == {1: 25.0, 2: 50.0}


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=4), st.data())
def test_a_value_never_changes_once_it_stands_and_the_last_is_the_mean(curves, data) -> None:
    """However far each seed is: what is reported early is what would be reported at the end."""
    whole = intermediate([run(seed, curve) for seed, curve in enumerate(curves)], {})
    assert whole[sum(map(len, curves))] == pytest.approx(sum(curve[-1] for curve in curves) / len(curves))
    reached = [data.draw(st.integers(0, len(curve))) for curve in curves]
    runs = [
        run(seed, curve) if count == len(curve) else run(seed, None, "running")
        for seed, (curve, count) in enumerate(zip(curves, reached, strict=True))
    ]
    playing = {
        seed: [(step, value, None) for step, value in enumerate(curve[:count], 1)]
        for seed, (curve, count) in enumerate(zip(curves, reached, strict=True))
    }
    assert intermediate(runs, playing).items() <= whole.items()


def test_evaluations_are_read_without_the_base_and_without_what_a_resume_voided(tmp_path: Path) -> None:
    lines = [
        '{"step": 0, "eval/no_skills/success": 0.1}',
        '{"step": 2, "eval/no_skills/success": 0.2, "eval/no_skills/score": 20.0}',
        '{"step": 4, "eval/no_skills/success": 0.4}',
        '{"rewind": 3}',
        '{"step": 3, "loss/total": 1.0}',
        '{"step": 4, "eval/no_skills/success": 0.5, "eval/no_skills/sco',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert evaluations(tmp_path) == [(2, 0.2, 20.0)]
    assert evaluations(tmp_path / "absent") == []


@pytest.mark.parametrize("kind", ["median", "halving", "hyperband"])
def test_each_pruner_is_made(kind: str, tmp_path: Path) -> None:
    spec = pruned_spec(kind)
    assert type(make_pruner(spec)).__name__.lower().startswith({"halving": "successive"}.get(kind, kind))
    store = StudyStore.create(spec, tmp_path)
    for cell, params in enumerate(spec.grid()):
        trial = store.cells.draw(cell, params)
        store.cells.report(trial, {10 * k: 0.5 - 0.1 * cell for k in range(1, 8)})
        assert store.cells.should_prune(store.cells.all()[cell]) in (True, False)


def pruned_spec(kind: str = "median", seeds: str = "2"):
    words = ["distill.coef=0.1,0.2,0.3", "evaluation.every=2", "train.steps=8"]
    spec = spec_of(words=words, seeds=seeds, prune=kind)
    return spec.model_copy(update={"pruner": spec.pruner.model_copy(update={"startup": 1, "after": 0})})


def test_a_bad_cell_is_stopped_and_its_other_seeds_never_start(nursery: Nursery, tmp_path: Path) -> None:
    write_behaviour(tmp_path, worse={"  coef: 0.2": 0.01}, step=0.1)
    store = StudyStore.create(pruned_spec(), tmp_path)
    assert nursery.wait([nursery.start(store.folder, tmp_path)]) == ["over"]
    cells = store.view().cells
    assert [cell.state for cell in cells][:2] == ["done", "pruned"]
    first, second = cells[1].runs
    assert (first.state, [attempt.state for attempt in first.attempts]) == ("pruned", ["pruned"])
    assert first.reason == "its cell was pruned"
    assert (tmp_path / first.name / "run.json").exists()
    assert 2 <= max(cells[1].intermediate) < 8
    assert (second.state, second.attempts) == ("pruned", ())
    assert not (tmp_path / second.name).exists()
    trial = store.cells.all()[1]
    assert (trial.state.name, trial.value) == ("PRUNED", 0.01)
    assert list(cells[0].intermediate) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert cells[0].intermediate[16] == pytest.approx(cells[0].mean)


def test_the_seeds_that_others_play_are_stopped_too(nursery: Nursery, tmp_path: Path) -> None:
    write_behaviour(tmp_path, hold=str(tmp_path / "go"))
    store = StudyStore.create(pruned_spec(), tmp_path)
    workers = [nursery.start(store.folder, tmp_path)]
    until(lambda: store.view().cells[0].runs[0].state == "running")  # two at once might begin a cell each
    workers.append(nursery.start(store.folder, tmp_path))
    until(lambda: [run.state for run in store.view().cells[0].runs] == ["running", "running"])
    assert store.cells.prune(store.cells.all()[0])
    until(lambda: [run.state for run in store.view().cells[0].runs] == ["pruned", "pruned"])
    (tmp_path / "go").touch()
    assert nursery.wait(workers) == ["over", "over"]
    assert store.view().cells[0].state == "pruned"


def test_two_seeds_that_play_at_once_are_reported_in_order(nursery: Nursery, tmp_path: Path) -> None:
    """The second seed, which ends first, waits for the first."""
    store = StudyStore.create(pruned_spec(), tmp_path)
    trial = store.cells.draw(0, store.spec.suggest(0))
    slow = store.ledger.claim(0, 0, Claimant.here())
    pid = nursery.start(store.folder, tmp_path)
    until(lambda: store.view().cells[0].runs[1].state == "done")
    assert store.cells.all()[0].intermediate_values == {}
    assert store.ledger.finish(slow, "stopped", reason="its worker was interrupted")
    assert nursery.wait([pid]) == ["over"]
    assert trial._trial_id == store.cells.all()[0]._trial_id
    cell = store.view().cells[0]
    assert list(cell.intermediate)[-1] == 16 or cell.state == "pruned"
