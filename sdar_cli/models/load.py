"""Weights and tokenizer from a folder or a hub id; safetensors only, no remote code unless asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import ModelError
from sdar_cli.models.quantised import Quantised, check_installed, settle

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Lora

ADAPTER = "adapter_config.json"
CHATTY = ("huggingface_hub", "httpx", "transformers", "bitsandbytes")
"""Loggers that advise."""


def load_tokenizer(path: str, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer, with a pad token and a chat template.

    Raises:
        ModelError: it cannot be found or read, or has no chat template.
    """
    from transformers import AutoTokenizer

    check_folder(path)
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, padding_side="left")
        except Exception as error:
            raise _not_found(path, "tokenizer", error) from error
    if tokenizer.chat_template is None:
        raise ModelError(
            f"the tokenizer of {path!r} has no chat template: use a chat model, or save a chat_template.jinja beside "
            "its tokenizer.json"
        )
    if tokenizer.eos_token is None:
        raise ModelError(f"the tokenizer of {path!r} has no end-of-turn token: set eos_token in tokenizer_config.json")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, *, trust_remote_code: bool = False, quantised: Quantised | None = None) -> PreTrainedModel:
    """The causal language model in float32; a folder with LoRA weights gives its base with the adapter on.

    Args:
        quantised: hold the weights so; a folder with LoRA weights says by itself how those under them are held.

    Raises:
        ModelError: it cannot be found or read, is an adapter without its base, or needs bitsandbytes.
    """
    from transformers import AutoModelForCausalLM

    check_folder(path)
    if is_adapter(path):
        return load_adapter(path, trust_remote_code=trust_remote_code)
    extra = {} if quantised is None else {"quantization_config": quantised.config()}
    with quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path, dtype="float32", use_safetensors=True, trust_remote_code=trust_remote_code, **extra
            )
        except Exception as error:
            raise _not_found(path, "model", error) from error
    return model if quantised is None else settle(model)


def add_lora(model: PreTrainedModel, lora: Lora, seed: int) -> PreTrainedModel:
    """Wrap the model in a fresh adapter, initialised from ``seed``."""
    from peft import LoraConfig, get_peft_model

    from sdar_cli.determinism import seeded

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
    )
    with seeded(seed), quiet():
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            raise ModelError(
                f"LoRA does not fit the model ({_first_line(error)}): set model.lora.targets to modules that it has"
            ) from error


def is_adapter(path: str) -> bool:
    return (Path(path) / ADAPTER).is_file()


def adapter_base(path: str) -> str:
    """The folder or hub id of the weights under an adapter. Raises ModelError where it is not said."""
    base = json.loads((Path(path) / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ModelError(f"{path!r} holds LoRA weights without their base: set base_model_name_or_path in {ADAPTER}")
    return base


def load_adapter(
    path: str,
    *,
    trust_remote_code: bool = False,
    prepare: Callable[[PreTrainedModel], PreTrainedModel] = lambda model: model,
) -> PreTrainedModel:
    """An adapter's folder over its base, which ``prepare`` may change first. Raises ModelError."""
    from peft import PeftModel

    base, quantised = adapter_base(path), Quantised.beside(path)
    if quantised is not None:
        check_installed()
    try:
        model = load_model(base, trust_remote_code=trust_remote_code, quantised=quantised)
    except ModelError as error:
        raise ModelError(
            f"{path!r} holds LoRA weights whose base {base!r} cannot be loaded: put the base there, or correct "
            f"base_model_name_or_path in {ADAPTER}"
        ) from error
    with quiet():
        try:
            return PeftModel.from_pretrained(prepare(model), path, use_safetensors=True)
        except Exception as error:
            raise _not_found(path, "adapter", error) from error


def check_folder(path: str) -> None:
    """A path that looks local must be there, and be a model."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / ADAPTER).is_file():
            raise ModelError(f"the folder {path!r} holds no config.json: give the folder of a Hugging Face model")
    elif path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise ModelError(
            f"there is no model folder {path!r}: correct model.path, or give a hub id such as Qwen/Qwen3-1.7B"
        )


def _not_found(path: str, what: str, error: Exception) -> ModelError:
    if Path(path).is_dir():
        return ModelError(
            f"the {what} in {path!r} cannot be loaded ({_first_line(error)}): give a complete Hugging Face folder with "
            "safetensors weights"
        )
    from huggingface_hub.constants import HF_HUB_CACHE

    return ModelError(
        f"the {what} {path!r} is neither a folder here, nor in the cache {HF_HUB_CACHE}, nor could it be fetched from "
        "the hub: give a local folder with --model FOLDER"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".:") if text else type(error).__name__


class quiet:
    """No progress bars or retry chatter while loading."""

    def __enter__(self) -> None:
        import logging

        from transformers.utils import logging as transformers_logging

        self._bars = transformers_logging.is_progress_bar_enabled()
        self._loggers = [logging.getLogger(name) for name in CHATTY]
        self._levels = [logger.level for logger in self._loggers]
        transformers_logging.disable_progress_bar()
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *exc) -> None:
        from transformers.utils import logging as transformers_logging

        if self._bars:
            transformers_logging.enable_progress_bar()
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
