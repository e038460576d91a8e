"""A study of 2,000 runs: what it writes, and what looking at it reads."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from study_tools import spec_of

from sdar_cli.sweep.cell_trials import CellTrials
from sdar_cli.sweep.claims import Ledger
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.store import StudyStore

pytestmark = pytest.mark.long

RESULT = {"success": 0.5, "success_skills": 0.9, "score": 50.0, "score_skills": 90.0, "steps": 8, "collapsed": False}


def test_a_study_of_2000_runs_takes_a_line_a_write_and_none_to_look_at(tmp_path: Path, monkeypatch) -> None:
    coefs = ",".join(str(round(0.01 * k, 2)) for k in range(1, 41))
    store = StudyStore.create(spec_of(words=[f"distill.coef={coefs}"], seeds="50"), tmp_path)
    journal = store.folder / "journal.log"
    lines = Lines(journal.read_bytes())
    storage = optuna.storages.JournalStorage(lines)
    cells, ledger = CellTrials(storage, store._cells_id, store.spec), QuickLedger(storage, store._runs_id)
    monkeypatch.setattr(cells, "all", dict)
    before = len(lines.logs)
    for cell, params in enumerate(store.spec.grid()):
        with pytest.raises(KeyError):
            cells.draw(cell, params)
        for seed in range(50):
            ledger.finish(ledger.claim(cell, seed, Claimant.here()), "done", result=RESULT, value=0.5)
    assert len(lines.logs) - before == 40 + 3 * 2000
    journal.write_text("".join(json.dumps(log) + "\n" for log in lines.logs))

    reader = StudyStore.open("study", tmp_path)
    reads: list[int] = []
    monkeypatch.setattr(reader._storage._backend, "read_logs", counted(reader._storage._backend.read_logs, reads))
    assert reader.view().counts == {"done": 2000}
    assert reads == []


class Lines:
    """A journal in memory."""

    def __init__(self, content: bytes) -> None:
        self.logs = [json.loads(line) for line in content.splitlines()]

    def append_logs(self, logs) -> None:
        self.logs += json.loads(json.dumps(logs))

    def read_logs(self, start: int):
        return iter(self.logs[start:])


class QuickLedger(Ledger):
    """Claims look at the newest attempt only; a second look at all of them takes quadratic time in all."""

    def entries(self):
        trials = self._storage.get_all_trials(self._study, deepcopy=False)
        return [self.entry(trial._trial_id) for trial in trials[-1:]]


def counted(read, reads: list[int]):
    def reading(start: int):
        for line in read(start):
            reads.append(1)
            yield line

    return reading
