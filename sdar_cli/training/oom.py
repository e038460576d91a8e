"""When the device's memory does not hold what a step computes at once: half as much, once in a run, and said.

    memory = Memory({"update": 16384, …}, say)
    memory.limit("update")                          # tokens of a micro-batch, from now on
    memory.halve("update", largest, error)          # after OutOfMemoryError; a second time it raises RunFailed
    answers = in_batches(prompts, memory, generate)

What was halved stays so for the run: it is in every checkpoint, as sums of other parts are rounded otherwise. What
one rank has halved, all have from the next step on; an update is made anew in a run of one process alone.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from sdar_cli.errors import RunFailed
from sdar_cli.launch import dist
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

T = TypeVar("T")
P = TypeVar("P")

SIGNS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: ")
"""In what torch says of memory by a plain RuntimeError."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is computed at once."""

    doing: str
    key: str
    unit: str
    """What the key counts, and where."""
    remedy: str


KINDS: Mapping[str, _Kind] = {
    "update": _Kind(
        "in an update",
        "optimiser.tokens_per_microbatch",
        "tokens in a micro-batch",
        "lower optimiser.tokens_per_microbatch, rollout.max_prompt_tokens or rollout.max_response_tokens, or set "
        "model.gradient_checkpointing=true",
    ),
    "scoring": _Kind(
        "while rows were scored",
        "optimiser.tokens_per_microbatch",
        "tokens in a pass of scoring",
        "lower optimiser.tokens_per_microbatch, rollout.max_prompt_tokens or rollout.max_response_tokens",
    ),
    "generation": _Kind(
        "while answers were generated",
        "engine.max_batch",
        "answers at a time",
        "lower engine.max_batch, rollout.max_prompt_tokens or rollout.max_response_tokens",
    ),
}


def ran_out(error: BaseException) -> bool:
    """Whether memory is what an error is about."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


class Memory:
    """How much is computed at once, by the names of ``KINDS``."""

    def __init__(self, limits: Mapping[str, int], say: Callable[[str], None] = lambda text: None) -> None:
        self._limits = dict(limits)
        self._halved: dict[str, int] = {}
        self._say = say

    @classmethod
    def of(cls, recipe: Recipe, say: Callable[[str], None]) -> Memory:
        tokens = recipe.optimiser.tokens_per_microbatch
        return cls({"update": tokens, "scoring": tokens, "generation": recipe.engine.max_batch}, say)

    def limit(self, kind: str) -> int:
        return self._halved.get(kind, self._limits[kind])

    def halve(self, kind: str, largest: int, error: BaseException | None) -> None:
        """
        Args:
            largest: how much was computed at once; a limit above it was none.
            error: of this rank; what it holds of the device's memory is given back.

        Raises:
            RunFailed: that was done before, or nothing is left to be halved.
        """
        if kind in self._halved or largest < 2:
            raise self._failure(kind, "again " if kind in self._halved else "") from None
        before = min(self.limit(kind), largest)
        self._lower(kind, max(1, before // 2))
        release(error)

    def cannot(self, kind: str) -> RunFailed:
        """For work that cannot be repeated."""
        return self._failure(kind, "")

    def agree(self) -> None:
        """Every rank must call: what one has halved, all have."""
        if ranks.world() == 1:
            return
        for other in ranks.gather(dict(self._halved)):
            for kind, limit in other.items():
                if limit < self.limit(kind):
                    self._lower(kind, limit)

    def state(self) -> dict[str, int]:
        """For a checkpoint."""
        return dict(self._halved)

    def load_state(self, state: Mapping[str, int]) -> None:
        self._halved = {kind: int(limit) for kind, limit in state.items() if kind in KINDS}

    def _lower(self, kind: str, limit: int) -> None:
        about, before = KINDS[kind], self._limits[kind]
        self._halved[kind] = limit
        self._say(
            f"note: memory ran out {about.doing}, which is made anew: from here on at most {limit} {about.unit}, where "
            f"{about.key}={before} allows more"
        )

    def _failure(self, kind: str, again: str) -> RunFailed:
        about = KINDS[kind]
        return RunFailed(
            f"memory ran out {again}{about.doing}, with at most {self.limit(kind)} {about.unit}: {about.remedy}, and "
            "start the run again"
        )


def update_is_repeatable() -> bool:
    """Not where several ranks wait for each other within an update: one that leaves it cannot tell the others."""
    return ranks.world() == 1 and rows_are_whole()


def rows_are_whole() -> bool:
    """Whether a rank scores its rows by itself: not where the weights are divided."""
    return dist.in_use() == "ddp"


def release(error: BaseException | None) -> None:
    """Let go of the tensors that an error's frames hold, and give the cached memory back."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def in_batches(prompts: Sequence[P], memory: Memory, generate: Callable[[Sequence[P]], list[T]]) -> list[T]:
    """Answers to all prompts, as many at a time as the limit says.

    A batch that does not fit is drawn anew in halves, from the random state that it began with.
    """
    out: list[T] = []
    while len(out) < len(prompts):
        part = prompts[len(out) : len(out) + memory.limit("generation")]
        before = _random_state()
        try:
            out += generate(part)
            continue
        except RuntimeError as error:
            if not ran_out(error):
                raise
            failed = error
        _restore(before)
        memory.halve("generation", len(part), failed)
    return out


@contextmanager
def failing(sentence: RunFailed) -> Iterator[None]:
    """Around work that is not repeated: raises this where memory runs out."""
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise sentence from error


@contextmanager
def as_sentence() -> Iterator[None]:
    """Around work in which nothing can be halved, such as an optimiser's step.

    Raises:
        RunFailed: memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise RunFailed(
            f"memory ran out in the training ({' '.join(str(error).split())[:160]}): lower "
            "optimiser.tokens_per_microbatch or engine.max_batch, or train a smaller model or an adapter (model.lora)"
        ) from error


def _random_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def _restore(state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
