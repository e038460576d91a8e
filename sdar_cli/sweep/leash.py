"""A leash: a process that leaves when the one that started it dies, however it dies, or is told to.

    process = subprocess.Popen(command, env=os.environ | leashed(os.getpid()))     # in the parent's main thread
    process.send_signal(passed_on())                                               # where the parent is to leave
    hold()                                                                         # first thing in the child

The system sends SIGTERM when the *thread* that started the process ends, hence the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from sdar_cli.stop import SIGNALS, STOP

LEASH = "SDAR_LEASH"
"""Environment variable: the pid of the process that must not be outlived."""
PR_SET_PDEATHSIG = 1


def leashed(parent: int) -> dict[str, str]:
    """What the child's environment needs."""
    return {LEASH: str(parent)}


def passed_on() -> int:
    """The signal that told this process to leave; SIGTERM for one that a child does not hear, such as SIGHUP."""
    return STOP.signal if STOP.signal in SIGNALS else signal.SIGTERM


def hold() -> None:
    """Take the leash that the environment asks for, if any, and forget it for processes that this one starts.

    Signals are heard from then on (``sdar_cli.stop``): the process says that it was interrupted, and leaves.
    """
    parent = os.environ.pop(LEASH, None)
    if parent is None:
        return
    STOP.install()
    STOP.shared = True
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system refuses to tell of a parent's death")
    if os.getppid() != int(parent):
        # It died before the leash held.
        sys.exit(128 + signal.SIGTERM)
