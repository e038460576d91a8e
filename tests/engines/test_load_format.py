"""vLLM reads safetensors alone: beside them a folder may hold pickles, which it would open."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from sdar_cli.engines import fingerprint
from sdar_cli.engines.colocate import starting
from sdar_cli.engines.offline import OfflineEngine
from sdar_cli.errors import RunFailed
from sdar_cli.recipe.load import load_recipe


class Stop(Exception):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a stand-in for vLLM was started with."""
    from trl.generation import vllm_generation  # which looks for vLLM when it is imported

    found: list[dict[str, Any]] = []

    def llm(**arguments: Any) -> None:
        found.append(arguments)
        raise Stop

    vllm = ModuleType("vllm")
    vllm.LLM = llm  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setattr(vllm_generation, "LLM", llm, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return found


def test_for_an_evaluation(asked: list[dict[str, Any]]) -> None:
    recipe = load_recipe("quickstart").recipe
    with pytest.raises(RunFailed, match="vLLM does not start"):
        OfflineEngine("some/model", recipe, recipe.rollout.sampling, {0}, 128)
    assert asked[0]["load_format"] == "safetensors"


def test_beside_a_training(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from trl.generation import vllm_generation

    monkeypatch.setattr(fingerprint, "keep_weights_readable", lambda: None)
    monkeypatch.setenv("MASTER_PORT", "0")
    with starting(load_recipe("quickstart").recipe), pytest.raises(Stop):
        vllm_generation.LLM(model="some/model")
    assert asked[0]["load_format"] == "safetensors"
