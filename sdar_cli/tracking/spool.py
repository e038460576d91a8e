"""Writes for MLflow on disk, put down before they are sent and kept until the store has them.

    RUN/tracking/spool.jsonl   what is known already, then a write a line: number, kind, time, content
    RUN/tracking/sent          the number of the last write that the store has
    RUN/tracking/traces/       episodes, a file a write, since they are large and the first to go

A write is only ever appended, so a kill leaves whole lines and at most one that is cut, which is forgotten: what it
belonged to is done again after a restart. Of each metric and step the first value counts, and a key that counts once
is put once: what is played again is not sent again. A write that the store took and did not confirm goes out once
more, byte for byte, and falls on itself there.

A write survives a kill without being synced, as the system has it; ``sync`` (at each checkpoint) makes it survive the
machine's. The run's lock keeps a second process out; one that was forked has no say here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.errors import RunError
from sdar_cli.reading import Missing, Unreadable, open_regular, read_bytes
from sdar_cli.runs.disk import disk, sync_folder
from sdar_cli.tracking.known import Known, numbers
from sdar_cli.tracking.system import PREFIX
from sdar_cli.tracking.write import Write, head, line, parse, read_number, write_at

FILE, SENT, TRACES = "spool.jsonl", "sent", "traces"
LIMIT = 2**30
"""Bytes of unsent writes above which traces are given up."""
REPLAYED = "sdar.replayed"
"""Tag: the steps that were played again after a restart, of which MLflow holds the first attempt."""
_WORTH = 2**20
"""Bytes of sent writes for which the file is written anew."""


@dataclass(slots=True)
class _Place:
    number: int
    start: int
    length: int
    traces: int
    """Bytes of the file beside, 0 for other writes."""


class Spool:
    """Of one MLflow run, in a folder of its own. ``first`` and ``acknowledge`` are for one thread, the rest for others.

    Raises:
        RunError: what lies there is no file.
        RunFailed: the disk is full; what was put down before stays.
    """

    def __init__(
        self, folder: Path, run_id: str, limit: int = LIMIT, say: Callable[[str], None] = lambda sentence: None
    ) -> None:
        self.folder = folder
        self._run_id, self._limit, self._say = run_id, limit, say
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._known = Known()
        self._places: deque[_Place] = deque()
        self._next = 1
        self._synced = 0
        self._end = self._done = self._waits = 0
        """Bytes: of the file, of sent writes in it, of unsent writes with their traces."""
        self._gave_up = False
        self._closed = False
        with disk(folder, "what MLflow is to be sent"):
            (folder / TRACES).mkdir(parents=True, exist_ok=True)
            self._load()

    @property
    def waiting(self) -> int:
        return len(self._places)

    @property
    def next_system_step(self) -> int:
        with self._lock:
            return self._known.next_step(PREFIX)

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
            digest = hashlib.sha256(json.dumps([kind, content]).encode()).hexdigest()[:16] if key else ""
            if key and not once and self._known.last.get(key) == digest:
                return False
            extra = {} if key is None else {"once": key} if once else {"key": key, "sum": digest}
            return self._append(kind, content, extra)

    def traces(self, key: str, traces: list[Any]) -> bool:
        """Put episodes down, once a key, unless there is no room for them."""
        packed = gzip.compress(json.dumps(traces).encode(), compresslevel=1, mtime=0)
        with self._lock:
            if key in self._known.once or not self._has_room(len(packed)):
                return False
            name = f"{self._next}.json.gz"
            with disk(self.folder, "traces"):
                (self.folder / TRACES / name).write_bytes(packed)
            return self._append("traces", {"bytes": len(packed)}, {"once": key})

    def replay(self, step: int) -> set[int]:
        """Note that a step came again; returns all that did."""
        with self._lock:
            return self._known.replayed | {step}

    def first(self) -> Write | None:
        """The oldest write that the store does not have; it is on the disk by then, so that a machine that crashes does
        not forget what the store was given."""
        with self._lock:
            write = self._first()
            if write is None or write.number <= self._synced:
                return write
            synced, file = self._next - 1, os.dup(self._file)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)
        self._synced = synced
        return write

    def _first(self) -> Write | None:
        while self._places and not self._closed:
            place = self._places[0]
            entry = parse(os.pread(self._file, place.length, place.start))
            if entry is not None:
                return Write(entry["n"], entry["kind"], entry["at"], entry["content"])
            self._forget()  # the disk gave back something else than it was given
        return None

    def read_traces(self, write: Write) -> list[Any]:
        """Episodes of a write; none where they were given up."""
        try:
            return json.loads(gzip.decompress(read_bytes(self.folder / TRACES / f"{write.number}.json.gz", LIMIT)))
        except (Unreadable, OSError, EOFError, ValueError, zlib.error):
            return []

    def acknowledge(self, number: int) -> None:
        """The store has everything up to this write."""
        with self._lock:
            while self._places and self._places[0].number <= number and not self._closed:
                self._forget()

    def sync(self) -> None:
        """Put what was written on the disk itself, and take sent writes out where they are many."""
        if self._closed or os.getpid() != self._process:
            return
        with disk(self.folder, "what MLflow is to be sent"):
            with self._lock:
                if self._done > max(_WORTH, self._end - self._done):
                    self._rewrite()
            os.fsync(self._file)

    def close(self) -> int:
        """Leave the folder to the next process; returns how many writes wait in it."""
        with self._lock:
            if not self._closed and os.getpid() == self._process:
                if self._done and not self._places:
                    with suppress(OSError):  # a full disk: the longer file says the same
                        self._rewrite()
                os.close(self._file)
                os.close(self._sent)
            self._closed = True
            return len(self._places)

    def _append(self, kind: str, content: Mapping[str, Any], extra: Mapping[str, str] = {}) -> bool:
        if self._closed or os.getpid() != self._process:
            return False
        entry = {"n": self._next, "kind": kind, "at": int(1000 * time.time()), "content": content, **extra}
        text = line(entry)
        self._has_room(len(text))
        with disk(self.folder, "what MLflow is to be sent"):
            try:
                write_at(self._file, text, self._end)
            except BaseException:
                os.ftruncate(self._file, self._end)
                raise
        self._end += len(text)
        self._take(entry, self._end - len(text), len(text))
        return True

    def _take(self, entry: Mapping[str, Any], start: int, length: int) -> None:
        """Enter a line that is in the file."""
        kind, content = entry["kind"], entry["content"]
        if kind == "metrics":
            self._known.add(content["step"], content["values"])
        elif kind == "tag" and content["key"] == REPLAYED:
            self._known.replayed = numbers(content["value"])
        if "once" in entry:
            self._known.once.add(entry["once"])
        elif "key" in entry:
            self._known.last[entry["key"]] = entry["sum"]
        traces = content["bytes"] if kind == "traces" else 0
        self._places.append(_Place(entry["n"], start, length, traces))
        self._waits += length + traces
        self._next = entry["n"] + 1

    def _forget(self) -> None:
        """Note that the first write is over; its number goes to the disk before its traces leave it."""
        place = self._places.popleft()
        self._done += place.length
        self._waits -= place.length + place.traces
        with suppress(OSError):  # a full disk: it is sent again after a kill, which is no harm
            os.pwrite(self._sent, b"%020d\n" % place.number, 0)
        if place.traces:
            (self.folder / TRACES / f"{place.number}.json.gz").unlink(missing_ok=True)

    def _has_room(self, more: int) -> bool:
        """Make room by giving up the oldest traces; whether there is enough now."""
        if self._waits + more <= self._limit:
            return True
        for place in self._places:
            if place.traces and self._waits + more > self._limit:
                (self.folder / TRACES / f"{place.number}.json.gz").unlink(missing_ok=True)
                self._waits -= place.traces
                place.traces = 0
        if not self._gave_up:
            self._gave_up = True
            self._say(
                f"what waits for MLflow in {self.folder} is larger than tracking.spool={self._limit / 2**30:g} GiB: "
                "the oldest traces are given up, metrics and evaluations are kept"
            )
        return self._waits + more <= self._limit

    def _load(self) -> None:
        path = self.folder / FILE
        sent = read_number(self.folder / SENT)
        try:
            with open_regular(path) as file:
                for text in file:
                    if not text.endswith(b"\n"):
                        break
                    entry = parse(text)
                    if entry is not None and "spool" in entry:
                        if entry["run"] != self._run_id:
                            os.replace(path, path.with_suffix(".old"))
                            self._end = 0
                            break
                        self._known = entry["known"]
                        self._next = entry["next"]
                    elif entry is not None:
                        self._take(entry, self._end, len(text))
                    self._end += len(text)
        except Missing:
            pass  # numbers go on behind those that were sent
        except (Unreadable, OSError) as error:
            raise RunError(f"{path} {error}: move it away, and what MLflow lacks with it") from None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._sent = os.open(self.folder / SENT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        while self._places and self._places[0].number <= sent:
            self._forget()
        self._next = max(self._next, sent + 1)
        os.ftruncate(self._file, self._end)
        kept = {f"{place.number}.json.gz" for place in self._places if place.traces}
        for file in (self.folder / TRACES).iterdir():
            if file.name not in kept:
                file.unlink()
        if not self._end or self._done > max(_WORTH, self._end - self._done):
            self._rewrite()

    def _rewrite(self) -> None:
        """The file without what was sent, but with the knowledge of it."""
        path = self.folder / FILE
        beside = path.with_suffix(".new")
        first = head(self._run_id, self._next, self._known)
        fresh = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_at(fresh, first, 0)
            end, starts = len(first), []
            for place in self._places:
                write_at(fresh, os.pread(self._file, place.length, place.start), end)
                starts.append(end)
                end += place.length
            os.fsync(fresh)
            os.replace(beside, path)
        except BaseException:
            os.close(fresh)
            beside.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._end, self._done = fresh, end, 0
        for place, start in zip(self._places, starts, strict=True):
            place.start = start
        sync_folder(self.folder)
