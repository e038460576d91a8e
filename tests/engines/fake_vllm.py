"""A server that answers as vLLM does on the routes that we use, with a Hugging Face model behind it, and that can
be killed, restarted and made to lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from safetensors.torch import load_file

from sdar_cli.engines.client import EXTENSION
from sdar_cli.engines.fingerprint import summarise
from sdar_cli.models.load import load_model


class FakeVllm:
    """Attributes that a test sets change how it behaves from then on.

    ``requests`` holds (path, body) of all that came, in order.
    """

    def __init__(self, base: Path) -> None:
        self.base = str(base)
        self.requests: list[tuple[str, Any]] = []
        self.development = True
        self.extension: str | None = EXTENSION
        self.logprobs_mode = "processed_logprobs"
        self.lora: dict | None = None
        self.longest = 4096
        self.deaf = False
        """Takes reloads and does not load."""
        self.blind = False
        """Sees no file."""
        self.busy_cache = False
        self.statuses: list[int] = []
        """Of the next completions, before any is answered."""
        self.kill_after: int | None = None
        """Completions after which it dies."""
        self.restart_after: int | None = None
        """Completions after which it is another, of the base's weights, that nobody saw go."""
        self.instead: Callable[[str], bytes | None] = lambda path: None
        """Given a request's path, the bytes that it gets in the place of a response, behind which the connection is
        closed."""
        self._boots = 0
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self._open: set = set()
        self.port = 0

    # -- its life ---------------------------------------------------------------------------------

    def __enter__(self) -> FakeVllm:
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """With the base's weights, at the port of before."""
        self.reborn()
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler(), bind_and_activate=False)
        self._http.allow_reuse_address, self._http.daemon_threads = True, True
        self._http.server_bind()
        self._http.server_activate()
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def reborn(self) -> None:
        self._boots += 1
        self.model = load_model(self.base).eval()
        self.adapter: dict[str, torch.Tensor] = {}
        self.holder = ""
        self.adapters: dict[str, str] = {}

    def kill(self) -> None:
        """Nobody is told; open connections break."""
        http, self._http = self._http, None
        if http is None:
            return
        http.shutdown()
        http.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(2)

    def asked(self) -> list[dict]:
        """Completions, in order."""
        return [body for path, body in self.requests if path == "/v1/completions"]

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    # -- its answers ------------------------------------------------------------------------------

    def answer(self, verb: str, path: str, body: Any) -> tuple[int, Any]:
        self.requests.append((path, body))
        if path == "/health":
            return 200, None
        if path == "/v1/models":
            own = [{"id": name, "root": root, "parent": "policy"} for name, root in self.adapters.items()]
            return 200, {"data": [{"id": "policy", "root": self.base, "max_model_len": self.longest}, *own]}
        if path == "/v1/completions":
            return self._complete(body)
        if path == "/v1/load_lora_adapter" and self.lora:
            if body["lora_name"] in self.adapters:
                return 400, {"error": {"message": "it has already been loaded"}}
            self.adapters[body["lora_name"]] = body["lora_path"]
            self.adapter = load_file(Path(body["lora_path"]) / "adapter_model.safetensors")
            return 200, None
        if path == "/v1/unload_lora_adapter" and self.lora:
            found = self.adapters.pop(body["lora_name"], None)
            return (200, None) if found else (404, {"error": {"message": "no such adapter"}})
        if self.development and path == "/server_info":
            return 200, {"vllm_config": self._config()}
        if self.development and path == "/collective_rpc":
            return self._rpc(body["method"], **body["kwargs"])
        if self.development and path == "/reset_prefix_cache":
            return 200, {"success": not self.busy_cache}
        return 404, {"error": {"message": f"no route {path}"}}

    def _config(self) -> dict:
        return {
            "model_config": {"logprobs_mode": self.logprobs_mode},
            "parallel_config": {"worker_extension_cls": self.extension or ""},
            "lora_config": self.lora,
            "weight_transfer_config": None,
        }

    def _rpc(self, method: str, **kwargs: str) -> tuple[int, Any]:
        if method == "reload_weights":
            if not self.deaf:
                state = {}
                for file in sorted(Path(kwargs["weights_path"]).glob("*.safetensors")):
                    state |= load_file(file)
                self.model.load_state_dict(state, strict=False)
            return 200, {"results": [None]}
        result = {
            "sdar_boot": lambda: {"boot": f"boot-{self._boots}", "holder": self.holder},
            "sdar_hold": lambda holder: setattr(self, "holder", holder),
            "sdar_sees": lambda path: {"sees": not self.blind and Path(path).exists()},
            "sdar_fingerprint": self._fingerprint,
        }[method](**kwargs)
        return 200, {"results": [result]}

    def _fingerprint(self, adapter: str) -> dict:
        own = {}
        for name, tensor in self.adapter.items():
            short = name.removeprefix("base_model.model.").removesuffix(".weight")
            scale = self.lora["scale"] if short.endswith("lora_B") else 1.0
            own[short.replace("lora_A", "lora_a").replace("lora_B", "lora_b")] = tensor * scale
        return {
            "boot": f"boot-{self._boots}",
            "fused": {},
            "weights": summarise(self.model.named_parameters()),
            "adapter": summarise(own.items()) if int(adapter) else {},
        }

    def _complete(self, body: dict) -> tuple[int, Any]:
        if self.statuses:
            return self.statuses.pop(), {"error": {"message": "told to"}}
        if body["model"] not in ("policy", *self.adapters):
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        with self._lock:
            ids, logprobs = self._sample(body)
            for name, act in (("kill_after", self._die), ("restart_after", self.reborn)):
                left = getattr(self, name)
                if left is not None:
                    setattr(self, name, left - 1 if left > 1 else None)
                    if left == 1:
                        act()
        return 200, {"choices": [{"token_ids": ids, "logprobs": {"token_logprobs": logprobs}}]}

    def _die(self) -> None:
        threading.Thread(target=self.kill).start()

    @torch.inference_mode()
    def _sample(self, body: dict) -> tuple[list[int], list[float]]:
        draw = torch.Generator().manual_seed(body["seed"] % 2**31)
        ids, logprobs = list(body["prompt"]), []
        for _ in range(body["max_tokens"]):
            logps = (self.model(torch.tensor([ids])).logits[0, -1] / body["temperature"]).log_softmax(-1)
            token = int(torch.multinomial(logps.exp(), 1, generator=draw))
            ids.append(token)
            logprobs.append(float(logps[token]))
            if token in body["stop_token_ids"]:
                break
        return ids[len(body["prompt"]) :], logprobs

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                fake._open.add(self.connection)

            def finish(self) -> None:
                fake._open.discard(self.connection)
                with suppress(OSError):
                    super().finish()

            def do_GET(self) -> None:
                self._reply("GET")

            def do_POST(self) -> None:
                self._reply("POST")

            def _reply(self, verb: str) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                raw = fake.instead(urlparse(self.path).path)
                if raw is not None:
                    self.close_connection = True
                    with suppress(OSError):
                        self.wfile.write(raw)
                    return
                status, value = fake.answer(verb, urlparse(self.path).path, body)
                data = b"" if value is None else json.dumps(value).encode()
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

            def log_message(self, *about) -> None:
                pass

        return Handler
