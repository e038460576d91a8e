"""The processes of one run agree: what one of them finds, all act upon, at the same place.

    with session():                       # around a command
        run = from_main(make_folder)      # rank 0 works, all get what it returned
        episodes = together(play)         # all work; where one fails, all fail with its error
        stop = any_rank(was_signalled)

Without a launcher each of these is the plain call. Whoever calls one of them must be sure that all do, in the
same order; what may fail on one rank alone therefore goes through ``together``, with no other exchange inside.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sdar_cli.errors import RunFailed
from sdar_cli.launch.place import Place
from sdar_cli.stop import STOP
from sdar_cli.training.ranks_errors import is_exit, portable, rebuilt

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long a rank waits for another: a warm-up or an evaluation of rank 0 may take that long, and a rank that is
gone is noticed by the launcher, which ends the others."""
GONE = ("closed by peer", "reset by peer", "Broken pipe", "Connection refused", "NCCL communicator was aborted")
"""What gloo and NCCL say of a process that has ended."""
_SHARED = "_sdar_on_all_ranks"
_BEFORE_LEAVING: list[Callable[[], None]] = []
_ALONE = "_sdar_on_this_rank"


@contextmanager
def session() -> Iterator[None]:
    """Join the other processes, if there are any; leave when all are done, so that none is ended by the launcher
    while it writes."""
    place = Place.here()
    if place.world == 1 or world() > 1:  # who joined, leaves
        yield
        return
    import torch
    from accelerate import PartialState

    STOP.install()
    on_cpu = not torch.accelerator.is_available()
    if on_cpu:  # else accelerate says "cpu:0", to which torch restores no checkpoint
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState(cpu=on_cpu, timeout=PATIENCE)
    try:
        yield
    except BaseException as error:
        _stay()
        shared = getattr(error, _SHARED, False)
        if not shared and not is_exit(error):
            raise  # of this rank alone: the launcher ends the others
        _leave()
        if shared and not place.is_main:
            sys.exit(getattr(error, "exit_code", 1))  # rank 0 says why
        raise
    else:
        _leave()


@contextmanager
def finishing() -> Iterator[None]:
    """Around the work of a run: once it has failed, what is written of that is finished, whatever the launcher says.

    Raises:
        RunFailed: another process is gone; in the place of what the connection to it said.
    """
    try:
        yield
    except BaseException as error:
        if world() == 1:
            raise
        _stay()
        if isinstance(error, RuntimeError) and any(words in str(error) for words in GONE):
            raise RunFailed(
                "another process of the run is gone: look for what it said, then go on with `sdar resume`"
            ) from error
        raise


def world() -> int:
    """Number of processes; 1 before they have met."""
    import torch

    joined = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if joined else 1


def rank() -> int:
    import torch

    return torch.distributed.get_rank() if world() > 1 else 0


def is_main() -> bool:
    """Whether this process writes and speaks."""
    return rank() == 0


def gather(own: T) -> list[T]:
    """Every rank's object, in the order of the ranks."""
    if world() == 1:
        return [own]
    import torch

    out: list = [None] * world()
    torch.distributed.all_gather_object(out, own)
    return out


def any_rank(flag: bool) -> bool:
    return any(gather(bool(flag)))


def most(own: int) -> int:
    """The largest of the ranks' numbers."""
    return max(gather(own))


def together(work: Callable[[], T]) -> T:
    """Do this rank's part, and fail where any rank failed: with its own error, or that of the first one that did."""
    if world() == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except Exception as raised:
        error = raised
    _raise_first(error)
    return result


def is_shared(error: Exception) -> bool:
    """Whether every process of the run has it, so that they may go on together."""
    return world() == 1 or getattr(error, _SHARED, False)


def from_main(work: Callable[[], T]) -> T:
    """What the function returns on rank 0, on all; it runs nowhere else, and may use no other rank."""
    if world() == 1:
        return work()
    result, error = None, None
    if is_main():
        try:
            result = work()
        except Exception as raised:
            error = raised
    _raise_first(error)
    import torch

    told = [result]
    torch.distributed.broadcast_object_list(told, src=0)
    return told[0]


def in_turn(work: Callable[[], T]) -> T:
    """Rank 0 first, then the first rank of every machine, then all others: for work that leaves files which the next
    ones find."""
    place = Place.here()
    out: list[T] = []
    for turn in range(3):
        if turn == _turn(place):
            together(lambda: out.append(work()))
        else:
            together(lambda: None)
    return out[0]


def all_true(flags: torch.Tensor) -> torch.Tensor:
    """Of boolean flags on every rank, which are true on all of them."""
    if world() == 1:
        return flags
    import torch

    least = flags.to(torch.int32)
    torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
    return least.bool()


def share(items: list[T]) -> list[T]:
    """This rank's part of a list that all have: every n-th item, from its own number on."""
    return items[rank() :: world()]


def whole(own: list[T]) -> list[T]:
    """The list again, of which every rank had its ``share``."""
    parts = gather(own)
    return [part[place] for place in range(max(map(len, parts))) for part in parts if place < len(part)]


@contextmanager
def on_main(context: AbstractContextManager[T]) -> Iterator[T]:
    """A context that rank 0 alone enters and leaves, around a block that all ranks run; all get what it yields, and
    it ends badly where the block failed on any rank."""
    if world() == 1:
        with context as value:
            yield value
        return
    with _Entered(context) if is_main() else nullcontext() as entered:
        value = from_main(lambda: entered.enter())
        error = None
        try:
            yield value
        except Exception as raised:
            if getattr(raised, _SHARED, False) or getattr(raised, _ALONE, False):
                raise
            error = raised
        _raise_first(error)
        from_main(lambda: entered.leave())


@contextmanager
def in_step() -> Iterator[None]:
    """Around work of others in which ranks wait for each other at places of its own: a rank that fails there asks
    nobody, as they would not hear, and the launcher ends them."""
    try:
        yield
    except Exception as error:
        setattr(error, _ALONE, True)
        raise


class _Entered:
    """Leaves a context when it is told to, or else with the error that ends the block."""

    def __init__(self, context: AbstractContextManager) -> None:
        self._context = context
        self._open = False

    def __enter__(self) -> _Entered:
        return self

    def enter(self) -> Any:
        value = self._context.__enter__()
        self._open = True
        return value

    def leave(self) -> None:
        self._open = False
        self._context.__exit__(None, None, None)

    def __exit__(self, *error) -> bool | None:
        return self._context.__exit__(*error) if self._open else None


def _turn(place: Place) -> int:
    if place.is_main:
        return 0
    return 1 if place.local_rank == 0 else 2


def _raise_first(own: Exception | None) -> None:
    errors = gather(None if own is None else portable(own))
    if own is not None:
        setattr(own, _SHARED, True)
        raise own
    for number, data in enumerate(errors):
        if data is not None:
            error = rebuilt(data, number)
            setattr(error, _SHARED, True)
            raise error


def _stay() -> None:
    """The launcher tells the others to leave as soon as one has left: what is being written is finished."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def before_leaving(work: Callable[[], None]) -> None:
    """Have something done while the processes still have their groups: what ends groups of its own, as vLLM does."""
    _BEFORE_LEAVING.append(work)


def _leave() -> None:
    import torch

    sys.stdout.flush()
    torch.distributed.barrier()
    _stay()
    for work in _BEFORE_LEAVING:
        work()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
