"""What samples for a policy: the interface that vLLM in this process and vLLM behind a URL share."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Sampling


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    """Whose: an episode's, or a prompt's place."""
    prompt: list[int]
    seed: int


class Engine(ABC):
    """Answers prompts with the weights that ``sync`` gave it last; a ``Streaming`` policy of the rollout loop.

    Every request has a seed of its own, a function of the stream's key, the episode and the turn: neither timing nor
    a resumption changes what is drawn.
    """

    name = "vllm"

    def __init__(self, sampling: Sampling, max_response_tokens: int, ends: set[int]) -> None:
        self.sampling = sampling
        self.max_response_tokens = max_response_tokens
        self.ends = sorted(ends)
        self.check: Callable[[], None] = lambda: None
        """Called where the engine is waited for and nothing is torn by what this raises."""
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
    def begin(self, request: Request) -> None:
        """Begin one answer, to be taken by ``take``."""

    @abstractmethod
    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        """Answers that came, by the requests' numbers, with the log-prob of each token after temperature, top_p and
        top_k. Waits for one, at most about so long; None: for as long as it takes."""

    @abstractmethod
    def drop(self) -> None:
        """Forget what is under way."""

    def close(self) -> None:
        """Give back what the engine holds; safe to call twice."""

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        self.begin(Request(episode, prompt, request_seed(*self._stream, episode, turn)))

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        """One answer a prompt; the seeds are those of their places in the stream."""
        answers: dict[int, Generation] = {}
        try:
            for number, prompt in enumerate(prompts):
                self.begin(Request(number, prompt, request_seed(*self._stream, self._drawn + number)))
            while len(answers) < len(prompts):
                answers.update(self.take(None))
        except BaseException:
            self.drop()
            raise
        self._drawn += len(prompts)
        return [answers[number] for number in range(len(prompts))]

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
