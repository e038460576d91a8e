"""Writes for MLflow on disk, put down before they are sent and kept until the store has them.

    RUN/tracking/spool.jsonl   what is known already, then a write a line: number, kind, time, content
    RUN/tracking/sent          the number of the last write that the store has
    RUN/tracking/traces/       episodes, a file a write, since they are large and the first to go
    RUN/tracking/late/         the same once more, of writes that the store fails at while it takes others (late.py)

A write is only ever appended, so a kill leaves whole lines and at most one that is cut, which is forgotten: what it
belonged to is done again after a restart. Of each metric and step the first value counts, and a key that counts once
is put once: what is played again is not sent again. A write that the store took and did not confirm goes out once
more, byte for byte, and falls on itself there.

A write survives a kill without being synced, as the system has it; ``sync`` (at each checkpoint) makes it survive the
machine's. The run's lock keeps a second process out; one that was forked has no say here.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sdar_cli.runs.disk import disk
from sdar_cli.tracking.known import Known
from sdar_cli.tracking.spool_file import FILE, OLD, Place, SpoolFile, untorn
from sdar_cli.tracking.system import PREFIX
from sdar_cli.tracking.trace_files import TraceFiles, pack
from sdar_cli.tracking.write import Write, digest, head, line, parse, read

CREATE, TRACES = "create", "traces"
LIMIT = 2**30
"""Bytes of unsent writes above which traces are given up."""
_WORTH = 2**20
"""Bytes of sent writes for which the file is written anew."""
_WHAT = "what MLflow is to be sent"


class Spool:
    """Of one MLflow run, in a folder of its own. ``first`` and ``acknowledge`` are for one thread, the rest for others.

    Raises:
        RunError: what lies there is no file.
        RunFailed: the disk is full; what was put down before stays.
    """

    def __init__(
        self,
        folder: Path,
        run_id: str,
        limit: int = LIMIT,
        say: Callable[[str], None] = lambda sentence: None,
        before: Callable[[], Known] = Known,
    ) -> None:
        """``run_id``: empty where the run was not made yet, or only the file knows it. ``before`` makes what the store
        has already, where no spool was kept for the run up to now."""
        self.folder = folder
        self.run_id, self._limit, self.say = run_id, limit, say
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._known = Known()
        self._creation: Mapping[str, Any] = {}
        """How the run is to be made, as it was put down last: an earlier word may be what the store said no to."""
        self._places: deque[Place] = deque()
        self._next, self._synced = 1, 0
        self._done = self._waits = 0
        """Bytes: of sent writes in the file, of unsent writes with their traces."""
        self._gave_up = self._closed = False
        with disk(folder, _WHAT):
            self._traces = TraceFiles(folder / TRACES)
            self._file = SpoolFile(folder, self._read)
            self._begin(before)

    @property
    def waiting(self) -> int:
        return len(self._places)

    @property
    def next_system_step(self) -> int:
        with self._lock:
            return self._known.next_step(PREFIX)

    def name_run(self, run_id: str) -> None:
        """The run was made: it is noted on the disk before anything is sent to it."""
        with self._lock:
            if self._has_say and self.run_id != run_id:
                with disk(self.folder, _WHAT):
                    self._rewrite(run_id)
                self.run_id = run_id

    def metrics(self, step: int, values: Mapping[str, float]) -> int:
        """Put down those values that have none of their step yet; returns how many of them there were."""
        with self._lock:
            fresh = self._known.fresh(step, values)
            if fresh:
                self._append("metrics", {"step": step, "values": {name: values[name] for name in fresh}})
        return len(fresh)

    def put(self, kind: str, content: Mapping[str, Any], *, key: str | None = None, once: bool = False) -> bool:
        """Put a write down, and say whether it is one.

        A ``key`` that counts ``once`` is put once; another where its content is not what it was last.
        """
        with self._lock:
            if once and key in self._known.once:
                return False
            if key is None or once:
                return self._append(kind, content, {} if key is None else {"once": key})
            found = digest(kind, content)
            return self._known.last.get(key) != found and self._append(kind, content, {"key": key, "sum": found})

    def traces(self, key: str, traces: list[Any]) -> bool:
        """Put episodes down, once a key, unless there is no room for them."""
        packed = pack(traces)
        with self._lock:
            if not self._has_say or key in self._known.once or not self._has_room(len(packed)):
                return False
            self._traces.write(self._next, packed)
            return self._append("traces", {"bytes": len(packed)}, {"once": key})

    def take_over(self, other: Spool, write: Write) -> None:
        """Put down a write of another spool as it stands there, with its time, key and traces."""
        with self._lock:
            if write.kind == "traces" and self._has_say:
                self._traces.copy(other._traces, write.number, self._next)
            self._append(write.kind, write.content, write.extra, write.at)

    def is_replaced(self, write: Write) -> bool:
        """Whether something else was put down under the write's key since."""
        with self._lock:
            return "sum" in write.extra and self._known.last.get(write.extra["key"]) != write.extra["sum"]

    def replay(self, step: int) -> set[int]:
        """All steps that came again, this one too."""
        with self._lock:
            return self._known.replayed | {step}

    def first(self) -> Write | None:
        """The oldest write that the store does not have; it is on the disk by then, so that a machine that crashes does
        not forget what the store was given."""
        with self._lock:
            write = self._first()
            if write is None or write.number <= self._synced:
                return write
            synced, file = self._next - 1, self._file.duplicate()
        self._put_on_disk(file)
        self._synced = synced
        return write

    def behind(self, write: Write) -> list[Write]:
        """What comes after the oldest write: the next one, and the next of another kind."""
        with self._lock:
            others = list(islice(self._places, 1, None)) if not self._closed else []
            of_other_kind = [place for place in others if place.kind != write.kind]
            chosen = {place.number: place for place in (*others[:1], *of_other_kind[:1])}
            return [found for place in chosen.values() if (found := read(self._file.read(place))) is not None]

    def _first(self) -> Write | None:
        while self._places and not self._closed:
            write = read(self._file.read(self._places[0]))
            if write is not None:
                return replace(write, content=self._creation) if write.kind == CREATE else write
            self._forget()  # the disk gave back something else than it was given
        return None

    def read_traces(self, write: Write) -> list[Any]:
        """Episodes of a write; none where they were given up."""
        return self._traces.read(write.number)

    def acknowledge(self, number: int) -> None:
        """The store has everything up to this write."""
        with self._lock:
            while self._places and self._places[0].number <= number and not self._closed:
                self._forget()

    def sync(self) -> None:
        """Put what was written on the disk itself, and take sent writes out where they are many."""
        with disk(self.folder, _WHAT):
            with self._lock:
                if not self._has_say:
                    return
                if self._is_worth_it():
                    self._rewrite()
                file = self._file.duplicate()
            self._put_on_disk(file)

    def _put_on_disk(self, file: int) -> None:
        """Episodes first, as their lines say that they were put down; nobody waits for the disk meanwhile."""
        try:
            self._traces.sync()
            os.fdatasync(file)
        finally:
            os.close(file)

    def close(self) -> int:
        """Leave the folder to the next process; returns how many writes wait in it."""
        with self._lock:
            if self._has_say:
                if self._done and not self._places:
                    with suppress(OSError):  # a full disk: the longer file says the same
                        self._rewrite()
                self._file.close()
            self._closed = True
            return len(self._places)

    @property
    def _has_say(self) -> bool:
        """Not when it is closed, nor in a process that was forked."""
        return not self._closed and os.getpid() == self._process

    def _append(
        self, kind: str, content: Mapping[str, Any], extra: Mapping[str, str] = {}, at: int | None = None
    ) -> bool:
        if not self._has_say:
            return False
        at = int(1000 * time.time()) if at is None else at
        entry = {"n": self._next, "kind": kind, "at": at, "content": content, **extra}
        text = line(entry)
        self._has_room(len(text))
        with disk(self.folder, _WHAT), untorn():  # else the next write could get the same number
            self._take(entry, self._file.append(text), len(text))
        return True

    def _take(self, entry: Mapping[str, Any], start: int, length: int) -> None:
        """Enter a line that is in the file."""
        kind, content = entry["kind"], entry["content"]
        self._known.enter(entry)
        if kind == CREATE:
            self._creation = content
        traces = content["bytes"] if kind == TRACES else 0
        self._places.append(Place(entry["n"], kind, start, length, traces))
        self._waits += length + traces
        self._next = entry["n"] + 1

    def _forget(self) -> None:
        """Note that the first write is over; its number goes to the disk before its traces leave it."""
        place = self._places.popleft()
        self._done += place.length
        self._waits -= place.length + place.traces
        self._file.note_sent(place.number)
        if place.traces:
            self._traces.remove(place.number)

    def _has_room(self, more: int) -> bool:
        """Make room by giving up the oldest traces; whether there is enough now."""
        if self._waits + more <= self._limit:
            return True
        for place in self._places:
            if place.traces and self._waits + more > self._limit:
                self._traces.remove(place.number)
                self._waits -= place.traces
                place.traces = 0
        if not self._gave_up:
            self._gave_up = True
            self.say(
                f"what waits for MLflow in {self.folder} is larger than tracking.spool={self._limit / 2**30:g} GiB: "
                "the oldest traces are given up, metrics and evaluations are kept"
            )
        return self._waits + more <= self._limit

    def _read(self, text: bytes, start: int) -> bool:
        """A line of the file as it is found; False where it begins that of another run."""
        entry = parse(text)
        if entry is not None and "spool" in entry:
            if self.run_id and entry["run"] not in ("", self.run_id):
                self.say(
                    f"{self.folder / FILE} holds writes for the MLflow run {entry['run']}, which is not this one's "
                    f"({self.run_id}): they are not sent, and kept in {self.folder / OLD}"
                )
                return False
            self.run_id = self.run_id or entry["run"]
            self._known, self._next = entry["known"], entry["next"]
        elif entry is not None:
            self._take(entry, start, len(text))
        return True

    def _begin(self, before: Callable[[], Known]) -> None:
        """Go on behind what was sent, and remove traces that belong to nothing."""
        if not self._file.end:
            self._known = before()
        while self._places and self._places[0].number <= self._file.sent:
            self._forget()
        self._next = max(self._next, self._file.sent + 1)
        self._traces.keep({place.number for place in self._places if place.traces})
        if not self._file.end or self._is_worth_it():
            self._rewrite()

    def _is_worth_it(self) -> bool:
        return self._done > max(_WORTH, self._file.end - self._done)

    def _rewrite(self, run_id: str = "") -> None:
        """The file without what was sent, but with the knowledge of it."""
        self._file.rewrite(head(run_id or self.run_id, self._next, self._known), self._places)
        self._done = 0
