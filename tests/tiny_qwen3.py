"""Random Qwen3s of a few thousand weights: a configuration, one that reads words, one that reads as Qwen3 does."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen3Config

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
POSITIONS = 8192


def qwen3_config(words: int, **more) -> Qwen3Config:
    """Two layers, two heads that share keys and values."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=POSITIONS,
        **more,
    )


def save_words(folder: Path, texts: Sequence[str], *, seed: int = 0, **shape: int) -> Path:
    """As recipes with ``model.tiny`` make it: weights and a tokenizer of these texts' words.

    ``shape``: what differs from two layers of width 16 with two heads, as ``TinyModel`` names it.
    """
    from sdar_cli.models.tiny import build_model, build_tokenizer
    from sdar_cli.recipe.schema import TinyModel

    tokenizer = build_tokenizer(texts)
    about = TinyModel(**({"layers": 2, "width": 16, "heads": 2, "mlp": 32} | shape))
    build_model(about, tokenizer, seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_qwen3(folder: Path) -> Path:
    """With Qwen3's own chat template and a byte-level BPE tokenizer, learnt from ALFWorld's own texts."""
    import torch
    from transformers import Qwen3ForCausalLM

    tokenizer = _tokenizer()
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = qwen3_config(len(tokenizer), tie_word_embeddings=True, **ends)
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Bytes
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    import sdar_envs.alfworld

    source = Path(sdar_envs.alfworld.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in sorted(source.rglob("*")) if path.suffix in (".md", ".py")]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Bytes()
    trainer = BpeTrainer(
        vocab_size=1024,
        special_tokens=list(SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token="<|im_end|>",
        chat_template=(resources.files("trl") / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8"),
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
