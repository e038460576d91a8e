"""Starts a run's processes by torchrun or accelerate, within this process, and ends as they end.

Signals are passed on to the processes, which save and leave; torchrun's own way would kill them after half a minute.
Told twice they have a few seconds; two signals at once are one wish here, as they are to them. Torchrun's reports of a
process that ended badly are left out: the process has said its sentence.
"""

from __future__ import annotations

import logging
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from sdar_cli.errors import RunFailed, UserError
from sdar_cli.importing import importing
from sdar_cli.launch.options import Launch
from sdar_cli.launch.place import Place
from sdar_cli.stop import SIGNALS, STOP, TWICE_TOLD

HURRY = 5.0
"""Seconds that processes have to leave in, once they were told so twice."""
UNHANDLED = "SIGQUIT"
"""The one signal that torchrun may handle itself."""


def processes(launch: Launch) -> int:
    """How many processes this machine shall run; 1: no launcher is needed.

    Raises:
        UserError: more than there are GPUs, or options that do not go together.
    """
    launch.check()
    several = launch.nnodes > 1 or bool(launch.extra)
    if launch.nproc == 1 and not several:
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return 1
    gpus = _gpus()
    if launch.nproc is not None and 0 < gpus < launch.nproc:
        raise UserError(f"--nproc {launch.nproc} is more than the {gpus} visible GPUs: lower it, or leave it out")
    return launch.nproc or max(1, gpus)


def is_needed(launch: Launch, nproc: int) -> bool:
    """Whether processes are to be started, rather than this one being the run."""
    return not Place.here().launched and (nproc > 1 or launch.nnodes > 1 or bool(launch.extra))


def start(words: Sequence[str]) -> int:
    """Say the command (``Launch.words``) on standard error, run it, and return its exit code.

    Raises:
        RunFailed: a process was killed.
        UserError: the launcher does not understand its options.
    """
    sys.stderr.write(f"launching: {shlex.join(words)}\n")
    sys.stderr.flush()
    with _signals_passed_on(), _quiet(), _on_a_leash():
        try:
            _run(list(words))
        except SystemExit as error:  # argparse, which has said why
            raise UserError(
                f"{words[0]} does not understand the options behind `--`: see `{words[0]} --help`"
            ) from error
        except Exception as error:
            failures = getattr(error, "failures", None)  # torch's ChildFailedError
            if not failures:
                raise
            return _code({rank: failure.exitcode for rank, failure in failures.items()})
    return 0


def _run(words: list[str]) -> None:
    if words[0] == "torchrun":
        from torch.distributed import run as torchrun

        torchrun.run(torchrun.parse_args([f"--signals-to-handle={UNHANDLED}", *words[1:]]))
    else:
        from accelerate.commands import launch as accelerate

        parsed = accelerate.launch_command_parser().parse_args(words[2:])
        parsed.signals_to_handle = UNHANDLED  # for torchrun, to which accelerate hands its arguments
        accelerate.launch_command(parsed)


def _code(codes: dict[int, int]) -> int:
    """Of the process that ended first of its own accord; where there is none, and this one was told to leave, its own.

    Raises:
        RunFailed: there is none; some were killed.
    """
    own = [code for code in codes.values() if code > 0]
    if own:
        return own[0]
    if STOP.asked:  # it came before they could hear it
        return STOP.code
    rank, code = next(iter(sorted(codes.items())))
    name = signal.Signals(-code).name
    why = " (out of memory, as a rule)" if name == "SIGKILL" else ""
    raise RunFailed(
        f"process {rank} of the run was ended by {name}{why}: `sdar resume` goes on from the last checkpoint"
    )


def _gpus() -> int:
    with importing():
        import torch

    return torch.cuda.device_count()


@contextmanager
def _signals_passed_on() -> Iterator[None]:
    """To this process's children; where there are none yet, it leaves itself."""
    import psutil

    first, hurried = math.inf, False

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal first, hurried
        now = time.monotonic()
        twice = now - first >= TWICE_TOLD
        first = min(first, now)
        STOP.hear(number)
        children = psutil.Process().children()
        if not children:
            raise KeyboardInterrupt
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        if twice and not hurried:
            hurried = True
            signal.setitimer(signal.ITIMER_REAL, HURRY)

    def leave(number: int, frame: FrameType | None) -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, forward) for number in SIGNALS}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, leave)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _on_a_leash() -> Iterator[None]:
    """The processes do not outlive this one."""
    from sdar_cli.sweep.leash import LEASH, leashed

    os.environ.update(leashed(os.getpid()))
    try:
        yield
    finally:
        os.environ.pop(LEASH, None)
