"""vLLM started for an evaluation, beside this process, and ended after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.colocate import lora_rank, on_this_device
from sdar_cli.engines.in_process import InProcessEngine
from sdar_cli.errors import RunFailed
from sdar_cli.models.adapter_folder import adapter_settings, is_adapter
from sdar_cli.models.folder import check_folder
from sdar_cli.models.whose_code import check_base

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe, Sampling


class OfflineEngine(InProcessEngine):
    """A Hugging Face folder or hub id, served to this process alone; a LoRA folder goes with its base.

    Args:
        own: see ``load_model``.

    Raises ModelError for a folder that is none of safetensors, RunFailed where vLLM does not start.
    """

    def __init__(
        self, path: str, recipe: Recipe, sampling: Sampling, ends: set[int], longest: int, own: str | None = None
    ) -> None:
        super().__init__(sampling, recipe.rollout.max_response_tokens, ends)
        from vllm import LLM

        check_folder(path)
        base, extra = path, {}
        if is_adapter(path):
            from vllm.lora.request import LoRARequest

            settings = adapter_settings(path)
            base = settings["base_model_name_or_path"]
            check_base(path, base, own=own, trust_remote_code=recipe.model.trust_remote_code)
            check_folder(base)
            extra = {"enable_lora": True, "max_loras": 1, "max_lora_rank": lora_rank(settings["r"])}
            self.adapter = LoRARequest("adapter", 1, str(Path(path).absolute()))
        try:
            self.llm: Any = LLM(
                model=base,
                dtype=recipe.model.dtype,
                max_model_len=longest,
                gpu_memory_utilization=recipe.engine.gpu_memory,
                enable_prefix_caching=True,
                trust_remote_code=recipe.model.trust_remote_code,
                load_format="safetensors",
                seed=recipe.evaluation.panel_seed,
                **on_this_device(),
                **extra,
            )
        except Exception as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise RunFailed(
                f"vLLM does not start with {path!r} ({why}): see what it wrote above, or evaluate with --engine hf"
            ) from error

    def bring(self, version: int) -> None:
        """Its weights are those that it was started with."""

    def close(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()
