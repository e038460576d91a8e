"""Weights and tokenizer from a folder or a hub id; safetensors only, no remote code unless asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdar_cli.errors import ModelError, SdarError
from sdar_cli.models import sampling_wishes
from sdar_cli.models.adapter_folder import ADAPTER, adapter_base, is_adapter
from sdar_cli.models.folder import check_folder
from sdar_cli.models.hub import check_id
from sdar_cli.models.quantised import Quantised, check_installed, settle
from sdar_cli.models.template import check_template
from sdar_cli.models.vocabulary import vocabulary
from sdar_cli.models.whose_code import check_base, check_code
from sdar_cli.paths import is_folder, user_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Lora

CHATTY = ("huggingface_hub", "httpx", "transformers", "bitsandbytes")
"""Loggers that advise."""


def load_tokenizer(path: str, *, trust_remote_code: bool = False, own: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer, with a pad token and a chat template that says what it is given.

    Args:
        own: the recipe's model, whose code may be run where that of an adapter's folder may not (``whose_code``).

    Raises:
        ModelError: it cannot be found or read, would run code that nobody trusted, has no chat template, or one that
            fails or does not end.
    """
    check_folder(path, weights=False)
    if trust_remote_code:
        check_code(path, own=own)
    path = _written_out(path)
    from transformers import AutoTokenizer

    with quiet(), _of_others(path, "tokenizer"):
        check_id(path)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, padding_side="left")
        tokenizer.decode(tokenizer("A word.", add_special_tokens=False)["input_ids"], skip_special_tokens=True)
    if tokenizer.chat_template is None:
        raise ModelError(
            f"the tokenizer of {path!r} has no chat template: use a chat model, or save a chat_template.jinja beside "
            "its tokenizer.json"
        )
    if tokenizer.eos_token is None:
        raise ModelError(f"the tokenizer of {path!r} has no end-of-turn token: set eos_token in tokenizer_config.json")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    check_template(tokenizer)
    return tokenizer


def load_model(
    path: str, *, trust_remote_code: bool = False, quantised: Quantised | None = None, own: str | None = None
) -> PreTrainedModel:
    """The causal language model in float32; a folder with LoRA weights gives its base with the adapter on.

    What the folder wishes for sampling is forgotten (``sampling_wishes``).

    Args:
        quantised: hold the weights so; a folder with LoRA weights says by itself how those under them are held.
        own: the recipe's model, the one base of an adapter whose code may be run where the recipe's may.

    Raises:
        ModelError: it cannot be found or read, lacks weights, is an adapter without its base or under a hub's id, or
            needs bitsandbytes.
    """
    check_folder(path)
    if is_adapter(path):
        return load_adapter(path, trust_remote_code=trust_remote_code, own=own)
    path = _written_out(path)
    from transformers import AutoModelForCausalLM

    extra = {} if quantised is None else {"quantization_config": quantised.config()}
    with quiet(), _of_others(path, "model"):
        check_id(path)
        model, found = AutoModelForCausalLM.from_pretrained(
            path,
            dtype="float32",
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **extra,
        )
    if lacking := sorted(found["missing_keys"]):
        raise ModelError(
            f"the model {path!r} lacks {len(lacking)} of its weights, {lacking[0]!r} for one: give a complete folder"
        )
    sampling_wishes.forget(model, path)
    return model if quantised is None else settle(model)


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises ModelError for a tokenizer that writes tokens which the model does not have."""
    rows = vocabulary(model)
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path!r} has {len(tokenizer)} tokens and the model {rows}: give both "
            "from one source"
        )


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


def load_adapter(
    path: str,
    *,
    trust_remote_code: bool = False,
    prepare: Callable[[PreTrainedModel], PreTrainedModel] = lambda model: model,
    own: str | None = None,
) -> PreTrainedModel:
    """An adapter's folder over its base, which ``prepare`` may change first; see ``load_model``. Raises ModelError."""
    check_folder(path)
    base, quantised = adapter_base(path), Quantised.beside(path)
    if quantised is not None:
        check_installed()
    check_base(path, base, own=own, trust_remote_code=trust_remote_code)
    try:
        model = load_model(base, trust_remote_code=trust_remote_code, quantised=quantised)
    except ModelError as error:
        raise ModelError(
            f"{path!r} holds LoRA weights whose base {base!r} cannot be loaded: put the base there, or correct "
            f"base_model_name_or_path in {ADAPTER}"
        ) from error
    path = _written_out(path)
    from peft import PeftModel

    with quiet(), _of_others(path, "adapter"), warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return PeftModel.from_pretrained(prepare(model), path, use_safetensors=True)


@contextmanager
def _of_others(path: str, what: str) -> Iterator[None]:
    """Whatever a library says of a folder that somebody made becomes a sentence; a panic of the tokenizers' Rust is no
    Exception."""
    try:
        yield
    except SdarError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _not_found(path, what, error) from error


def _written_out(path: str) -> str:
    """A folder without ``~``, which libraries take as it is."""
    return str(user_path(path)) if is_folder(path) else path


def _not_found(path: str, what: str, error: Exception) -> ModelError:
    if is_folder(path):
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
    return text[0][:300].rstrip(".:") if text else type(error).__name__


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
