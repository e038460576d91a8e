"""vLLM behind URLs: every rank asks by itself, rank 0 brings the weights, and a server that was away gets them anew.

A server is trusted with a policy's samples only while it holds the policy's weights: they are proved after every
sync (``proof.py``), and the answers of a server that was started again meanwhile are thrown away.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.client import CONNECTIONS, EXTENSION, Gone, Server, ServerInfo
from sdar_cli.engines.engine import Engine
from sdar_cli.engines.patience import Patience
from sdar_cli.engines.proof import Expected, check, compare, dtypes_held
from sdar_cli.engines.weights import Source, forget_old, write_folder
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.rollout.policies import Generation
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from sdar_cli.engines.nccl import NcclLink
    from sdar_cli.recipe.schema import Sampling


@dataclass(slots=True)
class _Held:
    """What a server was brought last."""

    info: ServerInfo
    boot: str
    model: str
    """Under which name requests get the weights: the base's, or an adapter's."""


@dataclass(slots=True)
class _Version:
    """The weights that all servers shall hold now."""

    number: int
    expected: Expected
    adapter: Expected | None = None


class ServerEngine(Engine):
    """Samples from one or several servers.

    Args:
        folder: where weights are written for the servers to read: every one of them must see it under this path.
        hot: bring the adapter by itself instead of merged weights.
        link: brings the weights by NCCL; None: the folder does.
        proof: whether the servers' weights are compared with what they were sent.
        longest: tokens of the longest prompt with its response.
        needs_logprobs: whether the answers' log-probs are used.
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
        link: NcclLink | None = None,
        proof: bool = True,
        longest: int | None = None,
        needs_logprobs: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__(sampling, max_response_tokens, ends)
        self.servers = list(servers)
        self.source = source
        self.folder = folder.absolute()
        self.patience = patience
        self.hot = hot and source.lora
        self.link = link
        self.proof = proof
        self.longest = longest
        self.needs_logprobs = needs_logprobs
        self.say = say
        self._held: dict[str, _Held] = {}
        """By URL, of those that hold the present version."""
        self._version: _Version | None = None
        self._threads = ThreadPoolExecutor(CONNECTIONS * len(self.servers), thread_name_prefix="vllm")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for server in self.servers:
            server.close()
        if ranks.is_main():
            for pattern in ("weights-*[0-9]", "adapter-*[0-9]", "base"):
                forget_old(self.folder, pattern, keep=0)
            with suppress(OSError):
                self.folder.rmdir()

    # -- weights ----------------------------------------------------------------------------------

    def bring(self, version: int) -> None:
        dtypes, link = ranks.from_main(lambda: self._meet(version))
        self._version = _Version(version, Expected(dtypes), Expected(dtypes) if self.hot else None)
        self._held = {}
        if self.hot:
            self._prepare_adapter()
        elif link:
            self._send(ranks.from_main(lambda: self.link.open(self._reachable())))
        else:
            ranks.together(self._write)
        self._held = ranks.from_main(lambda: self._bring_to_all(sent=link and not self.hot))

    def _meet(self, version: int) -> tuple[tuple[str, ...], bool]:
        """Wait for a server and check what it is: the dtypes that weights are held in, and whether NCCL brings them.

        Raises:
            UserError: a server was not started as training needs it.
        """
        found: set[str] = set()
        nccl = self.link is not None

        def look(server: Server) -> None:
            nonlocal nccl
            info = server.info()
            self._check(server, info)
            nccl &= info.nccl
            if self.proof:
                found.update(dtypes_held(server.fingerprint()))

        shutil.rmtree(self._weights_folder_of(version), ignore_errors=True)  # of a run that was killed
        ready = self._wait_for_any(look)
        if self.link is not None and self.link.required and not nccl:
            raise UserError(
                f"engine.sync=nccl is asked for and {ready[0].url} takes no weights by NCCL: start it with "
                """--weight-transfer-config '{"backend": "nccl"}', or set engine.sync=folder"""
            )
        return tuple(sorted(found)), nccl

    def _send(self, urls: Sequence[str]) -> None:
        """By NCCL, from rank 0; the others walk with it."""
        for url in urls:
            ranks.together(lambda url=url: self.link.send(url, self.source.named, self._watched))

    def _write(self) -> None:
        """Rank 0 writes; the others walk with it, as the weights may be spread."""
        if not ranks.is_main():
            for _ in self._watched():
                pass
            return
        dtypes = self._version.expected.dtypes
        write_folder(self._weights_folder(), self._watched(), dtypes[0] if len(dtypes) == 1 else None)
        forget_old(self.folder, "weights-*[0-9]")

    def _watched(self):
        self._version.expected.tensors.clear()
        return self._version.expected.watch(self.source.named())

    def _prepare_adapter(self) -> None:
        for name, tensor in self.source.frozen():
            self._version.expected.add(name, tensor)
        for name, tensor in self.source.adapter():
            self._version.adapter.add(name, tensor)
        if ranks.is_main():
            self.source.save_adapter(self._adapter_folder())
            forget_old(self.folder, "adapter-*[0-9]")

    def _weights_folder(self) -> Path:
        return self._weights_folder_of(self._version.number)

    def _weights_folder_of(self, version: int) -> Path:
        return self.folder / f"weights-{version}"

    def _adapter_folder(self) -> Path:
        return self.folder / f"adapter-{self._version.number}"

    def _bring_to_all(self, *, sent: bool) -> dict[str, _Held]:
        """To every server that answers; the others get it at the next sync."""
        self._wait_for_any(lambda server: self._bring(server, sent=sent))
        return self._held

    def _bring(self, server: Server, *, sent: bool = False) -> None:
        """Make one server hold the present version, and prove it.

        Args:
            sent: the weights are there already, by NCCL.
        """
        info = server.info()
        self._check(server, info)
        model = info.model
        if self.hot:
            model = self._bring_adapter(server)
        elif not sent and not self._holds(server):
            self._reload(server, self._readable(server, self._folder_of_weights()))
        if not server.reset_cache():
            raise Gone("its prefix cache cannot be emptied while requests are running")
        if self.proof and not self.hot:
            check(self._version.expected, server.fingerprint(), f"the server {server.url}")
        boot = server.boot() if info.extension else ""
        self._held[server.url] = _Held(info, boot, model)

    def _bring_adapter(self, server: Server) -> str:
        """Load the adapter by itself; and the weights under it where the server has others. Returns its name."""
        if not self._holds(server):
            base = self.folder / "base"
            if not base.is_dir():
                write_folder(base, self.source.frozen())
            self._reload(server, self._readable(server, base))
            check(self._version.expected, server.fingerprint(), f"the server {server.url}")
        name = f"sdar-{self._version.number}"
        server.unload_adapter(name)
        server.load_adapter(name, str(self._readable(server, self._adapter_folder())))
        if self.proof:
            check(self._version.adapter, server.fingerprint(-1), f"the server {server.url}", "adapter")
        return name

    def _reload(self, server: Server, folder: Path) -> None:
        server.reload(str(folder))

    def _holds(self, server: Server) -> bool:
        """Whether the server has the weights already: another rank may have brought them."""
        if not self.proof:
            return self.hot
        wrong, compared, _ = compare(self._version.expected, server.fingerprint())
        return bool(compared) and not wrong

    def _folder_of_weights(self) -> Path:
        """Of the present version; weights that went by NCCL are written for a server that came too late."""
        folder = self._weights_folder()
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

    def _check(self, server: Server, info: ServerInfo) -> None:
        """Raises UserError for a server that was not started as training needs it."""
        how = "start it as docs/vllm.md says"
        if not info.development:
            raise UserError(f"the server {server.url} takes no weights, as VLLM_SERVER_DEV_MODE=1 is not set: {how}")
        if info.extension is None or not info.extension.endswith("Fingerprint"):
            raise UserError(
                f"the server {server.url} cannot say which weights it holds: start it with --worker-extension-cls "
                f"{EXTENSION}"
            )
        plain = (self.sampling.temperature, self.sampling.top_p, self.sampling.top_k) == (1.0, 1.0, 0)
        if self.needs_logprobs and info.logprobs_mode not in (None, "processed_logprobs") and not plain:
            raise UserError(
                f"the server {server.url} gives log-probs before temperature and top_p: start it with --logprobs-mode "
                "processed_logprobs"
            )
        if self.hot and info.lora_rank is None:
            raise UserError(f"the server {server.url} takes no adapters: start it with --enable-lora, or set "
                            "engine.lora=merge")  # fmt: skip
        if self.longest is not None and info.max_tokens is not None and info.max_tokens < self.longest:
            raise UserError(
                f"the server {server.url} takes {info.max_tokens} tokens and a prompt with its response may have "
                f"{self.longest}: start it with --max-model-len {self.longest}"
            )

    # -- sampling ---------------------------------------------------------------------------------

    def sample(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Generation]:
        out: list[Generation | None] = [None] * len(prompts)
        while open_ := [n for n, generation in enumerate(out) if generation is None]:
            servers = [server for server in self.servers if server.url in self._held]
            servers = servers or self._wait_for_any(self._bring)
            for n, generation in self._ask(servers, open_, prompts, seeds):
                out[n] = generation
        return out

    def _ask(
        self, servers: Sequence[Server], open_: Sequence[int], prompts: Sequence[list[int]], seeds: Sequence[int]
    ) -> list[tuple[int, Generation]]:
        """Neighbours go to one server, as those of a group share the start of their prompts. Answers that came."""
        asked = []
        for place, n in enumerate(open_):
            server = servers[place * len(servers) // len(open_)]
            model = self._held[server.url].model
            asked.append((n, server, self._threads.submit(self._one, server, model, prompts[n], seeds[n])))
        came = [(n, server, future.result()) for n, server, future in asked]
        lost = {server.url: answer for _, server, answer in came if isinstance(answer, Gone)}
        for server in servers:
            if server.url not in lost and (why := self._changed(server)) is not None:
                lost[server.url] = why
                came = [(n, other, answer) for n, other, answer in came if other is not server]
        for url, why in lost.items():
            self._held.pop(url, None)
            self.say(f"the vLLM server {url} is gone ({why}): its requests are made again")
        return [(n, answer) for n, _, answer in came if isinstance(answer, Generation)]

    def _one(self, server: Server, model: str, prompt: list[int], seed: int) -> Generation | Gone:
        try:
            return server.complete(
                prompt, self.sampling, model=model, max_tokens=self.max_response_tokens, ends=self.ends, seed=seed
            )
        except Gone as error:
            return error

    def _changed(self, server: Server) -> Gone | None:
        """Why the answers that a server just gave are not to be used: it may be another than before."""
        held = self._held[server.url]
        if not held.boot:
            return None
        try:
            return None if server.boot() == held.boot else Gone("it was started again")
        except Gone as error:
            return error

    # -- waiting ----------------------------------------------------------------------------------

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
