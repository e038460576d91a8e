"""A worker: takes runs of a study, one at a time, until nothing is left.

    worker(StudyStore.open("quickstart-tau", root))

It may die at any instant: whatever it had begun is taken over by the others, or by the next worker.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdar_cli import stop
from sdar_cli.errors import SdarError
from sdar_cli.evaluation.files import write_bytes
from sdar_cli.sweep.choose import candidates, history
from sdar_cli.sweep.claims import Entry
from sdar_cli.sweep.closing import Closing, Publish
from sdar_cli.sweep.heartbeat import BEATS_PER_LEASE, Heart
from sdar_cli.sweep.orders import Orders
from sdar_cli.sweep.processes import Claimant
from sdar_cli.sweep.results import checkpoint_step, one_line
from sdar_cli.sweep.runner import TOLD, Command, Job, Outcome, Runner, sdar_command
from sdar_cli.sweep.store import StudyStore
from sdar_cli.sweep.view import StudyView

Ending = Literal["over", "paused", "interrupted"]
MOST_LOSSES = 8
"""Attempts in a row that were lost at the same step, or told to leave by others, after which a run has failed."""
MOST_IDLE = 5
"""Polls that a worker with nothing to do waits at most."""
SIGNALS = (*stop.SIGNALS, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker works; seconds where nothing else is said."""

    command: Command = sdar_command
    publish: Publish | None = None
    """Called when a cell has ended; None: ``sdar_cli.sweep.publish.publish``."""
    threads: int | None = None
    """Of each training's linear algebra; None: as the environment says."""
    gpu: str | None = None
    """``CUDA_VISIBLE_DEVICES`` of its trainings, each of which uses one; None: as the environment says."""
    poll: float = 1.0
    """Between two looks at the study."""
    patience: float = 120.0
    """That trainings of workers that are gone have to save and leave."""
    say: Callable[[str], None] = field(default=lambda sentence: None)
    """Gets a sentence for each thing worth one."""

    @property
    def environment(self) -> dict[str, str]:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        values = {} if self.threads is None else dict.fromkeys(names, str(self.threads))
        return values if self.gpu is None else values | {"CUDA_VISIBLE_DEVICES": self.gpu}


def worker(store: StudyStore, options: Options | None = None) -> Ending:
    """Work on a study until it is over or paused, or until Ctrl-C, SIGTERM, SIGUSR1 or SIGHUP; in the main thread.

    A run that plays when a signal comes is saved first; a second signal does not wait for that. ``stop.STOP`` knows
    which signal it was.
    """
    return _Worker(store, options or Options()).run()


