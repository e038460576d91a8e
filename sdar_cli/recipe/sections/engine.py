"""``engine``: what generates, and where."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import model_validator

from sdar_cli.recipe.sections.section import Fraction, Positive, Seconds, Section


class Engine(Section):
    """What generates: Hugging Face ``generate`` in the training process, or vLLM."""

    kind: Literal["hf", "vllm"] = "hf"
    mode: Literal["colocate", "server"] = "colocate"
    """vLLM in the training process, or behind ``server_url``."""
    server_url: str | list[str] | None = None
    """Of `vllm serve`, started as docs/vllm.md says; several share the prompts."""
    sync: Literal["auto", "nccl", "folder"] = "auto"
    """How weights get to a server. ``auto``: by NCCL where both sides can, else through ``sync_folder``."""
    sync_folder: str | None = None
    """A folder that the servers see under the same path; null: ``engine`` in the run's folder."""
    proof: bool = True
    """Compare the engine's weights with the policy's after every sync, and stop the run where they differ."""
    lora: Literal["merge", "hot"] = "merge"
    """An adapter goes to vLLM merged into the weights, or by itself."""
    patience: Seconds = 300.0
    """Seconds to wait for a server that does not answer."""
    request_timeout: Seconds = 600.0
    """Seconds that a server may take for one whole answer, before it counts as gone."""
    gpu_memory: Fraction = 0.5
    """Share of GPU memory for vLLM in colocate mode."""
    max_batch: Positive = 512
    """Prompts in one ``generate`` call of the hf engine."""
    threads: Positive | None = None
    """CPU threads of torch; null: its own choice. A tiny model is many times faster on one."""

    @property
    def urls(self) -> tuple[str, ...]:
        if self.server_url is None:
            return ()
        return (self.server_url,) if isinstance(self.server_url, str) else tuple(self.server_url)

    @model_validator(mode="after")
    def _urls_are_urls(self) -> Engine:
        for url in self.urls:
            if not _is_url(url):
                raise ValueError(f"engine.server_url={url} is no URL: give one such as http://127.0.0.1:8000")
            if "@" in url:
                raise ValueError(
                    "engine.server_url holds a user or password, which every copy of the recipe would show: leave it "
                    "out, and put the server's key into VLLM_API_KEY"
                )
        return self


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
