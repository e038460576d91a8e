"""What samples for a policy: the interface that vLLM in this process and vLLM behind a URL share."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Sampling


class Engine(ABC):
    """Answers prompts with the weights that ``sync`` gave it last; a ``Policy`` of the rollout loop.

    Every request has a seed of its own, a function of the stream's key and of how many came before it, so that a
    resumed run samples what the uninterrupted one would have.
    """

    name = "vllm"

    def __init__(self, sampling: Sampling, max_response_tokens: int, ends: set[int]) -> None:
        self.sampling = sampling
        self.max_response_tokens = max_response_tokens
        self.ends = sorted(ends)
        self._stream: tuple[object, ...] = ()
        self._drawn = 0
        self._synced: int | None = None

    def sync(self, version: int) -> float:
        """Bring the policy's weights to the engine and prove that they are there, unless it has this version.

        All ranks call it together. Returns the seconds that it took.

        Raises:
            StaleWeights: the engine holds others.
            SdarError: it cannot be reached, or cannot take them.
        """
        if version == self._synced:
            return 0.0
        start = time.perf_counter()
        self._synced = None
        self.bring(version)
        self._synced = version
        return time.perf_counter() - start

    @abstractmethod
    def bring(self, version: int) -> None:
        """``sync``, whatever the engine has."""

    @abstractmethod
    def sample(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Generation]:
        """One answer a prompt, with the log-prob of each token after temperature, top_p and top_k."""

    def close(self) -> None:
        """Give back what the engine holds."""

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        seeds = [request_seed(*self._stream, self._drawn + n) for n in range(len(prompts))]
        self._drawn += len(prompts)
        return self.sample(prompts, seeds)

    def restart_stream(self, *key: object) -> None:
        """Start the seeds that belong to a key."""
        self._stream, self._drawn = key, 0

    @contextmanager
    def drawing(self, sampling: Sampling, *key: object) -> Iterator[Engine]:
        """Other sampling settings and another stream of seeds for a while: an evaluation between steps."""
        own = self.sampling, self._stream, self._drawn
        try:
            self.sampling = sampling
            self.restart_stream(*key)
            yield self
        finally:
            self.sampling, self._stream, self._drawn = own


def request_seed(*key: object) -> int:
    """A seed of 62 bits, equal for equal keys."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2