class _Worker:
    def __init__(self, store: StudyStore, options: Options) -> None:
        self.store = store
        self.options = options
        self.who = Claimant.here()
        self.closing = Closing(store, options.publish, options.say)
        self.interrupts = 0
        self._woken = threading.Event()
        self._in_vain = 0
        """Claims in a row that others won."""
        self._random = random.Random(f"{self.who}")
        self._troubled = False

    def run(self) -> Ending:
        idle = 0
        with self._signals():
            while not self.interrupts:
                view: StudyView | None = self._patiently(self.closing.settled)
                if view is None:
                    break
                if view.is_over:
                    self.closing.publish_last(view)
                    return "over"
                if view.paused:
                    return "paused"
                claimed = self._patiently(lambda view=view: self._claim(view))
                if isinstance(claimed, Entry):
                    idle = 0
                    self._play(claimed)
                elif claimed == "nothing":
                    # Nothing but the end of others' runs brings something: a hundred who wait are no burden.
                    idle = min(idle + 1, MOST_IDLE)
                    self._woken.wait(self.options.poll * idle)
        return "interrupted"

    def _claim(self, view: StudyView) -> Entry | Literal["nothing", "lost"]:
        """Claim the next run. ``nothing``: none is free now; ``lost``: another was quicker."""
        wanted = candidates(view)
        if wanted:
            # Many workers that start at once would all try the first: those that lose spread.
            cell, seed = self._random.choice(wanted[: 2**self._in_vain])
        elif len(view.cells) < view.spec.total_cells:
            cell, seed = len(view.cells), view.spec.seeds[0]
        else:
            return "nothing"
        if cell not in self.store.cells.all():
            self.store.cells.draw(cell, view.spec.suggest(cell, history(view)))
        for entry in self.store.look()[1].get((cell, seed), []):
            if entry.is_live and not self._take_from(entry):
                return "lost"
        step = checkpoint_step(self.store.run_folder(cell, seed))
        claimed = self.store.ledger.claim(cell, seed, self.who, from_step=step, forgiven=lambda: self.store.forgiven)
        self._in_vain = min(self._in_vain + 1, 10) if claimed is None else 0
        return "lost" if claimed is None else claimed

    def _take_from(self, entry: Entry) -> bool:
        """End a lost worker's attempt; False while it lives."""
        if not self.store.observer.is_lost(entry):
            return False
        if self.store.ledger.finish(entry, "lost", reason=f"its worker {entry.claimant.worker} was lost"):
            self.store.beats.forget(entry)
            self.options.say(f"{self._name(entry)}: taken over from {entry.claimant.worker}, which was lost")
        return True

    def _play(self, entry: Entry) -> None:
        began = time.monotonic()
        with Heart(self.store.beats, entry, self.store.observer.lease / BEATS_PER_LEASE):
            outcome = self._outcome(entry)
            seconds = time.monotonic() - began
            told = outcome.end != "taken" and self._patiently(
                lambda: self._tell(entry, outcome, seconds), stubborn=True
            )
        if not told:
            self.options.say(f"{self._name(entry)}: another worker has it now")
            return
        words = outcome.end if outcome.reason is None else f"{outcome.end}, {outcome.reason}"
        self.options.say(f"{self._name(entry)}: {words}")
        self._patiently(lambda: self.closing.run_ended(entry.attempt.cell), stubborn=True)

    def _outcome(self, entry: Entry) -> Outcome:
        known = self._patiently(lambda: (self._losses(entry), self._params(entry)), stubborn=True)
        if known is None:
            return Outcome("stopped", "its worker was interrupted")
        losses, params = known
        name, log = self._name(entry), self._log(entry)
        if losses >= MOST_LOSSES:
            return Outcome(
                "failed",
                f"it was lost, or told to leave, {losses} times in a row at step {entry.attempt.from_step}: look into "
                f"{log.parent}, then use `sdar sweep retry-failed {self.store.name}`",
            )
        folder = self.store.run_folder(*entry.key)
        directory = self.store.spec.folder
        runner = Runner(
            command=self.options.command,
            environment=self.options.environment,
            orders=Orders(self.store, entry, folder, self.closing, self._trouble),
            interrupts=lambda: self.interrupts,
            poll=self.options.poll,
            patience=self.options.patience,
            directory=Path(directory) if directory else None,
        )
        try:
            return runner.play(Job(name, folder, log, lambda: self._write_recipe(entry, params)))
        except (SdarError, OSError) as error:
            return Outcome("failed", one_line(str(error)))

    def _params(self, entry: Entry) -> Mapping[str, Any]:
        return self.store.cells.all()[entry.attempt.cell].user_attrs["params"]

    def _losses(self, entry: Entry) -> int:
        """Attempts before this one, in a row, that were lost where this one starts, or told to leave by others."""
        forgiven = self.store.forgiven
        losses = 0
        for before in reversed(self.store.look()[1].get(entry.key, [])):
            attempt = before.attempt
            if attempt.number >= entry.attempt.number:
                continue
            if attempt.number in forgiven or attempt.from_step != entry.attempt.from_step:
                break
            losses += attempt.state == "lost" or TOLD in attempt.result
        return losses

    def _tell(self, entry: Entry, outcome: Outcome, seconds: float) -> bool:
        """End the attempt as it ended; False where another had ended it."""
        before = [one for one in self.store.look()[1].get(entry.key, []) if one.attempt.number < entry.attempt.number]
        done = outcome.end == "done"
        if done:
            seconds += sum(float(one.attempt.result.get("seconds", 0.0)) for one in before)
        return self.store.ledger.finish(
            entry,
            outcome.end,  # type: ignore[arg-type]
            reason=outcome.reason,
            result=outcome.result | {"seconds": round(seconds, 3)},
            value=outcome.result[self.store.spec.metric] if done else None,
        )

    def _write_recipe(self, entry: Entry, params: Mapping[str, Any]) -> Path:
        from sdar_cli.recipe.dump import dump

        recipe = self.store.spec.run_recipe(params, entry.attempt.seed, entry.attempt.cell).recipe
        path = self.store.folder / "recipes" / f"{self._name(entry)}.yaml"
        write_bytes(path, dump(recipe).encode())
        return path

    def _name(self, entry: Entry) -> str:
        return self.store.spec.run_name(*entry.key)

    def _log(self, entry: Entry) -> Path:
        return self.store.folder / "logs" / f"{self._name(entry)}.{entry.attempt.number}.log"

    def _patiently(self, call: Callable[[], Any], *, stubborn: bool = False) -> Any:
        """The call's value, tried again while the storage cannot be reached; None when interrupted meanwhile.

        ``stubborn``: only by an interrupt from now on, since an earlier one would leave a result untold.
        """
        from optuna.exceptions import StorageInternalError

        wait = 0.5
        allowed = self.interrupts if stubborn else 0
        while True:
            try:
                value = call()
            except (StorageInternalError, OSError) as error:
                self._trouble(error)
                if self.interrupts > allowed:
                    return None
                self._woken.clear()
                self._woken.wait(wait)
                wait = min(wait * 2, 30.0)
            else:
                self._troubled = False
                return value

    def _trouble(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            self.options.say(f"the study's storage cannot be used now, and is tried again ({one_line(str(error))})")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(number: int, frame: object) -> None:
            stop.STOP.hear(number)
            self.interrupts += 1
            self._woken.set()

        before = {number: signal.signal(number, handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
