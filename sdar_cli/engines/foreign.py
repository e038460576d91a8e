"""An OpenAI-compatible server that serves one model and takes no weights: for evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sdar_cli.engines.client import CONNECTIONS, Gone, Server
from sdar_cli.engines.engine import Engine
from sdar_cli.errors import RunFailed

if TYPE_CHECKING:
    from sdar_cli.engines.patience import Patience
    from sdar_cli.recipe.schema import Sampling
    from sdar_cli.rollout.policies import Generation


class ForeignEngine(Engine):
    """Asks, and asks again where no answer came."""

    name = "server"

    def __init__(
        self,
        server: Server,
        model: str,
        sampling: Sampling,
        max_response_tokens: int,
        ends: set[int],
        patience: Patience,
    ) -> None:
        super().__init__(sampling, max_response_tokens, ends)
        self.server, self.model, self.patience = server, model, patience
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="server")

    def bring(self, version: int) -> None:
        """It serves what it serves."""

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.server.close()

    def sample(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Generation]:
        return list(self._threads.map(self._one, prompts, seeds))

    def _one(self, prompt: list[int], seed: int) -> Generation:
        why: Gone | None = None
        for _ in self.patience.tries():
            try:
                return self.server.complete(
                    prompt,
                    self.sampling,
                    model=self.model,
                    max_tokens=self.max_response_tokens,
                    ends=self.ends,
                    seed=seed,
                )
            except Gone as error:
                why = error
        raise RunFailed(
            f"the server {self.server.url} did not answer for {self.patience.limit:.0f} s ({why}): start it again and "
            "repeat the evaluation, or raise engine.patience"
        )
