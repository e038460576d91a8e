"""All that we touch of TRL's insides, in one place. A test asserts that each name still exists."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.launch import dist
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.schema import Recipe
from sdar_cli.training import zero3
from sdar_cli.training.sharded import prepare_reference

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel
    from trl import GRPOConfig, GRPOTrainer

PRIVATE_NAMES = (
    "_clip_grad_norm",
    "_compute_loss",
    "_generate_single_turn",
    "_get_per_token_logps_and_entropies",
    "_load_from_checkpoint",
    "_load_optimizer_and_scheduler",
    "_load_rng_state",
    "_save",
    "_save_checkpoint",
    "_save_optimizer_and_scheduler",
    "_save_rng_state",
)
"""Methods of TRL's ``GRPOTrainer``, and of the trainer under it, that ``SDARTrainer`` overrides or calls."""

PRIVATE_ATTRIBUTES = (
    "_metrics",
    "_step",
    "ref_model",
    "beta",
    "generation_config",
    "eos_token_ids",
    "use_vllm",
    "vllm_importance_sampling_correction",
)
"""Attributes that a constructed trainer must have."""

REFERENCE_ADAPTER = "ref"
"""TRL's name for the copy that it makes of an adapter."""

PRIVATE_ENGINE_NAMES = ("_iter_named_params", "sync_weights")
"""Methods of TRL's ``VLLMGeneration`` that engines call."""


def grpo_config(recipe: Recipe, output: Path, world_size: int, max_model_tokens: int) -> GRPOConfig:
    """TRL's configuration for a recipe.

    One dataloader item is one rollout: gradient accumulation and the split into updates are ours, so
    TRL's own counters stay at one. The k3 KL is uncorrected (``use_bias_correction_kl`` off).
    """
    import torch
    from trl import GRPOConfig

    objective = OBJECTIVES[recipe.method]
    per_device = max(2, math.ceil(recipe.rollout.tasks / world_size) * recipe.rollout.group)
    engine: dict[str, Any] = {}
    if recipe.engine.kind == "vllm" and recipe.engine.mode == "colocate":
        engine = {
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": recipe.engine.gpu_memory,
            "vllm_max_model_length": max_model_tokens,
        }
    sampling, policy, optimiser = recipe.rollout.sampling, recipe.policy, recipe.optimiser
    config = GRPOConfig(
        output_dir=str(output),
        seed=recipe.seed,
        data_seed=recipe.seed,
        max_steps=recipe.train.steps,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        num_iterations=1,
        num_generations=per_device,
        shuffle_dataset=False,
        remove_unused_columns=False,
        max_completion_length=recipe.rollout.max_response_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        beta=0.0 if objective.kl_in_reward else policy.kl_coef,
        use_bias_correction_kl=False,
        epsilon=policy.clip,
        delta=policy.dual_clip,
        loss_type="dapo",
        scale_rewards="group",
        disable_dropout=True,
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type=optimiser.schedule,
        warmup_steps=optimiser.warmup_ratio,
        weight_decay=optimiser.weight_decay,
        max_grad_norm=optimiser.max_grad_norm,
        bf16=recipe.model.dtype == "bfloat16",
        gradient_checkpointing=recipe.model.gradient_checkpointing,
        trust_remote_code=recipe.model.trust_remote_code,
        save_strategy="steps",
        save_steps=recipe.train.checkpoint_every,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        ignore_data_skip=False,  # only then are random states restored exactly
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,  # every parameter has a part in every loss
        use_cpu=not torch.accelerator.is_available(),  # bf16 is refused on a CPU that was not asked for
        deepspeed=zero3.CONFIG if dist.in_use() == "zero3" else None,
        ds3_gather_for_generation=False,  # weights are whole by then (``training.sharded``)
        **engine,
    )
    _let_a_cpu_shard(config)
    if config.deepspeed is not None:
        _load_whole(config)
    return config


