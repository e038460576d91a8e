"""One vLLM server over HTTP: token ids in, token ids and log-probs out, and the routes of its development mode.

Its answers are of three kinds: good; ``Gone``, which time may heal (no connection, an error of the server's own);
and an error for the user (the server refuses, or lacks something).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.wire import CONNECTIONS, Answer, Gone, Wire
from sdar_cli.errors import UserError
from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Sampling

__all__ = ["CONNECTIONS", "EXTENSION", "Gone", "Server", "ServerInfo"]

EXTENSION = "sdar_cli.engines.fingerprint.Fingerprint"
"""What ``--worker-extension-cls`` must name."""

MOST_DIGITS = 20
"""Of a sum modulo 2⁶⁴, and of a token that is shown."""
MOST_LOGPROB = 1.0
"""Above 0 by more than any rounding: a sum over a vocabulary in another precision."""


PLAIN = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""What a server would take from the model's ``generation_config.json`` where a request is silent (Qwen2.5 asks for a
repetition penalty): tokens of another policy than the one that trains."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself; of one without development mode, the model alone."""

    model: str
    max_tokens: int | None = None
    """Longest sequence."""
    development: bool = False
    extension: str | None = None
    logprobs_mode: str | None = None
    lora_rank: int | None = None
    """Largest rank of an adapter; None: the server takes none."""
    nccl: bool = False
    """Whether it takes weights by NCCL."""


