"""`sdar` and vLLM's server as processes, on a CPU, with a model of some ten thousand weights."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

SMALL = [
    "train.steps=2",
    "rollout.tasks=2",
    "rollout.group=4",
    "evaluation.tasks=4",
    "evaluation.transcripts=0",
    "optimiser.learning_rate=1e-2",
    "tracking.system_metrics=false",
    "engine.kind=vllm",
]
PATIENCE = 600.0
"""Seconds; reached only where something hangs."""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The error; libraries may have more to say as the process ends."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")][-1]


KEY = "the-key-of-the-servers-of-these-tests"


class Place:
    """A folder of runs."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.environment = {
            **os.environ,
            "SDAR_RUNS": str(root / "runs"),
            "SDAR_CACHE": str(root / "cache"),
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_API_KEY": KEY,
            "PYTHONWARNINGS": "ignore",
        }

    def sdar(self, *words: str, sabotage: str | None = None) -> Ran:
        """Run a command; ``sabotage`` names what of ``sabotage.py`` is done to it first."""
        process = self.start(*words, sabotage=sabotage)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return Ran(process.returncode, out, err)

    def start(self, *words: str, sabotage: str | None = None) -> subprocess.Popen:
        program = [str(Path(__file__).with_name("sabotage.py")), sabotage or "none"]
        return subprocess.Popen(
            [sys.executable, *program, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, name: str, *words: str, sabotage: str | None = None) -> Ran:
        about = ["train", "--recipe", "quickstart", "--name", name, "--init-from", str(self.base)]
        return self.sdar(*about, *SMALL, *words, sabotage=sabotage)

    @cached_property
    def base(self) -> Path:
        """Weights with heads of 32, the smallest that vLLM's attention has on a CPU; made once."""
        made = self.root / "runs" / "first"
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.is_dir():
                words = [*SMALL, "engine.kind=hf", "train.steps=1", "evaluation.tasks=1"]
                words += ["model.tiny.heads=2", "warmup.demonstrations=64", "warmup.required_success=0"]
                ran = self.sdar("train", "--recipe", "quickstart", "--name", made.name, *words)
                assert ran.code == 0, ran.err
        return made / "base"

    def metrics(self, name: str, key: str) -> list[float]:
        """Of every training step, in order."""
        lines = (self.root / "runs" / name / "metrics.jsonl").read_text().splitlines()
        found = [_values(json.loads(line)) for line in lines]
        return [values[key] for values in found if key in values]


def _values(record: dict) -> dict:
    return record | record.get("metrics", {}) | record.get("values", {})


class RealServer:
    """On the base, and on a free port that it keeps.

    Args:
        development: started as docs/vllm.md says, so that it takes weights from who has the key; else as anybody
            would.
    """

    def __init__(self, place: Place, *, development: bool = True) -> None:
        self.place, self.development, self.model = place, development, place.base
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> RealServer:
        self.start()
        return self

    def __exit__(self, *error) -> None:
        self.kill()

    def start(self) -> None:
        words = ["--model", str(self.model), "--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32"]
        words += ["--max-model-len", "2048", "--logprobs-mode", "processed_logprobs", "--enforce-eager"]
        modes = {}
        if self.development:
            words += ["--worker-extension-cls", "sdar_cli.engines.fingerprint.Fingerprint"]
            words += ["--enable-lora", "--max-lora-rank", "16", "--middleware", "sdar_cli.servers.guard.VllmGuard"]
            modes = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        with (self.place.root / f"server-{self.port}.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
                env=self.place.environment | modes,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, Path(log.name).read_text()[-3000:]
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.5)
        raise TimeoutError(f"vLLM's server did not start: {log.name}")

    def kill(self) -> None:
        """With its workers, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
