"""What is done to a training, each followed by ``--auto-resume``; a line each."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from soak.evidence import Evidence
from soak.process import Sdar
from soak.server import Server

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}
SMALL = 150_000
"""Bytes that a file may have on a disk that is full at once: less than the journal of some hundred steps."""
LEAVE = 120.0
"""Seconds within which a command leaves that was told to; its grace time is half of them."""
BACK = 300.0
"""Seconds within which a training that goes on has made a step, on a computer that does other things too."""
END = 1800.0
"""Seconds that the rest may take once nothing disturbs any more."""
NOBODY = 2**22 + 1
"""No process has this id."""


class Disturbed:
    """``until_it_ends`` disturbs until a time and then lets the training finish."""

    def __init__(self, scratch: Path, command: tuple[str, ...], server: Server, draw: random.Random) -> None:
        self.run, self.log, self.cache = scratch / "runs" / "soak", scratch / "soak.log", scratch / "cache"
        self.full = scratch / "full.log"
        """Of processes on a full disk, which could not add to a large file."""
        self.command, self.server, self.draw = command, server, draw
        self.seen = Evidence(self.run, self.run / "none")
        self.done: Counter[str] = Counter()
        self.fine, self.ended = True, False
        self._kinds: list[tuple[Callable[[], None], int]] = [
            (self.killed, 8),
            (self.told, 8),
            (self.told_twice, 3),
            (self.store_down, 4),
            (self.store_odd, 4),
            (self.worker_stopped, 2),
            (self.disk_full, 2),
            (self.torn, 2),
            (self.leftover, 2),
        ]
        self.process = self._start()

    @property
    def count(self) -> int:
        return sum(self.done.values())

    def kinds(self) -> str:
        return ", ".join(f"{what} {count}" for what, count in sorted(self.done.items()))

    def until_it_ends(self, until: float) -> bool:
        """False where a process left otherwise than it should."""
        print(f"{'at step':>8}  {'disturbance':<34} {'exit':>5}  {'back at':>8} {'after':>7}", flush=True)
        kinds, weights = zip(*self._kinds, strict=True)
        while time.monotonic() < until:
            if self._wait(self.draw.uniform(12, 45)):
                break
            self.draw.choices(kinds, weights)[0]()
        code, restarts = self._end(), 0
        while code != 0 and restarts < 3:
            self._wrong(f"it ended by itself with exit code {code}", self.process)
            self.process, restarts = self._start(), restarts + 1
            code = self._end()
        self.ended = code == 0
        return self.fine and self.ended

    def _end(self) -> int | None:
        """Waits for the training's end, and has what the server missed while it was away sent."""
        code = self.process.left(END)
        if code == 0:
            words = ("runs", "send", "soak", "--runs", str(self.run.parent))
            sent = Sdar(self.full, *words, cache=self.cache)
            if sent.left(END) != 0:
                self._wrong("what waits for MLflow was not sent", sent)
        return code

    def killed(self) -> None:
        self._ended("SIGKILL", self.process.kill(), -signal.SIGKILL)

    def told(self) -> None:
        number = self.draw.choice(list(CODES))
        self.process.tell(number)
        self._ended(number.name, self.process.left(LEAVE), CODES[number])

    def told_twice(self) -> None:
        """The second falls before, in or behind the saving that the first one began."""
        self.process.tell(signal.SIGINT)
        time.sleep(self.draw.uniform(0.02, 1.5))
        self.process.tell(signal.SIGINT)
        self._ended("SIGINT twice", self.process.left(LEAVE), CODES[signal.SIGINT])

    def store_down(self) -> None:
        self._store("down", self.draw.uniform(5, 60))

    def store_odd(self) -> None:
        self._store(self.draw.choice(("slow", "error", "half", "reset")), self.draw.uniform(5, 30))

    def worker_stopped(self) -> None:
        """Shorter than the environment's timeout: no episode is lost by it."""
        workers = _workers(self.process.process.pid)
        if not workers:
            return
        worker = self.draw.choice(workers)
        try:
            os.kill(worker, signal.SIGSTOP)
            time.sleep(3)
            os.kill(worker, signal.SIGCONT)
        except ProcessLookupError:  # it was renewed
            return
        self._say("a worker stands still", " for 3 s")

    def disk_full(self) -> None:
        """At once, or as soon as a checkpoint is written. Of the server's disk there is enough."""
        self.process.kill()
        weights = [path.stat().st_size for path in self._weights()]
        largest = self.draw.choice((SMALL, *(size - 1 for size in weights[-1:])))
        self.process = self._start(self.full, largest)
        self._ended("disk full", self.process.left(2 * BACK), 1)

    def torn(self) -> None:
        """The newest checkpoint, where there is one before it to go on from."""
        self.process.kill()
        weights = self._weights()
        if len(weights) > 1:
            os.truncate(weights[-1], self.draw.randrange(weights[-1].stat().st_size))
            return self._ended("SIGKILL, newest checkpoint cut", -signal.SIGKILL, -signal.SIGKILL)
        return self._ended("SIGKILL", -signal.SIGKILL, -signal.SIGKILL)

    def leftover(self) -> None:
        self.process.kill()
        folder = self.run / "checkpoints" / f".step-7-{NOBODY}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"half")
        self._ended("SIGKILL, half a checkpoint left", -signal.SIGKILL, -signal.SIGKILL)
        if folder.exists():
            self._wrong(f"{folder.name} is still there", self.process)

    def _store(self, how: str, seconds: float) -> None:
        self.server.be(how)
        self._wait(seconds)
        self.server.be("up")
        self._say(f"MLflow {how}", f" for {seconds:.0f} s")

    def _ended(self, what: str, code: int | None, expected: int) -> None:
        """Note the end, and start again until it trains."""
        step = self.seen.steps()
        if code is None:
            self._wrong(f"{what}: it did not leave", self.process)
        elif code not in (expected, 0):  # 0: it was over by itself
            self._wrong(f"{what}: exit code {code}, not {expected}", self.process)
        elif any(word in self.process.said() for word in ("bug in sdar", "bug of sdar", "Traceback")):
            self._wrong(f"{what}: it left with a traceback", self.process)
        began, self.process = time.monotonic(), self._start()
        back, now = False, self.seen.steps()
        while not back and not self.process.over:
            before, now = now, self.seen.steps()
            back = now > before  # the steps to be made again leave the journal first
            if time.monotonic() > began + BACK:
                self._wrong(f"after {what} it made no step in {BACK:.0f} s", self.process)
                break
            time.sleep(0.05)
        self.done[what] += 1
        ended = "-" if code is None else code
        after = f"{time.monotonic() - began:>5.1f} s" if back else "ended" if self.process.over else "NO"
        print(f"{step:>8}  {what:<34} {ended:>5}  {self.seen.steps():>8} {after:>7}", flush=True)

    def _say(self, what: str, more: str) -> None:
        self.done[what] += 1
        print(f"{self.seen.steps():>8}  {what + more:<34}", flush=True)

    def _wrong(self, what: str, process: Sdar) -> None:
        self.fine = False
        print(f"NO: {what}: {process.said()[-600:]}", flush=True)

    def _start(self, log: Path | None = None, largest_file: int | None = None) -> Sdar:
        return Sdar(log or self.log, *self.command, cache=self.cache, largest_file=largest_file)

    def _wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.over:
                return True
            time.sleep(0.1)
        return False

    def _weights(self) -> list[Path]:
        """Of the whole checkpoints, the oldest first."""
        found = [path.parent for path in (self.run / "checkpoints").glob("step-*/manifest.json")]
        return [folder / "model.safetensors" for folder in sorted(found, key=lambda folder: int(folder.name[5:]))]


def _workers(pid: int) -> list[int]:
    """Ids of the environment's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"rollout.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return sorted(found)
