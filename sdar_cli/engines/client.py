"""One vLLM server over HTTP: token ids in, token ids and log-probs out, and the routes of its development mode.

Its answers are of three kinds: good; ``Gone``, which time may heal (no connection, an error of the server's own);
and an error for the user (the server refuses, or lacks something).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import UserError
from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    import httpx

    from sdar_cli.recipe.schema import Sampling

CONNECTIONS = 256
"""Most requests to one server at a time."""

EXTENSION = "sdar_cli.engines.fingerprint.Fingerprint"
"""What ``--worker-extension-cls`` must name."""


PLAIN = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""What a server would take from the model's ``generation_config.json`` where a request is silent (Qwen2.5 asks for a
repetition penalty): tokens of another policy than the one that trains."""


class Gone(Exception):
    """The server did not answer, or says that it is broken."""


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
        """Raises UserError for what is no URL, or no key."""
        import httpx

        self.url = url.rstrip("/").removesuffix("/v1")
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        try:
            self._http = httpx.Client(
                base_url=self.url,
                headers={"Authorization": f"Bearer {key}"} if key else None,
                timeout=httpx.Timeout(timeout, connect=5.0),
                limits=limits,
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise self._no_url() from error
        except UnicodeEncodeError as error:  # of the header that holds the key
            raise UserError(
                "VLLM_API_KEY holds letters that no HTTP header takes: set it to the server's key"
            ) from error

    def close(self) -> None:
        self._http.close()

    # -- what it is -------------------------------------------------------------------------------

    def healthy(self) -> bool:
        try:
            self._get("/health", timeout=5.0)
        except Gone:
            return False
        return True

    def info(self) -> ServerInfo:
        """Raises Gone, and UserError where the URL is no OpenAI-compatible server."""
        first = self._models()[0]
        model, longest = str(first["id"]), first.get("max_model_len")
        answer = self._request("GET", "/server_info", params={"config_format": "json"}, missing_is_fine=True)
        if answer is None:
            return ServerInfo(model, longest)
        config = self._json(answer, "/server_info").get("vllm_config", {})
        lora, transfer = config.get("lora_config") or {}, config.get("weight_transfer_config") or {}
        return ServerInfo(
            model,
            longest,
            development=True,
            extension=(config.get("parallel_config") or {}).get("worker_extension_cls") or None,
            logprobs_mode=(config.get("model_config") or {}).get("logprobs_mode"),
            lora_rank=lora.get("max_lora_rank"),
            nccl=transfer.get("backend") == "nccl",
        )

    def adapters(self, **about: Any) -> dict[str, str]:
        """Those that it lists beside its base: name → the folder that it was loaded from."""
        return {str(m["id"]): str(m.get("root")) for m in self._models(**about) if m.get("parent")}

    def _models(self, **about: Any) -> list[dict[str, Any]]:
        """At least one, each with an ``id``."""
        models = self._json(self._get("/v1/models", **about), "/v1/models").get("data")
        if not models or not isinstance(models, list) or not all(isinstance(m, dict) and "id" in m for m in models):
            raise UserError(
                f"{self.url}/v1/models lists no model, so it is no OpenAI-compatible server: correct the URL"
            )
        return models

    # -- sampling ---------------------------------------------------------------------------------

    def complete(
        self, prompt: Sequence[int], sampling: Sampling, *, model: str, max_tokens: int, ends: Sequence[int], seed: int
    ) -> Generation:
        """Sample one answer. Raises Gone, also where the server no longer knows the model, and UserError."""
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
        answer = self._request("POST", "/v1/completions", json=body, missing_is_fine=True)
        if answer is None:
            if model not in (listed["id"] for listed in self._models()):
                raise Gone(f"it no longer knows {model}")
            raise UserError(f"the server {self.url} has no route /v1/completions: use one such as `vllm serve`")
        return self._generation(self._json(answer, "/v1/completions"))

    def _generation(self, answer: Mapping[str, Any]) -> Generation:
        try:
            choice = answer["choices"][0]
            ids, logprobs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
            ids, logprobs = [int(i) for i in ids], [float(p) for p in logprobs]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"the answers of {self.url} lack token ids or log-probs: use a server that knows `return_token_ids` "
                "and `logprobs`, such as `vllm serve`"
            ) from error
        if len(ids) != len(logprobs) or not all(map(math.isfinite, logprobs)):
            raise Gone(f"{len(ids)} tokens came with {len(logprobs)} log-probs, or with such as are no numbers")
        return Generation(ids, logprobs)

    # -- development mode -------------------------------------------------------------------------

    def fingerprint(self, adapter: int = 0) -> list[dict[str, Any]]:
        """Of each worker; ``adapter=-1``: with the adapter that was loaded last."""
        return self._call("sdar_fingerprint", adapter=str(adapter))

    def boot(self) -> str:
        """Changes when the server is started again."""
        return self.state()[0]

    def state(self) -> tuple[str, str]:
        """``boot``, and the token of the sync that gave the server its weights last, by whichever run."""
        workers = self._call("sdar_boot")
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
        return all(worker["sees"] for worker in self._call("sdar_sees", path=path))

    def reload(self, folder: str) -> None:
        """Load the weights of a folder in place of those it has."""
        self._call("reload_weights", weights_path=folder)

    def reset_cache(self) -> bool:
        """Forget the keys and values of prompts, which are of the weights before."""
        answer = self._post("/reset_prefix_cache", None, params={"reset_running_requests": "true"})
        return not answer.content or bool(self._json(answer, "/reset_prefix_cache").get("success", True))

    def load_adapter(self, name: str, folder: str) -> None:
        """Fine where it is there already: another rank may have loaded it meanwhile."""
        body = {"lora_name": name, "lora_path": folder}
        try:
            answer = self._request("POST", "/v1/load_lora_adapter", json=body, missing_is_fine=True)
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
        self._request("POST", "/v1/unload_lora_adapter", json={"lora_name": name}, missing_is_fine=True, **about)

    def _call(self, method: str, **kwargs: str) -> list[Any]:
        answer = self._post("/collective_rpc", {"method": method, "kwargs": kwargs})
        return self._json(answer, "/collective_rpc").get("results") or [] if answer.content else []

    # -- HTTP -------------------------------------------------------------------------------------

    def _get(self, path: str, **about: Any) -> httpx.Response:
        return self._request("GET", path, **about)

    def _post(self, path: str, body: Mapping[str, Any] | None, **about: Any) -> httpx.Response:
        return self._request("POST", path, json=body, **about)

    def _request(self, verb: str, path: str, *, missing_is_fine: bool = False, **about: Any) -> Any:
        import httpx

        try:
            answer = self._http.request(verb, path, **about)
        except httpx.RequestError as error:
            raise Gone(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that no name can be
            raise self._no_url() from error
        if answer.status_code == 404 and missing_is_fine:
            return None
        if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
            raise Gone(f"{answer.status_code}: {_message(answer.text)}")
        if answer.status_code >= 400:
            raise UserError(
                f"the server {self.url} refuses {path} ({answer.status_code}: {_message(answer.text)}): see "
                "docs/vllm.md for how to start it"
            )
        return answer

    def _no_url(self) -> UserError:
        return UserError(f"{self.url!r} is no URL: give one such as http://127.0.0.1:8000")

    def _json(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        try:
            value = answer.json()
        except ValueError as error:
            raise UserError(
                f"{self.url}{path} answers something that is no JSON, so it is no vLLM server: correct the URL"
            ) from error
        if not isinstance(value, dict):
            raise UserError(f"{self.url}{path} answers no JSON object, so it is no vLLM server: correct the URL")
        return value


def _message(text: str) -> str:
    """The sentence in an error's body, on one line."""
    try:
        value = json.loads(text)
        error = value.get("error", value)
        text = str(error.get("message", text) if isinstance(error, dict) else error)
    except (json.JSONDecodeError, AttributeError):
        pass
    text = " ".join(text.split())
    return text[:200] + "…" if len(text) > 200 else text
