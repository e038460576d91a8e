"""A study on disk: made whole or not at all, found, looked at, paused, forgiven."""

from __future__ import annotations

import json
import os
from pathlib import Path

import optuna
import pytest
from study_tools import spec_of

from sdar_cli.errors import StudyError
from sdar_cli.sweep.heartbeat import Heart, Observer
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.store import StudyStore, list_studies

RESULT = {"success": 0.5, "success_skills": 0.9, "score": 50.0, "score_skills": 90.0, "steps": 8, "collapsed": False}


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore.create(spec_of(words=["distill.coef=0.1,0.2"], seeds="2"), tmp_path)


def claim(store: StudyStore, cell: int, seed: int, who: Claimant | None = None, **options):
    store.cells.draw(cell, store.spec.suggest(cell))
    return store.ledger.claim(cell, seed, who or Claimant.here(), **options)


def end(store: StudyStore, cell: int, seed: int, how: str, success: float = 0.5, **options) -> None:
    entry = claim(store, cell, seed, forgiven=lambda: store.forgiven)
    if how == "done":
        options |= {"result": RESULT | {"success": success}, "value": success}
    assert store.ledger.finish(entry, how, **options)


def elsewhere(name: str = "far-1") -> Claimant:
    return Claimant(name, "far", "another machine", 1, 1)


def test_a_new_study_waits(store: StudyStore) -> None:
    view = store.view()
    assert [cell.label for cell in view.cells] == ["distill.coef=0.1", "distill.coef=0.2"]
    assert [cell.state for cell in view.cells] == ["waiting", "waiting"]
    assert view.counts == {"waiting": 4}
    assert (view.total_runs, view.is_over, view.paused) == (4, False, False)
    assert view.cells[1].runs[1].name == "study-c001-s1"


def test_what_a_kill_left_of_a_study_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container the next process may well have the same pid."""
    spec = spec_of(words=["distill.coef=0.1,0.2"], seeds="2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", lambda *_: os._exit(9))
        if (pid := os.fork()) == 0:
            try:
                patch.setattr(os, "getpid", os.getppid)
                StudyStore.create(spec, tmp_path)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 9 << 8
    assert [path.name for path in (tmp_path / "studies").iterdir()] == [f".study-{os.getpid()}"]
    store = StudyStore.create(spec, tmp_path)
    assert list((tmp_path / "studies").iterdir()) == [store.folder] and store.view().counts == {"waiting": 4}


def test_another_process_sees_the_same(store: StudyStore, tmp_path: Path) -> None:
    end(store, 0, 1, "done")
    claim(store, 1, 0)
    for reference in ("study", store.folder, str(store.folder)):
        assert StudyStore.open(reference, tmp_path).view() == store.view()


def test_states_of_runs_and_cells(store: StudyStore) -> None:
    end(store, 0, 0, "done", success=0.25)
    assert store.view().cells[0].state == "running"
    end(store, 0, 1, "done", success=0.75)
    cell = store.view().cells[0]
    assert (cell.state, cell.mean, cell.is_over) == ("done", 0.5, True)
    end(store, 1, 0, "failed", reason="no memory")
    assert store.view().cells[1].state == "running"
    end(store, 1, 1, "failed", reason="no memory")
    view = store.view()
    assert (view.cells[1].state, view.is_over) == ("failed", True)
    assert view.cells[1].runs[0].reason == "no memory"
    assert view.counts == {"done": 2, "failed": 2}


def test_a_cell_with_a_failed_run_is_partial_until_it_is_forgiven(store: StudyStore) -> None:
    end(store, 0, 0, "done")
    end(store, 0, 1, "failed", reason="no memory")
    assert store.view().cells[0].state == "partial"
    assert store.forgive() == 1
    assert store.forgive() == 0
    assert store.view().cells[0].runs[1].state == "waiting"
    end(store, 0, 1, "failed", reason="no memory")
    assert store.view().cells[0].state == "partial"
    assert store.forgive() == 1
    end(store, 0, 1, "done")
    assert store.view().cells[0].state == "done"


def test_a_pruned_cell_keeps_what_is_done_and_starts_nothing_more(store: StudyStore) -> None:
    end(store, 0, 0, "done")
    assert store.cells.prune(store.cells.all()[0])
    assert not store.cells.prune(store.cells.all()[0])
    cell = store.view().cells[0]
    assert (cell.state, [run.state for run in cell.runs]) == ("pruned", ["done", "pruned"])
    assert not store.cells.finish(store.cells.all()[0], 0.5)


def test_a_worker_of_this_machine_that_is_gone_is_lost_at_once(store: StudyStore) -> None:
    here = Claimant.here()
    claim(store, 0, 0, Claimant("dead", here.host, here.machine, here.pid, here.birth + 1))
    claim(store, 0, 1)
    assert [run.state for run in store.view().cells[0].runs] == ["lost", "running"]


def test_a_worker_elsewhere_is_lost_when_its_beats_stand_still_for_a_lease(store: StudyStore) -> None:
    now = [100.0]
    store.observer = Observer(store.beats, 60.0, clock=lambda: now[0])
    entry = claim(store, 0, 0, elsewhere())

    def state() -> str:
        return store.view().cells[0].runs[0].state

    assert state() == "running"
    now[0] += 59
    assert state() == "running"
    store.beats.write(entry, 1)
    now[0] += 59
    assert state() == "running"
    now[0] += 60.5
    assert state() == "lost"
    store.beats.write(entry, 2)
    assert state() == "running"


def test_a_heart_beats_until_its_block_ends(store: StudyStore) -> None:
    entry = claim(store, 0, 0)
    with Heart(store.beats, entry, 0.001):
        while store.beats.read(entry) < 3:
            pass
    assert store.beats.read(entry) == 0
    assert list((store.folder / "beats").iterdir()) == []


def test_two_draw_the_same_cell_and_one_setting_stands(store: StudyStore, tmp_path: Path, monkeypatch) -> None:
    other = StudyStore.open("study", tmp_path)
    monkeypatch.setattr(other.cells, "all", first_empty(other.cells.all))
    first = store.cells.draw(0, {"distill.coef": 0.1})
    second = other.cells.draw(0, {"distill.coef": 0.2})
    assert second.number == first.number
    assert second.user_attrs["params"] == {"distill.coef": 0.1}
    trials = store._storage.get_all_trials(store._cells_id)
    assert [trial.state.name for trial in trials] == ["RUNNING", "FAIL"]
    assert store.view().cells[0].params == {"distill.coef": 0.1}


def first_empty(read):
    """Answers as before another's write, once; then as it is."""
    answers = iter([{}])
    return lambda: next(answers, None) if answers.__length_hint__() else read()