class Server:
    """A client of one server; its methods may be called from many threads."""

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 600.0) -> None:
        """
        Args:
            timeout: seconds for one whole answer.

        Raises:
            UserError: that is no URL, or no key.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._wire = Wire(self.url, key=key, timeout=timeout)
        self._has_sampled = False
        """Whether it has given an answer to a prompt that could be used."""

    def close(self) -> None:
        self._wire.close()

    # -- what it is -------------------------------------------------------------------------------

    def healthy(self) -> bool:
        try:
            self._get("/health", seconds=5.0)
        except Gone:
            return False
        return True

    def info(self) -> ServerInfo:
        """Raises Gone, and UserError where the URL is no OpenAI-compatible server."""
        first = self._models()[0]
        model, longest = str(first["id"]), first.get("max_model_len")
        answer = self._wire.ask("GET", "/server_info", params={"config_format": "json"}, missing_is_fine=True)
        config = None if answer is None else self._wire.json(answer, "/server_info").get("vllm_config", {})
        try:
            info = ServerInfo(model, None if longest is None else int(longest))
            if config is not None:
                info = _with_config(info, config)
        except (AttributeError, TypeError, ValueError) as error:
            raise self._wire.unusable("/server_info", "what cannot be understood") from error
        self._wire.proven = True
        return info

    def adapters(self, **about: Any) -> dict[str, str]:
        """Those that it lists beside its base: name → the folder that it was loaded from."""
        return {str(m["id"]): str(m.get("root")) for m in self._models(**about) if m.get("parent")}

    def _models(self, **about: Any) -> list[dict[str, Any]]:
        """At least one, each with an ``id``."""
        models = self._wire.json(self._get("/v1/models", **about), "/v1/models").get("data")
        if not models or not isinstance(models, list) or not all(isinstance(m, dict) and "id" in m for m in models):
            if self._wire.proven:
                raise Gone("it lists no model")
            raise UserError(
                f"{self.url}/v1/models lists no model, so it is no OpenAI-compatible server: correct the URL"
            )
        return models

    # -- sampling ---------------------------------------------------------------------------------

    def complete(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        model: str,
        max_tokens: int,
        ends: Sequence[int],
        seed: int,
        vocabulary: int = 2**31,
    ) -> Generation:
        """Sample one answer. Raises Gone, also where the server no longer knows the model, and UserError.

        Args:
            vocabulary: how many tokens the model knows.
        """
        body = {
            "model": model,
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            **PLAIN,
            "seed": seed,
            "stop_token_ids": list(ends),
            "logprobs": 0,
            "return_token_ids": True,
            "skip_special_tokens": False,
            "add_special_tokens": False,
        }
        answer = self._wire.ask("POST", "/v1/completions", json=body, missing_is_fine=True)
        if answer is None:
            if model not in (listed["id"] for listed in self._models()):
                raise Gone(f"it no longer knows {model}")
            if self._has_sampled:
                raise Gone("it no longer knows /v1/completions")
            raise UserError(f"the server {self.url} has no route /v1/completions: use one such as `vllm serve`")
        generation = self._generation(self._wire.json(answer, "/v1/completions"))
        if why := _unsound(generation, max_tokens, vocabulary):
            raise Gone(why)
        self._has_sampled = True
        return generation

    def _generation(self, answer: Mapping[str, Any]) -> Generation:
        try:
            choice = answer["choices"][0]
            ids, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
            if not all(type(token) is int for token in ids):
                raise TypeError("token ids are whole numbers")
            return Generation(list(ids), [float(p) for p in logprobs])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            if self._has_sampled:
                raise Gone("its answer lacks token ids or log-probs") from error
            raise UserError(
                f"the answers of {self.url} lack token ids or log-probs: use a server that knows `return_token_ids` "
                "and `logprobs`, such as `vllm serve`"
            ) from error

    # -- development mode -------------------------------------------------------------------------

    def fingerprint(self, adapter: int = 0) -> list[dict[str, Any]]:
        """Of each worker; ``adapter=-1``: with the adapter that was loaded last."""
        reports = self._told("sdar_fingerprint", "weights", "adapter", "fused", adapter=str(adapter))
        if not all(isinstance(report[part], dict) for report in reports for part in ("weights", "adapter", "fused")):
            raise self._wire.unusable("/collective_rpc", "no sums of weights")
        if not all(map(_are_sums, [*(report["weights"] | report["adapter"] for report in reports)])):
            raise self._wire.unusable("/collective_rpc", "sums of weights that are none")
        return reports

    def boot(self) -> str:
        """Changes when the server is started again."""
        return self.state()[0]

    def state(self) -> tuple[str, str]:
        """``boot``, and the token of the sync that gave the server its weights last, by whichever run."""
        workers = self._told("sdar_boot", "boot", "holder")
        return " ".join(str(w["boot"]) for w in workers), " ".join(sorted({str(w["holder"]) for w in workers}))

    def hold(self, token: str) -> None:
        """Say whose weights come now."""
        self._call("sdar_hold", holder=token)

    def taken(self) -> UserError:
        return UserError(
            f"another run or evaluation gives its weights to the server {self.url} at the same time, so that samples "
            "would be of its policy: give each servers of its own, and resume this one"
        )

    def sees(self, path: str) -> bool:
        """Whether every worker can read a file."""
        return all(worker["sees"] for worker in self._told("sdar_sees", "sees", path=path))

    def reload(self, folder: str) -> None:
        """Load the weights of a folder in place of those it has."""
        self._call("reload_weights", weights_path=folder)

    def reset_cache(self) -> bool:
        """Forget the keys and values of prompts, which are of the weights before."""
        answer = self._post("/reset_prefix_cache", None, params={"reset_running_requests": "true"})
        return not answer.content or bool(self._wire.json(answer, "/reset_prefix_cache").get("success", True))

    def load_adapter(self, name: str, folder: str) -> None:
        """Fine where it is there already: another rank may have loaded it meanwhile."""
        body = {"lora_name": name, "lora_path": folder}
        try:
            answer = self._wire.ask("POST", "/v1/load_lora_adapter", json=body, missing_is_fine=True)
        except UserError:
            if name in self.adapters():
                return
            raise
        if answer is None:
            raise UserError(
                f"the server {self.url} loads no adapters while it runs: start it with --enable-lora and "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or set engine.lora=merge"
            )

    def unload_adapter(self, name: str, **about: Any) -> None:
        """Fine where it is not there: the server may have been started again."""
        self._wire.ask("POST", "/v1/unload_lora_adapter", json={"lora_name": name}, missing_is_fine=True, **about)

    def _told(self, method: str, *names: str, **kwargs: str) -> list[dict[str, Any]]:
        """What each worker says under these names."""
        workers = self._call(method, **kwargs)
        if not workers or not all(isinstance(worker, dict) and worker.keys() >= {*names} for worker in workers):
            raise self._wire.unusable("/collective_rpc", f"no {names[0]} to {method}")
        return workers

    def _call(self, method: str, **kwargs: str) -> list[Any]:
        answer = self._post("/collective_rpc", {"method": method, "kwargs": kwargs})
        results = self._wire.json(answer, "/collective_rpc").get("results") if answer.content else None
        if not isinstance(results, list | None):
            raise self._wire.unusable("/collective_rpc", f"no results of {method}")
        return results or []

    def _get(self, path: str, **about: Any) -> Answer:
        return self._wire.ask("GET", path, **about)

    def _post(self, path: str, body: Mapping[str, Any] | None, **about: Any) -> Answer:
        return self._wire.ask("POST", path, json=body, **about)


def _with_config(info: ServerInfo, config: Mapping[str, Any]) -> ServerInfo:
    """What the server's own configuration adds; raises AttributeError and the like for what is none."""
    lora, transfer = config.get("lora_config") or {}, config.get("weight_transfer_config") or {}
    rank = lora.get("max_lora_rank")
    return replace(
        info,
        development=True,
        extension=(config.get("parallel_config") or {}).get("worker_extension_cls") or None,
        logprobs_mode=(config.get("model_config") or {}).get("logprobs_mode"),
        lora_rank=None if rank is None else int(rank),
        nccl=transfer.get("backend") == "nccl",
    )


def _unsound(generation: Generation, max_tokens: int, vocabulary: int) -> str | None:
    """Why an answer cannot be one of the policy's, or None."""
    ids, logprobs = generation.ids, generation.logprobs
    if len(ids) != len(logprobs) or not all(map(math.isfinite, logprobs)):
        return f"{len(ids)} tokens came with {len(logprobs)} log-probs, or with such as are no numbers"
    if any(p > MOST_LOGPROB for p in logprobs):
        return f"a log-prob of {max(logprobs):g} came, which none can be"
    if len(ids) > max_tokens:
        return f"{len(ids)} tokens came where {max_tokens} were asked for"
    strange = next((token for token in ids if not 0 <= token < vocabulary), None)
    if strange is not None:
        return f"token {str(strange)[:MOST_DIGITS]} came, and the model knows {vocabulary}"
    return None


def _are_sums(report: Mapping[str, Any]) -> bool:
    """Whether every tensor has a sum of its bits, which are too many for a number of JSON, a size and a dtype."""
    return all(
        isinstance(told, list)
        and [*map(type, told)] == [str, int, str]
        and told[0].isdecimal()
        and len(told[0]) <= MOST_DIGITS
        for told in report.values()
    )
