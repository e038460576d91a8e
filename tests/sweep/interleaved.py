"""Several claimants on one storage, switched between at every storage call as a schedule says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import optuna

from sdar_cli.sweep.claims import Ledger, by_run, standing
from sdar_cli.sweep.processes import Claimant

KEY = (0, 0)


class Killed(BaseException):
    """What a claimant meets at the call at which it is killed."""


@dataclass
class Turns:
    """Gives one actor at a time leave for one call: by the schedule, then whoever waited longest."""

    schedule: Sequence[int]
    waiting: dict[int, threading.Event] = field(default_factory=dict)
    idle: threading.Condition = field(default_factory=threading.Condition)
    ready: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)

    def ask(self, actor: int) -> None:
        with self.idle:
            self.ready.add(actor)
            self.idle.notify_all()
        self.waiting[actor].wait()
        self.waiting[actor].clear()

    def leave(self, actor: int) -> None:
        with self.idle:
            self.finished.add(actor)
            self.idle.notify_all()

    def run(self, actors: Sequence[Callable[[], None]]) -> int:
        """Play to the end; returns the number of calls."""
        self.waiting = {index: threading.Event() for index in range(len(actors))}
        threads = [threading.Thread(target=actor, daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        everyone, calls, wanted = set(range(len(actors))), 0, iter(self.schedule)
        turns: dict[int, int] = {}
        while True:
            with self.idle:
                assert self.idle.wait_for(lambda: self.ready | self.finished == everyone, timeout=10), (
                    "a claimant hangs"
                )
                if self.finished == everyone:
                    return calls
                chosen = next((one for one in wanted if one in self.ready), None)
                if chosen is None:
                    chosen = min(self.ready, key=lambda one: turns.get(one, 0))
                self.ready.discard(chosen)
            calls += 1
            turns[chosen] = calls
            self.waiting[chosen].set()


class Turned:
    """A storage whose calls wait for their turn; at call number ``dies`` the actor is killed instead."""

    def __init__(self, storage, turns: Turns, actor: int, dies: int | None) -> None:
        self._storage, self._turns, self._actor, self._dies = storage, turns, actor, dies
        self._calls = 0

    def __getattr__(self, name: str):
        method = getattr(self._storage, name)

        def call(*arguments, **options):
            self._turns.ask(self._actor)
            self._calls += 1
            if self._dies is not None and self._calls >= self._dies:
                raise Killed
            return method(*arguments, **options)

        return call


class World:
    """One run, and claimants who do with the ledger what a worker does."""

    def __init__(self, schedule: Sequence[int], dies: Sequence[int | None], storage=None, impatient: bool = False):
        """``impatient``: claimants take each other for lost at once, as under a lease that is far too short."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.storage = storage or optuna.storages.InMemoryStorage()
        self.study = self.storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], f"study-{id(self)}")
        self.turns = Turns(schedule)
        self.dies = dies
        self.impatient = impatient
        self.dead: set[int] = set()
        self.playing: set[int] = set()
        self.together = 0
        self.failures: list[BaseException] = []

    def play(self) -> int:
        return self.turns.run([lambda actor=actor: self._actor(actor) for actor in range(len(self.dies))])

    def entries(self):
        return by_run(Ledger(self.storage, self.study).entries()).get(KEY, [])

    def _actor(self, actor: int) -> None:
        ledger = Ledger(Turned(self.storage, self.turns, actor, self.dies[actor]), self.study)
        who = Claimant(f"w{actor}", "host", "machine", actor, actor)
        try:
            for _ in range(50):
                if self._once(ledger, who):
                    break
            else:
                raise AssertionError("no end to it")
        except Killed:
            self.dead.add(actor)
            self.playing.discard(actor)
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.turns.leave(actor)

    def _once(self, ledger: Ledger, who: Claimant) -> bool:
        """One round of a worker; whether nothing is left to do."""
        mine = by_run(ledger.entries()).get(KEY, [])
        if standing(mine) == "done":
            return True
        for entry in mine:
            if entry.is_live:
                gone = entry.claimant.pid in self.dead or (self.impatient and entry.claimant != who)
                if not gone:
                    return False
                ledger.finish(entry, "lost", reason="it was lost")
        entry = ledger.claim(*KEY, who)
        if entry is None:
            return False
        self.together += bool(self.playing)
        self.playing.add(who.pid)
        ledger.entry(entry.trial)
        self.playing.discard(who.pid)
        ledger.finish(entry, "done", result={"success": 1.0}, value=1.0)
        return False