def test_cells_are_trials_that_optuna_reads(store: StudyStore) -> None:
    end(store, 0, 0, "done", success=0.25)
    store.cells.report(store.cells.all()[0], {8: 0.25})
    store.cells.finish(store.cells.all()[0], 0.25)
    study = optuna.load_study(study_name="study", storage=store._storage)
    assert study.best_params == {"distill.coef": 0.1}
    assert (study.best_value, study.best_trial.intermediate_values) == (0.25, {8: 0.25})


def test_values_that_optuna_cannot_hold_are_texts_to_it(tmp_path: Path) -> None:
    tiny = "{layers: 1, width: 48, heads: 6, mlp: 96}"
    words = [f"model.tiny={tiny},{tiny.replace('48', '96')}", "policy.dual_clip=null,3.0"]
    store = StudyStore.create(spec_of(words=words, seeds="1"), tmp_path)
    for index, params in enumerate(store.spec.grid()):
        assert store.cells.draw(index, params).user_attrs["params"] == params
    assert [cell.params for cell in store.view().cells] == list(store.spec.grid())


def test_pausing(store: StudyStore, tmp_path: Path) -> None:
    store.pause()
    assert (store.pause_asked, StudyStore.open("study", tmp_path).view().paused) == ("after", True)
    store.pause(now=True)
    assert store.pause_asked == "now"
    store.unpause()
    assert (store.pause_asked, store.view().paused) == ("no", False)


def test_orders_to_a_study_that_cannot_be_written_are_a_sentence(store: StudyStore, monkeypatch) -> None:
    def refuse(lock) -> bool:
        raise OSError(30, "Read-only file system")

    end(store, 0, 0, "failed", reason="no memory")
    monkeypatch.setattr("sdar_cli.sweep.journal_lock.JournalLock.acquire", refuse)
    store.unpause()
    for order in (store.pause, store.forgive):
        with pytest.raises(StudyError, match=r"studies/study cannot be written \(Read-only file system\): make it"):
            order()


