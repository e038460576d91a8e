"""Processes of this machine as others may name them: which machine, which pid, born when (Linux's /proc)."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

RUN = "SDAR_SWEEP_RUN"
"""Environment variable of a training that a worker started: the folder of its run."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker, told apart from all others: a pid is used again, on other machines and in other containers."""

    worker: str
    """For people: ``host-pid``."""
    host: str
    machine: str
    """The machine since it was started, and the pid namespace: pids mean something only where it is equal."""
    pid: int
    birth: int
    """When the process began, in clock ticks since the machine did."""

    @classmethod
    def here(cls) -> Self:
        pid, host = os.getpid(), socket.gethostname()
        return cls(f"{host}-{pid}", host, this_machine(), pid, birth_of(pid) or 0)

    @property
    def is_dead(self) -> bool:
        """Whether it is known to have ended: only where its machine is this one."""
        return self.machine == this_machine() and birth_of(self.pid) != self.birth


@cache
def this_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def birth_of(pid: int) -> int | None:
    """When a live process of this machine began; None where there is none, or a zombie only."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; state is the first field behind it, start the twentieth.
    fields = content.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X", b"x") else int(fields[19])


def trainings_of(folder: Path) -> list[int]:
    """Pids of this machine's processes that work on a run for a study, this process's children not among them."""
    wanted = f"{RUN}={folder}".encode()
    me = os.getpid()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0") and birth_of(pid) is not None and me not in (pid, parent_of(pid)):
            found.append(pid)
    return found


def parent_of(pid: int) -> int | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(content.rpartition(b")")[2].split()[1])


def end_orphans(folder: Path, patience: float, stop: Callable[[], bool] = lambda: False) -> bool:
    """Wait for trainings whose worker is gone, which were told to save and leave; end them when ``patience`` is up.

    Args:
        patience: seconds.
        stop: asked while waiting; True: give up.

    Returns:
        Whether none is left.
    """
    deadline = time.monotonic() + patience
    while orphans := trainings_of(folder):
        if stop():
            return False
        if time.monotonic() > deadline:
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return True
