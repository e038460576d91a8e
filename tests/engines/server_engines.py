"""Engines around a fake server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from fake_vllm import FakeVllm

from sdar_cli.engines.client import Server
from sdar_cli.engines.patience import Patience
from sdar_cli.engines.server import ServerEngine
from sdar_cli.engines.weights import ModelSource
from sdar_cli.recipe.schema import Sampling

PROMPTS = [[5, 6, n] for n in range(7, 15)]


def step(model: torch.nn.Module, size: float) -> None:
    """What a first step of Adam does."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += size * torch.randn(parameter.shape, generator=draw).sign()


@contextmanager
def engine_of(fakes: Sequence[FakeVllm], model, folder: Path, *, patience: float = 20.0, **about) -> Iterator:
    said: list[str] = []
    about = {"sampling": Sampling(), "max_response_tokens": 6, "ends": {2}, **about}
    made = ServerEngine(
        [Server(fake.url) for fake in fakes],
        ModelSource(model),
        folder=folder,
        patience=Patience(patience),
        say=said.append,
        **about,
    )
    made.said = said
    try:
        yield made
    finally:
        made.close()


def logps(model, prompt: list[int], ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None]).squeeze(-1)


def largest_difference(model, made) -> float:
    return max(
        float((logps(model, prompt, g.ids) - torch.tensor(g.logprobs)).abs().max())
        for prompt, g in zip(PROMPTS, made, strict=True)
    )


def reloads(fake: FakeVllm) -> int:
    return sum(path == "/collective_rpc" and body["method"] == "reload_weights" for path, body in fake.requests)