def _let_a_cpu_shard(config: GRPOConfig) -> None:
    """Accelerate looks for FSDP's settings where there are accelerators, and else trains by DDP without a word; torch
    shards over gloo as well. The arguments have just made accelerate's state anew, and no accelerator has read it."""
    from accelerate import DistributedType, PartialState

    state = PartialState()
    if config.use_cpu and state.distributed_type is DistributedType.MULTI_CPU and "ACCELERATE_USE_FSDP" in os.environ:
        state.distributed_type = DistributedType.MULTI_GPU


def _load_whole(config: GRPOConfig) -> None:
    """Hugging Face looks for DeepSpeed's settings in a global: to load other models in parts, and to have all ranks
    generate until the last is done. Here models are loaded whole, and ranks generate alone."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    zero3.start()
    unset_hf_deepspeed_config()
    config.deepspeed_plugin.set_deepspeed_weakref = _nothing  # which would set it again


def _nothing() -> None:
    pass


@contextmanager
def dividing_references() -> Iterator[None]:
    """Around the making of a trainer: under FSDP2 TRL divides its reference in one piece, which each forward pass puts
    together; here it is divided layer by layer, as the policy is."""
    from trl.trainer import grpo_trainer

    theirs = grpo_trainer.prepare_fsdp
    grpo_trainer.prepare_fsdp = prepare_reference
    try:
        yield
    finally:
        grpo_trainer.prepare_fsdp = theirs


def drop_reference_adapter(model: PreTrainedModel) -> None:
    """TRL copies a fresh adapter as ``ref`` where there is a KL term. The reference is the adapter switched off, and
    from a checkpoint with such a copy Hugging Face's loop restores the copy alone: the policy would start anew."""
    if REFERENCE_ADAPTER in getattr(model, "peft_config", {}):
        model.delete_adapter(REFERENCE_ADAPTER)


def corrects_samples(trainer: GRPOTrainer) -> None:
    """TRL multiplies its loss by ``importance_sampling_ratio`` where it believes that vLLM has sampled. It shall for
    a server of ours too, of which it knows nothing."""
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True


def walk_weights(trainer: GRPOTrainer) -> Iterator[tuple[str, Tensor]]:
    """Every weight under vLLM's name, gathered from the ranks and with adapters merged. All ranks must walk."""
    import torch
    from trl.distributed import DistributedBackend
    from trl.generation.vllm_generation import VLLMGeneration

    walker = object.__new__(VLLMGeneration)  # its engine is not started: only the walk is wanted
    walker.model, walker.accelerator = trainer.model, trainer.accelerator
    walker._dist = DistributedBackend(trainer.accelerator)
    with torch.no_grad():
        for name, tensor in walker._iter_named_params():
            yield name, tensor.to(trainer.accelerator.device)  # before they are divided, weights lie on the CPU


def log_probs_of(model: Module, **inputs: Any) -> Any:
    """Through the head that TRL put on a model: an output with ``log_probs`` and ``entropy``, (B, S − 1), of the tokens
    whose label in ``labels`` is not −100, and ``aux_loss``. TRL's tiles are 32768 words wide whatever the model; here,
    no wider than its vocabulary."""
    from trl.trainer import utils

    words = getattr(model, "module", model).config.get_text_config().vocab_size
    width = utils._CHUNKED_LOGPROB_CHUNK_SIZE
    utils._CHUNKED_LOGPROB_CHUNK_SIZE = min(width, words)
    try:
        return model(**inputs, fused_lm_head=True)
    finally:
        utils._CHUNKED_LOGPROB_CHUNK_SIZE = width


@contextmanager
def ranks_differ(accelerator: Accelerator) -> Iterator[None]:
    """TRL's loss gathers a number for each row, for metrics of extremes that we do not keep. That needs equally
    many rows on every rank, and ours differ: inside, a rank sees its own. Sums over ranks are untouched."""
    if accelerator.num_processes == 1:
        yield
        return
    accelerator.gather = lambda tensor: tensor
    try:
        yield
    finally:
        del accelerator.gather
