"""Warm-up: supervised learning of expert demonstrations with skills in the prompt (TRL's SFTTrainer).

Every turn of a demonstration is one example: the prompt that a rollout would show at that turn, and the
expert's response; the loss is on the response alone. Where the environment has rulebooks, each
demonstration is played under one of its own, never under the run's, so that what is learnt is to read the
skills, not the rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RunFailed
from sdar_cli.training.warmup_examples import (
    Example,
    make_examples,
    reading_order,
    warmup_section,
    warmup_seed,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Recipe
    from sdar_envs.base import Environment

__all__ = ["Progress", "WarmupReport", "run_warmup", "warmup_seed"]

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (updates done, updates in all, metrics of the last few)."""

IGNORED = -100
"""Label of a token without loss."""

BETAS = (0.9, 0.98)
RAMP = 0.05
"""Share of the updates in which the learning rate rises; it then falls to 0 as a cosine."""
LOG_EVERY = 10


@dataclass(frozen=True, slots=True)
class WarmupReport:
    folder: Path
    """Hugging Face folder with the trained model and its tokenizer."""
    demonstrations: int
    skipped: int
    """Demonstrations that the expert did not win; nothing was learnt from them."""
    examples: int
    updates: int
    seconds: float
    prompt_tokens_with_skills: float
    """Mean over examples; 0 where there are none."""
    prompt_tokens_without_skills: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the last updates: ``loss`` in nats a token, ``token_accuracy``."""
    log: tuple[Mapping[str, float], ...] = ()
    """Every ``LOG_EVERY`` updates, or once: step, loss, token_accuracy, learning_rate."""


def run_warmup(
    recipe: Recipe,
    environment: Environment,
    model_folder: Path,
    out_folder: Path,
    progress: Progress | None = None,
) -> WarmupReport:
    """Train the model of ``model_folder`` as ``recipe.warmup`` says and write it to ``out_folder``.

    Deterministic in the recipe's seeds; the global random states are left as they were. A LoRA recipe
    trains an adapter and merges it.

    Raises:
        RecipeError: there is no warm-up section, or no expert.
        ModelError: the tokenizer has tokens that the model lacks.
        RunFailed: the expert wins nothing, or the weights diverge.
    """
    from sdar_cli.determinism import seeded
    from sdar_cli.models.load import add_lora, check_vocabulary, load_model, load_tokenizer

    section, seed = warmup_section(recipe), warmup_seed(recipe)
    started = time.monotonic()
    trust = recipe.model.trust_remote_code
    tokenizer = load_tokenizer(str(model_folder), trust_remote_code=trust)
    shown, plain, played = make_examples(recipe, environment, tokenizer)
    model = load_model(str(model_folder), trust_remote_code=trust)
    check_vocabulary(model, tokenizer)
    if recipe.model.lora is not None:
        model = add_lora(model, recipe.model.lora, seed)
    with seeded(seed):
        log, updates = _train(recipe, model, tokenizer, [*shown, *plain], progress)
    if recipe.model.lora is not None:
        model = model.merge_and_unload()
    _check_finite(model)
    model.save_pretrained(out_folder)
    tokenizer.save_pretrained(out_folder)
    return WarmupReport(
        folder=Path(out_folder),
        demonstrations=played,
        skipped=section.demonstrations - played,
        examples=len(shown) + len(plain),
        updates=updates,
        seconds=time.monotonic() - started,
        prompt_tokens_with_skills=_mean_prompt(shown),
        prompt_tokens_without_skills=_mean_prompt(plain),
        metrics={key: log[-1][key] for key in ("loss", "token_accuracy")} if log else {},
        log=tuple(log),
    )


def _train(
    recipe: Recipe,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    examples: list[Example],
    progress: Progress | None,
) -> tuple[list[dict[str, float]], int]:
    """Fit ``model`` in place; the log's rows and the number of updates."""
    import tempfile

    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    section, seed = warmup_section(recipe), warmup_seed(recipe)
    shown = [examples[index] for index in reading_order(examples, section.epochs, section.batch, seed)]
    rows = Dataset.from_dict(
        {
            "input_ids": [e.prompt_ids + e.response_ids for e in shown],
            "labels": [[IGNORED] * len(e.prompt_ids) + e.response_ids for e in shown],
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        config = SFTConfig(
            output_dir=scratch,
            per_device_train_batch_size=section.batch,
            num_train_epochs=1,
            learning_rate=section.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=RAMP,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            max_length=None,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            gradient_checkpointing=recipe.model.gradient_checkpointing,
            bf16=recipe.model.dtype == "bfloat16",
            use_cpu=not torch.accelerator.is_available(),
            seed=seed,
            data_seed=seed,
            logging_steps=min(LOG_EVERY, -(-len(shown) // section.batch)),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[_listener(progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return [_log_row(row) for row in trainer.state.log_history if "loss" in row], trainer.state.global_step


def _listener(progress: Progress | None) -> Any:
    from transformers import TrainerCallback

    class Listener(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if progress is not None and logs and "loss" in logs:
                progress(state.global_step, state.max_steps, _log_row({**logs, "step": state.global_step}))

    return Listener()


def _log_row(row: Mapping[str, float]) -> dict[str, float]:
    return {
        "step": float(row.get("step", 0)),
        "loss": float(row["loss"]),
        "token_accuracy": float(row.get("mean_token_accuracy", 0.0)),
        "learning_rate": float(row.get("learning_rate", 0.0)),
    }


def _check_finite(model: Any) -> None:
    import torch

    if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
        raise RunFailed("the warm-up diverged to weights that are not finite: lower warmup.learning_rate")


def _mean_prompt(examples: list[Example]) -> float:
    return sum(len(e.prompt_ids) for e in examples) / len(examples) if examples else 0.0
