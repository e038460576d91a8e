"""A version of the policy's weights on its way to servers: written or sent by all ranks, then loaded and proved
server by server."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.client import Gone, Server
from sdar_cli.engines.proof import Expected, check, compare
from sdar_cli.engines.weights import Source, forget_old, write_folder, writing
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.engines.nccl import NcclLink

GOODBYE = 5.0
"""Seconds that a server is given to answer at the end."""


@dataclass(slots=True)
class _Version:
    """The weights that all servers shall hold now."""

    number: int
    token: str
    """No other sync's: an adapter's name at a server holds it, so that the name stands for these weights alone; and
    a server says whose weights it was given last."""
    expected: Expected
    adapter: Expected


class Delivery:
    """
    Args:
        folder: where weights are written for the servers to read.
        hot: the adapter goes by itself, the weights under it once.
        proof: whether the servers' weights are compared with what they were sent.
    """

    def __init__(self, source: Source, folder: Path, *, hot: bool, proof: bool) -> None:
        self.source = source
        self.folder = folder.absolute()
        self.hot = hot
        self.proof = proof
        self._version: _Version | None = None

    def forget_killed(self, version: int) -> None:
        """What a run left that was killed: by rank 0, before the version is begun."""
        left = [self._weights_of(version), self._adapter_of(version)]
        if self._version is None:
            left += [self.folder / "base", *self.folder.glob("*.part")]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)

    # -- by all ranks together --------------------------------------------------------------------

    def begin(self, version: int, token: str, dtypes: tuple[str, ...]) -> None:
        """The next steps are about this version; ``dtypes``: those that the servers hold weights in."""
        self._version = _Version(version, token, Expected(dtypes), Expected(dtypes))

    def send(self, link: NcclLink, urls: Sequence[str]) -> None:
        """By NCCL, from rank 0; the others walk with it."""
        for url in urls:
            ranks.together(lambda url=url: link.send(url, self.source.named, self._watched))

    def write(self) -> None:
        """Rank 0 writes; the others walk with it, as the weights may be spread."""
        ranks.together(self._write_adapter if self.hot else self._write_weights)

    def _write_weights(self) -> None:
        if not ranks.is_main():
            for _ in self._watched():
                pass
            return
        dtypes = self._version.expected.dtypes
        write_folder(self._weights(), self._watched(), dtypes[0] if len(dtypes) == 1 else None)
        forget_old(self.folder, "weights-*[0-9]")

    def _write_adapter(self) -> None:
        for name, tensor in self.source.frozen():
            self._version.expected.add(name, tensor)
        for name, tensor in self.source.adapter():
            self._version.adapter.add(name, tensor)
        if ranks.is_main():
            with writing(self._adapter()):
                self.source.save_adapter(self._adapter())
            forget_old(self.folder, "adapter-*[0-9]")

    def _watched(self) -> Iterable[tuple[str, Tensor]]:
        self._version.expected.tensors.clear()
        return self._version.expected.watch(self.source.named())

    def close(self) -> None:
        """Remove what was written."""
        if ranks.is_main():
            for pattern in ("weights-*[0-9]", "adapter-*[0-9]", "base", "*.part"):
                forget_old(self.folder, pattern, keep=0)
            with suppress(OSError):
                self.folder.rmdir()

    # -- by one rank, for one server --------------------------------------------------------------

    def bring(self, server: Server, model: str, *, sent: bool) -> str:
        """Make a server hold the present version, and prove it. Returns the name to ask for it by.

        Args:
            model: the name that the server gives its base.
            sent: the weights are there already, by NCCL.

        Raises:
            StaleWeights: it does not hold it.
            Gone: it does not answer, or not now.
            UserError, RunFailed: it cannot be brought there.
        """
        if self.hot:
            model = self._load_adapter(server)
        else:
            server.hold(self._version.token)
            if not sent and not self._holds(server):
                server.reload(str(self._readable(server, self._written())))
        if not server.reset_cache():
            raise Gone("its prefix cache cannot be emptied while requests are running")
        if self.proof and not self.hot:
            check(self._version.expected, server.fingerprint(), f"the server {server.url}")
        return model

    def _load_adapter(self, server: Server) -> str:
        """The adapter by itself; and the weights under it where the server has others.

        The version before is unloaded behind it. Another rank may be at the same, while its requests already go to
        the present adapter: that one is never unloaded.
        """
        if not self._holds(server):
            base = self.folder / "base"
            if not base.is_dir():
                write_folder(base, self.source.frozen())
            server.hold(self._version.token)
            server.reload(str(self._readable(server, base)))
            check(self._version.expected, server.fingerprint(), f"the server {server.url}")
        name = f"sdar-{self._version.number}-{self._version.token}"
        if name not in server.adapters():
            server.load_adapter(name, str(self._readable(server, self._adapter())))
        if self.proof:
            check(self._version.adapter, server.fingerprint(-1), f"the server {server.url}", "adapter")
        for old in self._own_adapters(server):
            if old != name:
                server.unload_adapter(old)
        return name

    def is_ours(self, holder: str) -> bool:
        """Whether the weights that a server was given last are the present version's; under an adapter they may be
        whosever they are, as they are compared."""
        return self.hot or holder == self._version.token

    def unload(self, server: Server) -> None:
        """Leave no adapter of this run at a server, if it answers at once."""
        if self.hot and self._version is not None:
            with suppress(Gone, UserError):
                for name in self._own_adapters(server, seconds=GOODBYE):
                    server.unload_adapter(name, seconds=GOODBYE)

    def _own_adapters(self, server: Server, **about: Any) -> list[str]:
        """Names of the adapters at a server that came from this run's folder: a killed process's too."""
        return [name for name, path in server.adapters(**about).items() if Path(path).parent == self.folder]

    def _holds(self, server: Server) -> bool:
        """Whether the server has the weights already: another rank may have brought them."""
        if not self.proof:
            return self.hot
        wrong, compared, _ = compare(self._version.expected, server.fingerprint())
        return bool(compared) and not wrong

    def _written(self) -> Path:
        """The present version's folder; weights that went by NCCL are written for a server that came too late."""
        folder = self._weights()
        if not folder.is_dir():
            if not self.source.whole:
                raise RunFailed(
                    "a server was started again in the middle of a rollout and the weights are spread over the run's "
                    "processes, so that none can bring them alone: resume the run, or set engine.sync=folder"
                )
            write_folder(folder, self.source.named())
        return folder

    def _readable(self, server: Server, folder: Path) -> Path:
        first = next(iter(sorted(folder.glob("*.safetensors"))), folder)
        if not server.sees(str(first)):
            raise UserError(
                f"the server {server.url} cannot read {folder}: name a folder that it and this machine share, "
                "engine.sync_folder=FOLDER"
            )
        return folder

    def _weights(self) -> Path:
        return self._weights_of(self._version.number)

    def _weights_of(self, version: int) -> Path:
        return self.folder / f"weights-{version}"

    def _adapter(self) -> Path:
        return self._adapter_of(self._version.number)

    def _adapter_of(self, version: int) -> Path:
        return self.folder / f"adapter-{version}"
