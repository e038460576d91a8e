"""A chat template is a program that came with the tokenizer: that it ends, and says what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import ModelError
from sdar_cli.models import template_probe
from sdar_cli.models.word_tokenizer import CHAT_TEMPLATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_template(tokenizer: PreTrainedTokenizerBase, template_kwargs: Mapping[str, Any] | None = None) -> None:
    """
    Args:
        template_kwargs: further variables of the template, of the recipe.

    Raises:
        ModelError: the template fails, does not end within ``template_probe``'s bounds, or leaves a user's words out.
    """
    first, own = next(template_probe.probes()), dict(template_kwargs or {})
    try:
        template = tokenizer.get_chat_template(tools=own.get("tools"))
        if template != CHAT_TEMPLATE and not template_probe.ends(template, {**tokenizer.special_tokens_map, **own}):
            raise _bad(
                tokenizer,
                f"does not come to an end within {template_probe.SECONDS} s, {template_probe.MEMORY >> 20} MiB of "
                f"memory and {template_probe.OUTPUT >> 20} MiB of text",
            )
        text = tokenizer.apply_chat_template(first, tokenize=False, add_generation_prompt=True, **own)
    except ModelError:
        raise
    except Exception as error:
        raise failed(tokenizer, error) from error
    if not isinstance(text, str) or first[0]["content"] not in text:
        raise _bad(tokenizer, "leaves out what a user says")


def failed(tokenizer: PreTrainedTokenizerBase, error: Exception) -> ModelError:
    """What its own error becomes."""
    said = " ".join(str(error)[:2000].split())[:200]
    return _bad(tokenizer, f"fails ({type(error).__name__}: {said})" if said else f"fails ({type(error).__name__})")


def _bad(tokenizer: PreTrainedTokenizerBase, what: str) -> ModelError:
    return ModelError(
        f"the chat template of {tokenizer.name_or_path!r} {what}: correct it, or save another chat_template.jinja "
        "beside its tokenizer.json"
    )
