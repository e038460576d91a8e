"""What a chat template says of its own accord in the system message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RecipeError
from sdar_cli.models.template import failed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM, USER = "sdarsystemmessage", "sdarusermessage"


def default_system(tokenizer: PreTrainedTokenizerBase, template_kwargs: dict[str, Any]) -> str:
    """The system text that the template writes where it is given none and drops where it is given one; '' for none.

    Qwen2.5's introduces the model so, Qwen3's has nothing. It is what stands, in a conversation without a
    system message, where the words of one stand. Raises RecipeError for a template that refuses
    system messages, drops them, or changes other text because of them: there skills in the system
    message would be missing, or not the only difference.
    """

    def render(*messages: dict[str, str]) -> str:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, **template_kwargs
        )

    user = {"role": "user", "content": USER}
    try:
        without = render(user)
    except Exception as error:
        raise failed(tokenizer, error) from error
    try:
        given = render({"role": "system", "content": SYSTEM}, user)
    except Exception as error:  # TemplateError, where the template itself refuses
        raise _unfit(tokenizer, f"refuses a system message ({' '.join(str(error).split())})") from None
    before, found, after = given.partition(SYSTEM)
    if not found:
        raise _unfit(tokenizer, "drops the system message")
    if without.startswith(before) and without.endswith(after):
        return without[len(before) : len(without) - len(after)]
    if not _adds(without, given):
        raise _unfit(tokenizer, "changes other text where there is a system message")
    return ""


def _adds(short: str, long: str) -> bool:
    """Whether ``long`` is ``short`` with one piece of text put in."""
    head = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), min(len(short), len(long)))
    return len(long) >= len(short) and long.endswith(short[head:])


def _unfit(tokenizer: PreTrainedTokenizerBase, what: str) -> RecipeError:
    return RecipeError(
        f"skills.placement=system: the chat template of {tokenizer.name_or_path!r} {what}: set skills.placement=user"
    )
