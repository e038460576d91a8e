"""What is done to a training, each followed by ``--auto-resume``; a line each."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from soak.process import Sdar
from soak.server import Server

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 138}
SMALL = 150_000
"""Bytes that a file may have on the full disk: less than the weights."""


class Disturbed:
    """``until_it_ends`` disturbs until a time and then lets the training finish."""

    def __init__(self, scratch: Path, command: tuple[str, ...], server: Server, draw: random.Random) -> None:
        self.run, self.log, self.cache = scratch / "runs" / "soak", scratch / "soak.log", scratch / "cache"
        self.command, self.server, self.draw = command, server, draw
        self.count = 0
        self.fine = True
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

    def until_it_ends(self, until: float) -> bool:
        print(f"{'at step':>8}  {'disturbance':<34} {'exit':>5}  {'back at':>8} {'after':>7}", flush=True)
        kinds, weights = zip(*self._kinds, strict=True)
        while time.monotonic() < until:
            if self._wait(self.draw.uniform(12, 45)):
                break
            self.draw.choices(kinds, weights)[0]()
        code = self.process.wait()
        restarts = 0
        while code != 0 and restarts < 3:
            self._say("it ended by itself", code)
            self.process, restarts = self._start(), restarts + 1
            code = self.process.wait()
        if code != 0:
            print(f"NO: the disturbed training did not end: {self.process.said()[-400:]}", flush=True)
        return self.fine and code == 0

    def killed(self) -> None:
        self._ended("SIGKILL", self.process.kill(), -signal.SIGKILL)

    def told(self) -> None:
        number = self.draw.choice(list(CODES))
        self.process.tell(number)
        self._ended(number.name, self.process.wait(120), CODES[number])

    def told_twice(self) -> None:
        self.process.tell(signal.SIGINT)
        time.sleep(self.draw.uniform(0.02, 1.5))
        self.process.tell(signal.SIGINT)
        self._ended("SIGINT twice", self.process.wait(60), 130)

    def store_down(self) -> None:
        self._store("down", self.draw.uniform(5, 60))

    def store_odd(self) -> None:
        self._store(self.draw.choice(("slow", "error", "half", "reset")), self.draw.uniform(5, 30))

    def worker_stopped(self) -> None:
        """Shorter than the environment's timeout: no episode is lost by it."""
        workers = _children(self.process.process.pid)
        if workers:
            worker = self.draw.choice(workers)
            os.kill(worker, signal.SIGSTOP)
            time.sleep(3)
            os.kill(worker, signal.SIGCONT)
        self._say("a worker stands still for 3 s", None)

    def disk_full(self) -> None:
        self.process.kill()
        code = self._start(largest_file=SMALL).wait(300)
        self._ended("disk full", code, 1)

    def torn(self) -> None:
        self.process.kill()
        files = sorted((self.run / "checkpoints").glob("step-*/model.safetensors"), key=os.path.getmtime)
        if files:
            os.truncate(files[-1], self.draw.randrange(files[-1].stat().st_size))
        self._ended("SIGKILL, newest checkpoint cut", -signal.SIGKILL, -signal.SIGKILL)

    def leftover(self) -> None:
        self.process.kill()
        folder = self.run / "checkpoints" / ".step-7-99999"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"half")
        self._ended("SIGKILL, half a checkpoint left", -signal.SIGKILL, -signal.SIGKILL)

    def _store(self, how: str, seconds: float) -> None:
        self.server.be(how)
        self._wait(seconds)
        self.server.be("up")
        self._say(f"MLflow {how} for {seconds:.0f} s", None)

    def _ended(self, what: str, code: int, expected: int) -> None:
        """Note the end, and start again until it trains."""
        step, began = self._step(), time.monotonic()
        if code not in (expected, 0) or "bug in sdar" in self.process.said() or "Traceback" in self.process.said():
            self.fine = False
            print(f"NO: exit code {code}, not {expected}: {self.process.said()[-400:]}", flush=True)
        self.process = self._start()
        lines = self._lines()
        while self._lines() <= lines and not self.process.over and time.monotonic() < began + 120:
            time.sleep(0.05)
        self.count += 1
        took = time.monotonic() - began
        print(f"{step:>8}  {what:<34} {code:>5}  {self._step():>8} {took:>5.1f} s", flush=True)

    def _say(self, what: str, code: int | None) -> None:
        self.count += 1
        print(f"{self._step():>8}  {what:<34} {'' if code is None else code:>5}", flush=True)

    def _start(self, largest_file: int | None = None) -> Sdar:
        return Sdar(self.log, *self.command, cache=self.cache, largest_file=largest_file)

    def _wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.over:
                return True
            time.sleep(0.1)
        return False

    def _step(self) -> int:
        try:
            return int(json.loads((self.run / "run.json").read_bytes())["step"])
        except (OSError, ValueError, KeyError):
            return 0

    def _lines(self) -> int:
        try:
            return (self.run / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return 0


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
