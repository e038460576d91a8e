"""How many tokens a model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def vocabulary(model: PreTrainedModel) -> int:
    """Rows of its embeddings; of a model whose own code does not say, what its configuration says."""
    try:
        return model.get_input_embeddings().num_embeddings
    except (NotImplementedError, AttributeError):
        return model.config.get_text_config().vocab_size
