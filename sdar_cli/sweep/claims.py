"""Who does what: claims on runs and on cells that hold among any number of workers, killed ones too.

There is no lock to hold. A claim is a trial that is created RUNNING with its run among its attributes in one write;
the storage numbers trials, and of the live claims on a run the lowest number holds. So a claimant writes, reads
again, and withdraws where another was first. A claim ends by finishing its trial, which can happen once: whoever
finishes a dead worker's claim as ``lost`` has taken the run from it, and the run may be claimed anew.

An attempt's end and its kind are one write: a FAIL trial's value says which kind it was.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.view import CLAIMABLE, Attempt, AttemptState, RunStateName

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

End = Literal["done", "failed", "lost", "stopped", "pruned", "duplicate"]

KINDS: Mapping[int, AttemptState] = {1: "failed", 2: "lost", 3: "stopped", 4: "duplicate"}
"""Value of a FAIL trial → what became of the attempt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An attempt as it is stored."""

    attempt: Attempt
    trial: int
    """Optuna's id of the trial."""
    claimant: Claimant
    token: str
    """Of one call of ``claim``."""
    beat: int
    """The newest heartbeat in a database; a journal's are files (heartbeat.py)."""

    @property
    def key(self) -> tuple[int, int]:
        return self.attempt.cell, self.attempt.seed

    @property
    def is_live(self) -> bool:
        return self.attempt.state == "running"


def standing(entries: Sequence[Entry], forgiven: frozenset[int] = frozenset()) -> RunStateName:
    """Where a run stands by its attempts, given in order; a live attempt is not asked whether its worker lives."""
    told = [entry.attempt for entry in entries if entry.attempt.state != "duplicate"]
    if any(attempt.state == "done" for attempt in told):
        return "done"
    if not told:
        return "waiting"
    if any(attempt.state == "running" for attempt in told):
        return "running"
    last = told[-1]
    if last.state == "failed" and last.number in forgiven:
        return "waiting"
    return last.state  # type: ignore[return-value]


class Ledger:
    """The attempts of a study."""

    def __init__(self, storage: BaseStorage, study: int) -> None:
        self._storage = storage
        self._study = study
        self._read: dict[int, tuple[FrozenTrial, Entry]] = {}

    def entries(self) -> list[Entry]:
        """All attempts, by number."""
        entries = []
        for trial in self._storage.get_all_trials(self._study, deepcopy=False):
            known = self._read.get(trial.number)
            if known is None or known[0] is not trial:
                known = self._read[trial.number] = (trial, _entry(trial))
            entries.append(known[1])
        return entries

    def entry(self, trial: int) -> Entry:
        return _entry(self._storage.get_trial(trial))

    def claim(
        self,
        cell: int,
        seed: int,
        who: Claimant,
        *,
        from_step: int = 0,
        forgiven: Callable[[], frozenset[int]] = frozenset,
    ) -> Entry | None:
        """Claim a run; None where another holds it, or where nothing is left to do."""
        from optuna.trial import TrialState, create_trial

        token = uuid.uuid4().hex
        attributes = {
            "cell": cell,
            "seed": seed,
            "worker": who.worker,
            "host": who.host,
            "machine": who.machine,
            "pid": who.pid,
            "birth": who.birth,
            "from_step": from_step,
            "started": time.time(),
            "token": token,
        }
        template = create_trial(state=TrialState.RUNNING, user_attrs=attributes)
        template.datetime_start = datetime.now()
        self._storage.create_new_trial(self._study, template_trial=template)
        same = [entry for entry in self.entries() if entry.key == (cell, seed)]
        # Where the connection broke and the storage tried again, there are several of ours.
        mine = [entry for entry in same if entry.token == token]
        first = next((entry for entry in same if entry.is_live), None)
        others = [entry for entry in same if not entry.is_live]
        won = first is not None and first.token == token and standing(others, forgiven()) in CLAIMABLE
        for entry in mine[1:] if won else mine:
            self.finish(entry, "duplicate")
        return mine[0] if won else None

    def finish(
        self,
        entry: Entry,
        end: End,
        *,
        reason: str | None = None,
        result: Mapping[str, Any] | None = None,
        value: float | None = None,
    ) -> bool:
        """End an attempt; False where somebody else had ended it, and nothing was changed.

        Args:
            end: how.
            reason: one sentence.
            result: of a run that is done, or what a stopped attempt tells (``seconds``).
            value: of a run that is done.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        states = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        kinds = {name: float(code) for code, name in KINDS.items()}
        values = [kinds[end]] if end in kinds else None if value is None else [value]
        try:
            # Named after the end, as two may be about to end it differently: the last write alone decides.
            if reason is not None:
                self._storage.set_trial_user_attr(entry.trial, f"reason {end}", reason)
            if result is not None:
                self._storage.set_trial_user_attr(entry.trial, f"result {end}", dict(result))
            self._storage.set_trial_state_values(entry.trial, states.get(end, TrialState.FAIL), values)
        except UpdateFinishedTrialError:
            return False
        return True

    def beat(self, entry: Entry, count: int) -> bool:
        """Write a heartbeat into the attempt itself; False where it has ended."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            self._storage.set_trial_user_attr(entry.trial, "beat", count)
        except UpdateFinishedTrialError:
            return False
        return True


def by_run(entries: Iterable[Entry]) -> dict[tuple[int, int], list[Entry]]:
    """(cell, seed) → its attempts in order, duplicates left out."""
    runs: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries:
        if entry.attempt.state != "duplicate":
            runs.setdefault(entry.key, []).append(entry)
    return runs


def _entry(trial: FrozenTrial) -> Entry:
    stored = trial.user_attrs
    state = _state(trial)
    ended = trial.datetime_complete
    claimant = Claimant(stored["worker"], stored["host"], stored["machine"], stored["pid"], stored["birth"])
    attempt = Attempt(
        number=trial.number,
        cell=stored["cell"],
        seed=stored["seed"],
        state=state,
        worker=claimant.worker,
        host=claimant.host,
        pid=claimant.pid,
        started=stored["started"],
        ended=None if ended is None else _seconds(ended),
        from_step=stored["from_step"],
        reason=stored.get(f"reason {state}"),
        result=stored.get(f"result {state}", {}),
    )
    return Entry(attempt, trial._trial_id, claimant, stored["token"], stored.get("beat", 0))


def _state(trial: FrozenTrial) -> AttemptState:
    from optuna.trial import TrialState

    if trial.state == TrialState.COMPLETE:
        return "done"
    if trial.state == TrialState.PRUNED:
        return "pruned"
    if trial.state == TrialState.FAIL:
        return KINDS[int(trial.values[0])] if trial.values else "lost"
    return "running"


def _seconds(moment: datetime) -> float:
    """Optuna keeps local time without a zone."""
    return moment.astimezone(UTC).timestamp()
