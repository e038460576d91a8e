"""vLLM behind URLs: every rank asks by itself, rank 0 brings the weights, and a server that was away gets them anew.

A server is trusted with a policy's samples only while it holds the policy's weights: they are proved after every
sync (``proof.py``), and the answers of a server that was started again meanwhile are thrown away.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.asking import Asking, SameProcess
from sdar_cli.engines.client import CONNECTIONS, Gone, Server
from sdar_cli.engines.delivery import Delivery
from sdar_cli.engines.engine import Engine, Request
from sdar_cli.engines.patience import Patience
from sdar_cli.engines.proof import dtypes_held
from sdar_cli.engines.started import check_started
from sdar_cli.engines.weights import Source
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.rollout.policies import Generation
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.engines.nccl import NcclLink
    from sdar_cli.recipe.schema import Sampling


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A server that was given the present version."""

    model: str
    """Under which name requests get it: the base's, or an adapter's."""
    same: SameProcess


class ServerEngine(Engine):
    """Samples from one or several servers.

    Args:
        folder: where weights are written for the servers to read: every one of them must see it under this path.
        hot: bring the adapter by itself instead of merged weights.
        rank: the adapter's.
        link: brings the weights by NCCL; None: the folder does.
        proof: whether the servers' weights are compared with what they were sent.
        longest: tokens of the longest prompt with its response.
        needs_logprobs: whether the answers' log-probs are used.
        neighbours: so many consecutive requests go to one server, as they share the start of their prompts.
        vocabulary: how many tokens the model knows.
        say: takes a line for the user.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        source: Source,
        *,
        folder: Path,
        sampling: Sampling,
        max_response_tokens: int,
        ends: set[int],
        patience: Patience,
        hot: bool = False,
        rank: int = 1,
        link: NcclLink | None = None,
        proof: bool = True,
        longest: int | None = None,
        needs_logprobs: bool = True,
        neighbours: int = 1,
        vocabulary: int = 2**31,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__(sampling, max_response_tokens, ends)
        self.servers = list(servers)
        self.delivery = Delivery(source, folder, hot=hot and source.lora, proof=proof)
        self.patience = patience
        self.link = link
        self.longest = longest
        self.rank = rank
        self.needs_logprobs = needs_logprobs
        self.neighbours = neighbours
        self.vocabulary = vocabulary
        self.say = say
        self._held: dict[str, _Held] = {}
        """By URL, of those that hold the present version."""
        self._asking = Asking(CONNECTIONS * len(self.servers))
        self._tries: Iterator[float] | None = None
        """Since a request failed, and until the next good answer."""
        self._why = ""
        """What became of the request that failed last."""

    def close(self) -> None:
        self._asking.close()
        servers, self.servers = self.servers, []
        for server in servers:
            if ranks.is_main():
                self.delivery.unload(server)
            server.close()
        if self.link is not None:
            self.link.close()
        self.delivery.close()

    # -- weights ----------------------------------------------------------------------------------

    def bring(self, version: int) -> None:
        delivery = self.delivery
        dtypes, nccl, token = ranks.from_main(lambda: (*self._meet(version), secrets.token_hex(4)))
        delivery.begin(version, token, dtypes)
        self._held, self._tries = {}, None
        sent: list[str] = []
        if nccl and not delivery.hot:
            sent = ranks.from_main(lambda: self.link.open(self._reachable()))
        if sent:
            delivery.send(self.link, sent)
        else:
            delivery.write()
        told = ranks.from_main(lambda: self._bring_to_all(sent))
        for server in self.servers:
            if server.url in told:
                self._hold(server, *told[server.url])

    def _meet(self, version: int) -> tuple[tuple[str, ...], bool]:
        """Wait for a server and check what it is: the dtypes that weights are held in, and whether NCCL brings them.

        Raises:
            UserError: a server was not started as training needs it.
        """
        found: set[str] = set()
        nccl = self.link is not None

        def look(server: Server) -> None:
            nonlocal nccl
            nccl &= self._check(server)[1]
            if self.delivery.proof:
                found.update(dtypes_held(server.fingerprint()))

        self.delivery.forget_killed(version)
        ready = self._wait_for_any(look)
        if self.link is not None and self.link.required and not nccl:
            raise UserError(
                f"engine.sync=nccl is asked for and {ready[0].url} takes no weights by NCCL: start it with "
                """--weight-transfer-config '{"backend": "nccl"}', or set engine.sync=folder"""
            )
        return tuple(sorted(found)), nccl

    def _bring_to_all(self, sent: Sequence[str]) -> dict[str, tuple[str, str, str]]:
        """To every server that answers; the others get it at the next sync.

        Args:
            sent: URLs of those that have the weights already, by NCCL.
        """
        told: dict[str, tuple[str, str, str]] = {}

        def bring(server: Server) -> None:
            if sent and server.url not in sent and not self.delivery.source.whole:
                raise Gone("it was away while the weights were sent")
            told[server.url] = self._bring(server, sent=server.url in sent)

        self._wait_for_any(bring)
        return told

    def _bring(self, server: Server, *, sent: bool = False) -> tuple[str, str, str]:
        """Give one server the present version; under which name it has it, and the server's ``state``.

        Raises:
            UserError: another run gave it its own meanwhile.
        """
        model, _ = self._check(server)
        model = self.delivery.bring(server, model, sent=sent)
        boot, holder = server.state()
        if not self.delivery.is_ours(holder):
            raise server.taken()
        return model, boot, holder

    def _bring_again(self, server: Server) -> None:
        self._hold(server, *self._bring(server))

    def _hold(self, server: Server, model: str, boot: str, holder: str) -> None:
        self._held[server.url] = _Held(model, SameProcess(server, boot, holder))

    def _check(self, server: Server) -> tuple[str, bool]:
        """The name of a server's model, and whether it takes weights by NCCL. Raises UserError, Gone."""
        info = server.info()
        check_started(
            server,
            info,
            logprobs_for=self.sampling if self.needs_logprobs else None,
            adapters=self.delivery.hot,
            longest=self.longest,
            rank=self.rank,
        )
        return info.model, info.nccl

    # -- sampling ---------------------------------------------------------------------------------

    def begin(self, request: Request) -> None:
        servers = [server for server in self.servers if server.url in self._held]
        if not servers:
            self._pause()
            servers = self._wait_for_any(self._bring_again)
        server = servers[request.number // self.neighbours % len(servers)]
        held = self._held[server.url]
        self._asking.submit((request, server, held), lambda: self._answer(request, server, held))

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        came, again = [], []
        for (request, server, held), answer in self._asking.take(seconds):
            if isinstance(answer, Generation):
                came.append((request.number, answer))
                continue
            again.append(request)
            if self._held.get(server.url) is held:
                del self._held[server.url]
                self._why = f"{server.url}: {answer}"
                self.say(f"the vLLM server {server.url} is gone ({answer}): its requests are made again")
        if came:
            self._tries = None
        if again and self._tries is None:
            self._tries = self.patience.tries()
        for request in again:
            self.begin(request)
        return came

    def drop(self) -> None:
        self._asking.drop()
        self._tries = None

    def _answer(self, request: Request, server: Server, held: _Held) -> Generation | Gone:
        """In a thread of its own."""
        try:
            answer = server.complete(
                request.prompt,
                self.sampling,
                model=held.model,
                max_tokens=self.max_response_tokens,
                ends=self.ends,
                seed=request.seed,
                vocabulary=self.vocabulary,
            )
            held.same.confirm()
        except Gone as error:
            return error
        return answer

    # -- waiting ----------------------------------------------------------------------------------

    def _pause(self) -> None:
        """Before servers are asked anew: longer each time, as one may take weights and yet answer no request.

        Raises:
            RunFailed: no request was answered within the engine's patience.
        """
        if self._tries is not None and next(self._tries, None) is None:
            raise RunFailed(
                f"no vLLM server gave an answer that can be used for {self.patience.limit:.0f} s ({self._why}): see "
                "what it wrote, start it again and resume the run, or raise engine.patience"
            )

    def _reachable(self) -> list[Server]:
        return [server for server in self.servers if server.healthy()]

    def _wait_for_any(self, prepare: Callable[[Server], Any]) -> list[Server]:
        """Those servers that answer and let themselves be prepared; waits until there is one.

        Raises:
            RunFailed: none did within the engine's patience.
        """
        why: dict[str, str] = {server.url: "no answer" for server in self.servers}
        told = False
        for waited in self.patience.tries():
            self.check()
            ready = []
            for server in self._reachable():
                try:
                    prepare(server)
                except Gone as error:
                    why[server.url] = str(error)
                else:
                    ready.append(server)
            if ready:
                return ready
            if not told and waited > 0:
                told = True
                self.say(f"waiting for vLLM at {', '.join(why)}, for {self.patience.limit:.0f} s at most")
        reasons = "; ".join(f"{url}: {reason}" for url, reason in why.items())
        raise RunFailed(
            f"no vLLM server answered for {self.patience.limit:.0f} s ({reasons}): start it again and resume the run, "
            "or raise engine.patience"
        )
