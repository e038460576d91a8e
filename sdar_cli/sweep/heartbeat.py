"""Signs of life: a counter that a worker's thread raises, and observers who time it by their own clocks.

No clock of one machine is compared with another's: an attempt is lost once its counter has stood still for a lease
of the observer's own time, or at once where its worker is a process of the observer's machine and is gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sdar_cli.reading import Unreadable, read_text
from sdar_cli.sweep.claims import Entry, Ledger

LEASE = 60.0
"""Seconds without a sign of life after which a worker counts as lost."""
BEATS_PER_LEASE = 12
LONGEST = 64
"""Bytes of a counter."""


class FileBeats:
    """Counters as files ``beats/<attempt>``, for studies in a folder: a journal would grow with each beat."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, entry: Entry, count: int) -> bool:
        """Always True: whether the attempt goes on is not known here."""
        self._folder.mkdir(exist_ok=True)
        (self._folder / str(entry.attempt.number)).write_text(f"{count}\n", "ascii")
        return True

    def read(self, entry: Entry) -> int:
        try:
            return int(read_text(self._folder / str(entry.attempt.number), LONGEST))
        except (Unreadable, ValueError):
            return 0

    def forget(self, entry: Entry) -> None:
        (self._folder / str(entry.attempt.number)).unlink(missing_ok=True)


class StoredBeats:
    """Counters as an attribute of the attempt, in a database."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def write(self, entry: Entry, count: int) -> bool:
        """False where the attempt was ended by another."""
        return self._ledger.beat(entry, count)

    def read(self, entry: Entry) -> int:
        return entry.beat

    def forget(self, entry: Entry) -> None:
        pass


Beats = FileBeats | StoredBeats


class Observer:
    """Says which live attempts are lost; it has to watch for a lease before it can tell of another machine's."""

    def __init__(self, beats: Beats, lease: float = LEASE, clock: Callable[[], float] = time.monotonic) -> None:
        self._beats = beats
        self._clock = clock
        self._seen: dict[int, tuple[int, float]] = {}
        """Attempt → its counter, and when it was first seen at that."""
        self.lease = lease

    def is_lost(self, entry: Entry) -> bool:
        if entry.claimant.is_dead:
            return True
        now = self._clock()
        count = self._beats.read(entry)
        before = self._seen.get(entry.attempt.number)
        if before is None or before[0] != count:
            self._seen[entry.attempt.number] = (count, now)
            return False
        return now - before[1] > self.lease


class Heart:
    """Beats for an attempt while the block runs, in a thread of its own."""

    def __init__(self, beats: Beats, entry: Entry, interval: float) -> None:
        self._beats = beats
        self._entry = entry
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        # A beat that a dead server holds up is not waited for.
        self._thread.join(5.0)
        self._beats.forget(self._entry)

    def _run(self) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            # A disk or a server that fails now may not at the next beat.
            with suppress(Exception):
                self._beats.write(self._entry, count)
            self._stop.wait(self._interval)
