"""vLLM in the training process, as TRL starts it: the same GPU, or the same CPU."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.in_process import InProcessEngine
from sdar_cli.engines.proof import Expected, check, dtypes_held
from sdar_cli.engines.weights import Source
from sdar_cli.errors import RunFailed
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from trl.generation.vllm_generation import VLLMGeneration

    from sdar_cli.recipe.schema import Recipe, Sampling

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM lets ``max_lora_rank`` be."""


class ColocatedEngine(InProcessEngine):
    """TRL's engine, with its weights proved, a seed for every request, and adapters loaded by themselves if wished.

    Args:
        folder: for adapters, which vLLM reads from disk.
    """

    def __init__(
        self,
        vllm: VLLMGeneration,
        source: Source,
        *,
        folder: Path,
        sampling: Sampling,
        max_response_tokens: int,
        ends: set[int],
        hot: bool = False,
        proof: bool = True,
    ) -> None:
        super().__init__(sampling, max_response_tokens, ends)
        self.vllm, self.llm = vllm, vllm.llm
        self.source = source
        self.folder = folder
        self.hot = hot and source.lora
        self.proof = proof
        self._based = False
        vllm._iter_named_params = source.named  # TRL's merges into the base and out again, and takes all to be divided

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.llm.llm_engine.engine_core.shutdown()

    def bring(self, version: int) -> None:
        if self.hot:
            self._bring_adapter(version)
        else:
            self.vllm.sync_weights()
        forgot = self.llm.reset_prefix_cache()
        proofs = self._proofs() if self.proof else []
        ranks.together(lambda: self._check(forgot, proofs))

    def _check(self, forgot: bool, proofs: list[tuple[Expected, str]]) -> None:
        """On every rank, each of which has an engine of its own."""
        if not forgot:
            raise RunFailed("vLLM keeps its prefix cache after a sync, so that samples would be of old weights: this "
                            "is a bug in sdar, report it")  # fmt: skip
        for expected, part in proofs:
            check(expected, [self._report()], "vLLM", part)

    def _bring_adapter(self, version: int) -> None:
        """The base is sent once, the adapter whenever it has changed."""
        from vllm.lora.request import LoRARequest

        if not self._based:
            worker = self.llm.llm_engine.model_executor.driver_worker
            worker.model_runner.model.load_weights(iter(self.source.frozen()))
            self._based = True
        folder = self.folder / f"adapter-{version}"
        shutil.rmtree(folder, ignore_errors=True)
        self.source.save_adapter(folder)
        before, self.adapter = self.adapter, LoRARequest(f"sdar-{version}", version + 1, str(folder))
        if before is not None:
            self.llm.llm_engine.remove_lora(before.lora_int_id)
        self.llm.llm_engine.add_lora(self.adapter)
        if before is not None:
            shutil.rmtree(before.lora_path, ignore_errors=True)

    def _proofs(self) -> list[tuple[Expected, str]]:
        """What the engine must hold now, and in which part of its report; all ranks walk the weights."""
        dtypes = dtypes_held([self._report()])
        weights, adapter = Expected(dtypes), Expected(dtypes)
        for name, tensor in self.source.frozen() if self.hot else self.source.named():
            weights.add(name, tensor)
        if not self.hot:
            return [(weights, "weights")]
        for name, tensor in self.source.adapter():
            adapter.add(name, tensor)
        return [(weights, "weights"), (adapter, "adapter")]

    def _report(self) -> dict[str, Any]:
        from sdar_cli.engines.fingerprint import describe

        runner = self.llm.llm_engine.model_executor.driver_worker.model_runner
        manager = runner.lora_manager._adapter_manager if self.hot else None
        return describe(runner.get_model(), manager, self.adapter.lora_int_id if self.hot else 0)


@contextmanager
def starting(recipe: Recipe) -> Iterator[None]:
    """While TRL starts its engine: our settings beside those that it gives, and weights that stay readable."""
    from trl.generation import vllm_generation

    from sdar_cli.engines.fingerprint import keep_weights_readable

    keep_weights_readable()
    if ranks.world() == 1:  # accelerate's port is the same in every run, and two on one machine would meet there
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    extra: dict[str, Any] = {"dtype": recipe.model.dtype, "enable_prefix_caching": True, **on_this_device()}
    extra["load_format"] = "safetensors"  # and no pickle of a model's folder
    extra["quantization"] = None  # it gets whole weights, also where the trainer holds four bits of them
    if recipe.model.lora is not None and recipe.engine.lora == "hot":
        extra |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": lora_rank(recipe.model.lora.rank)}
    own = vllm_generation.LLM
    vllm_generation.LLM = lambda **arguments: own(**arguments | extra)
    try:
        yield
    finally:
        vllm_generation.LLM = own


def on_this_device() -> dict[str, Any]:
    """On a CPU compiling takes longer than it saves, in the tests that it is there for."""
    import torch

    return {} if torch.cuda.is_available() else {"enforce_eager": True}


def lora_rank(rank: int) -> int:
    """The least rank that vLLM can be told which holds an adapter's."""
    return next((known for known in RANKS if known >= rank), rank)
