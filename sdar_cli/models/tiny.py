"""Tiny Qwen3 models with random weights and a word tokenizer over one environment's texts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import ModelError
from sdar_cli.models.offset_heads import wire_offset_heads
from sdar_cli.models.word_tokenizer import build_tokenizer, words
from sdar_cli.runs.disk import disk, sync_folder, sync_tree
from sdar_cli.training.demonstrations import demonstrate_all
from sdar_envs.base import Environment, History

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen3ForCausalLM

    from sdar_cli.recipe.schema import Recipe, TinyModel
    from sdar_cli.skills import SkillBank

__all__ = ["TinyReport", "build_model", "build_tokenizer", "create"]

MAX_POSITIONS = 8192


@dataclass(frozen=True, slots=True)
class TinyReport:
    folder: Path
    parameters: int
    """Tied weights counted once."""
    vocabulary: int
    """Tokens, the special ones included."""
    unknown_words: tuple[str, ...]
    """Distinct words of the held-out texts that the tokenizer reads as ``<unk>``, sorted."""


def build_model(shape: TinyModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3ForCausalLM:
    """A float32 Qwen3 with tied embeddings and random weights: a function of its arguments alone.

    Weights are normal with standard deviation 1/√width (Qwen3's own 0.02 is too small for so little width);
    the first layer's heads begin as ``offset_heads`` says.
    Leaves the global random states as they were. Raises ModelError where width, heads and rotary
    positions do not go together.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from sdar_cli.determinism import seeded

    if shape.width % shape.heads or (shape.width // shape.heads) % 2:
        raise ModelError(
            f"model.tiny.width={shape.width} cannot be cut into model.tiny.heads={shape.heads} heads of an "
            "even size: make width a multiple of twice the heads"
        )
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=shape.width**-0.5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        dtype="float32",
    )
    with seeded(seed):
        model = Qwen3ForCausalLM(config)
    wire_offset_heads(model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval()


SAMPLE = {"train": 48, "test": 24}
"""Tasks of a split whose expert episodes give words (or, of other splits, are searched for unknown ones)."""


def create(recipe: Recipe, environment: Environment, bank: SkillBank, folder: Path) -> TinyReport:
    """Write ``recipe.model.tiny``, random, with its tokenizer, as a Hugging Face folder (safetensors).

    The folder appears as a whole or not at all. Words come from the environment's ``vocabulary()`` where it
    has that method, else from expert episodes on train tasks; and from the skills. Raises ModelError when
    the recipe asks for no tiny model, or the folder is there already; RunFailed when the disk is full.
    """
    shape = recipe.model.tiny
    if shape is None:
        raise ModelError("the recipe has no model.tiny: give it a shape, or set model.path")
    folder = Path(folder)
    if folder.exists():
        raise ModelError(f"{folder} is there already: remove it, or give another folder")
    heldout = {split: list(_episode_texts(recipe, environment, split)) for split in environment.splits[1:]}
    tokenizer = build_tokenizer([*environment_texts(recipe, environment), *skill_texts(bank)])
    model = build_model(shape, tokenizer, recipe.seed)
    _write(model, tokenizer, folder)
    known = set(tokenizer.get_vocab())
    return TinyReport(
        folder=folder,
        parameters=sum(weights.numel() for weights in model.parameters()),
        vocabulary=len(tokenizer),
        unknown_words=tuple(sorted(words(text for texts in heldout.values() for text in texts) - known)),
    )


def environment_texts(recipe: Recipe, environment: Environment) -> list[str]:
    """Texts with the words that the policy reads and writes in this environment."""
    own = getattr(environment, "vocabulary", None)
    texts = list(own()) if own is not None else []
    return texts + list(_episode_texts(recipe, environment, environment.splits[0]))


def skill_texts(bank: SkillBank) -> list[str]:
    """The bank's skills as the teacher reads them, the block's own words included."""
    from sdar_cli.skills import Retrieval, render_block

    return [render_block(Retrieval((skill,), {skill.name: ""}, True)) for skill in bank.skills]


def _episode_texts(recipe: Recipe, environment: Environment, split: str) -> Iterator[str]:
    """Prompts, responses and admissible commands along expert episodes on tasks spread over a split."""
    tasks = environment.tasks(split)
    stride = max(1, len(tasks) // SAMPLE.get(split, SAMPLE["test"]))
    played = demonstrate_all(
        environment,
        list(tasks[::stride])[: SAMPLE.get(split, SAMPLE["test"])],
        workers=recipe.environment.workers,
        timeout=recipe.environment.timeout,
    )
    for episode in played:
        goal = environment.goal(episode.task, episode.first)
        for index, exchange in enumerate(episode.exchanges):
            past = episode.exchanges[:index]
            history = History(episode.task, goal, past, exchange.observation, recipe.rollout.history)
            yield from (message["content"] for message in environment.prompt(history))
            yield environment.format_response(exchange.action)
            yield " ".join(exchange.observation.admissible)
        yield environment.followup(episode.last)


def _write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    with disk(folder.parent, "the model", ", and repeat the command"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            model.save_pretrained(scratch)
            tokenizer.save_pretrained(scratch)
            scratch.chmod(0o755)
            sync_tree(scratch)
            os.replace(scratch, folder)
            sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
