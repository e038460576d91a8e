"""An OpenAI-compatible server that serves one model and takes no weights: for evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.engines.asking import Asking, given_up
from sdar_cli.engines.client import CONNECTIONS, Gone, Server
from sdar_cli.engines.engine import Engine, Request
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
        self._asking = Asking(CONNECTIONS)

    def bring(self, version: int) -> None:
        """It serves what it serves."""

    def begin(self, request: Request) -> None:
        self._asking.submit(request.number, lambda: self._answer(request))

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        return self._asking.take(seconds)

    def drop(self) -> None:
        self._asking.drop()

    def close(self) -> None:
        self._asking.close()
        self.server.close()

    def _answer(self, request: Request) -> Generation:
        why: Gone | None = None
        for _ in self.patience.tries():
            if given_up():
                break
            try:
                return self.server.complete(
                    request.prompt,
                    self.sampling,
                    model=self.model,
                    max_tokens=self.max_response_tokens,
                    ends=self.ends,
                    seed=request.seed,
                )
            except Gone as error:
                why = error
        raise RunFailed(
            f"the server {self.server.url} did not answer for {self.patience.limit:.0f} s ({why}): start it again and "
            "repeat the evaluation, or raise engine.patience"
        )
