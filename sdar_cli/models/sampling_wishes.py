"""What a model's folder wishes for sampling (``generation_config.json``) is forgotten; which tokens end a turn is not.

Transformers grants the wishes of a model wherever the caller is silent: beams, forbidden words, a time limit, two
answers instead of one. The policy of a recipe is sampled by its own settings and nothing else, since log-probabilities
are of the policy without such wishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdar_cli.errors import ModelError
from sdar_cli.models.settings_files import NO_TOKEN
from sdar_cli.models.vocabulary import vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forget(model: PreTrainedModel, path: str = "") -> None:
    """Leave the model with the tokens that begin and end a text, and with no other wish.

    Args:
        path: names the model where it declares something impossible.

    Raises:
        ModelError: a token that ends a turn is none of the model's.
    """
    from transformers import GenerationConfig

    wished = model.generation_config
    tokens = vocabulary(model)
    declared = wished.eos_token_id
    ends = [end for end in (declared if isinstance(declared, list) else [declared]) if end not in (None, NO_TOKEN)]
    if strange := [end for end in ends if not _is_token(end, tokens)]:
        raise ModelError(
            f"the model {path!r} ends its turns with {str(strange[0])[:40]!r}, which is none of its {tokens} tokens: "
            "correct eos_token_id in generation_config.json"
        )
    model.generation_config = GenerationConfig(
        eos_token_id=None if not ends else ends if isinstance(declared, list) else declared,
        pad_token_id=wished.pad_token_id if _is_token(wished.pad_token_id, tokens) else None,
        bos_token_id=wished.bos_token_id if _is_token(wished.bos_token_id, tokens) else None,
    )


def _is_token(value: Any, tokens: int) -> bool:
    return type(value) is int and 0 <= value < tokens