def test_studies_are_listed_by_age_and_damaged_ones_left_out(store: StudyStore, tmp_path: Path) -> None:
    StudyStore.create(spec_of("another", ["distill.coef=0.1,0.2"], seeds="1"), tmp_path)
    damaged = tmp_path / "studies" / "damaged"
    damaged.mkdir()
    (damaged / "study.json").write_text("{")
    assert [folder.name for folder in list_studies(tmp_path)] == ["study", "another"]
    assert list_studies(tmp_path / "nowhere") == []


def test_a_name_is_taken_once_and_a_failure_leaves_nothing(store: StudyStore, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(
        StudyError, match=r"there is a study 'study' in .* already: go on with `sdar sweep resume study`"
    ):
        StudyStore.create(store.spec, tmp_path)
    monkeypatch.setattr("sdar_cli.sweep.store.open_storage", fail)
    with pytest.raises(StudyError, match="no disk"):
        StudyStore.create(spec_of("second"), tmp_path)
    assert os.listdir(tmp_path / "studies") == ["study"]


def fail(*arguments):
    raise StudyError("no disk")


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("stdy", "did you mean 'study'"),
        ("zzzzzz", "the newest is 'study'"),
        ("..", "names no study"),
        ("", "names no study"),
        ("a\0b", "names no study"),
    ],
)
def test_a_study_that_is_not_there_is_a_sentence(store: StudyStore, tmp_path: Path, reference, sentence) -> None:
    with pytest.raises(StudyError, match=sentence):
        StudyStore.open(reference, tmp_path)


def test_a_damaged_study_is_a_sentence(store: StudyStore, tmp_path: Path) -> None:
    file = store.folder / "study.json"
    content = json.loads(file.read_text())
    for damage, sentence in (
        ({"format": 2}, "is of format 2, not 1"),
        ({"created": None}, "is damaged"),
        ({"storage": 5}, "is damaged"),
        ({"spec": {"name": "study"}}, r"is damaged at \w+"),
        ({"storage": "nonsense"}, "the storage is no URL of a database: write for example postgresql://"),
    ):
        file.write_text(json.dumps(content | damage))
        with pytest.raises(StudyError, match=sentence):
            StudyStore.open("study", tmp_path)
    file.write_text(json.dumps(content))
    (store.folder / "journal.log").unlink()
    with pytest.raises(StudyError, match=r"journal\.log does not exist: restore it from a copy, or remove the study"):
        StudyStore.open("study", tmp_path)


def test_a_database_holds_the_specification_for_a_second_machine(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    first = StudyStore.create(spec_of(words=["distill.coef=0.1,0.2"], seeds="2"), tmp_path / "one", url)
    second = StudyStore.open("study", tmp_path / "two", url)
    assert second.spec == first.spec
    entry = claim(second, 0, 0)
    assert second.beats.write(entry, 1)
    assert first.beats.read(first.ledger.entries()[0]) == 1
    assert first.view().counts == {"running": 1, "waiting": 3}
    assert claim(first, 0, 0) is None
    assert first.ledger.finish(entry, "lost", reason="its worker was lost")
    assert not second.beats.write(entry, 2)
    again = StudyStore.open("study", tmp_path / "two")
    assert again.view().cells == first.view().cells
    with pytest.raises(StudyError, match=r"there is a study 'study' in sqlite.* already"):
        StudyStore.create(first.spec, tmp_path / "three", url)
    with pytest.raises(StudyError, match="there is no study 'other' in sqlite"):
        StudyStore.open("other", tmp_path / "three", url)


def test_a_pruned_cell_has_no_run_to_forgive(tmp_path: Path) -> None:
    store = StudyStore.create(spec_of(words=["distill.coef=0.1,0.2"], seeds="2"), tmp_path)
    for cell in range(2):
        trial = store.cells.draw(cell, store.spec.suggest(cell))
        assert store.ledger.finish(claim(store, cell, 0), "failed", reason="no memory")
    assert store.cells.prune(trial)
    assert store.forgive() == 1 and store.forgive() == 0
    assert [run.state for run in store.view().runs] == ["waiting", "waiting", "pruned", "pruned"]
