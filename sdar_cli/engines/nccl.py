"""Weights to servers by NCCL, through TRL's client: from GPU to GPU, without a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.client import Gone
from sdar_cli.errors import RunFailed
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from torch import Tensor, device

    from sdar_cli.engines.client import Server

FIRST_PORT = 51216
"""Of the meeting of rank 0 with the first server's workers; the others follow, each with one that it keeps: two of
them may be on one machine, and be met in another order later."""


class NcclLink:
    """Rank 0's groups with the workers of each server; the other ranks only walk the weights along.

    Args:
        required: the recipe asks for NCCL, rather than for whatever works.
        connect: makes TRL's client of a URL and a port.
    """

    def __init__(self, device: device, *, required: bool, connect: Callable[[str, int], Any] | None = None) -> None:
        self.device = device
        self.required = required
        self._connect = connect or _trl_client
        self._clients: dict[str, tuple[str, Any]] = {}
        """URL → the server's boot, and the client that met it."""
        self._ports: dict[str, int] = {}
        self._shapes: list[tuple[str, str, list[int]]] | None = None

    def open(self, servers: Sequence[Server]) -> list[str]:
        """Meet the workers of servers that are new or were started again; the URLs that weights can be sent to."""
        met = []
        for server in servers:
            with suppress(Gone):
                self._meet(server)
                met.append(server.url)
        return met

    def _meet(self, server: Server) -> None:
        """Raises Gone where it does not answer, RunFailed where NCCL does not get there."""
        boot = server.boot()
        if self._clients.get(server.url, ("", None))[0] != boot:
            self._leave(server.url)
            port = self._ports.setdefault(server.url, FIRST_PORT + len(self._ports))
            try:
                client = self._connect(server.url, port)
                client.init_communicator(device=self.device)
            except Exception as error:
                raise _failed(server.url, error) from error
            self._clients[server.url] = boot, client

    def _leave(self, url: str) -> None:
        """Leave the group of a server that was started again, whose port is needed for the next one."""
        _, client = self._clients.pop(url, ("", None))
        if client is not None:
            client.close_communicator()

    def close(self) -> None:
        """Leave every group, so that the ports are free."""
        for url in list(self._clients):
            self._leave(url)

    def send(
        self,
        url: str,
        walk: Callable[[], Iterable[tuple[str, Tensor]]],
        watched: Callable[[], Iterable[tuple[str, Tensor]]],
    ) -> None:
        """Send what ``watched`` yields to one server. All ranks call it, as a walk may need them all.

        Raises:
            RunFailed: NCCL does not bring them there. The tensors are walked to the end all the same.
        """
        if self._shapes is None:
            self._shapes = [(name, str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in walk()]
        if not ranks.is_main():
            for _ in watched():
                pass
            return
        walk_failed: list[Exception] = []

        def walked() -> Iterator[tuple[str, Tensor]]:
            try:
                yield from watched()
            except Exception as error:
                walk_failed.append(error)
                raise

        named = walked()
        try:
            self._clients[url][1].update_named_params(self._shapes, named)
        except Exception as error:
            if walk_failed:
                raise walk_failed[0] from None  # nothing of NCCL's
            with suppress(Exception):  # the other ranks stand in the walk; that it fails too says nothing more
                for _ in named:
                    pass
            raise _failed(url, error) from error


def _failed(url: str, error: Exception) -> RunFailed:
    why = " ".join(str(error).split())[:200] or type(error).__name__
    return RunFailed(
        f"weights cannot be sent to {url} by NCCL ({why}): see that both machines' GPUs reach each other, or set "
        "engine.sync=folder"
    )


def _trl_client(url: str, port: int) -> Any:
    from trl.generation.vllm_client import VLLMClient

    return VLLMClient(base_url=url, group_port=port, connection_timeout=30.0)
