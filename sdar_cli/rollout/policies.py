"""Who answers a prompt, token ids in and out: a turn's prompts all at once, or each as soon as it is ready."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.recipe.schema import Sampling


@dataclass(frozen=True, slots=True)
class Generation:
    ids: list[int]
    """Sampled tokens, the end-of-turn token included when it was sampled."""
    logprobs: list[float] | None = None


class Policy(Protocol):
    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]: ...


@runtime_checkable
class Streaming(Protocol):
    """A policy that answers some episodes while others are with their environments."""

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        """Begin an answer. What is sampled depends on these three, not on when they came or beside what."""

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        """Answers that came, each with its episode; waits for the first, at most about so long; None: for as long as
        it takes. Empty when nothing is under way."""

    def drop(self) -> None:
        """Forget what is under way."""


class ByTurn:
    """A policy that wants a turn's prompts all at once, in the streaming form: it answers when nothing else is to be
    waited for."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._asked: dict[int, list[int]] = {}

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        self._asked[episode] = prompt

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        if seconds is not None:
            return []
        asked, self._asked = dict(sorted(self._asked.items())), {}
        return list(zip(asked, self._policy.generate(list(asked.values())), strict=True))

    def drop(self) -> None:
        self._asked = {}


class HFPolicy:
    """Hugging Face ``generate`` on one process, for evaluation and for people.

    Sampling uses torch's global generator: seed it (``sdar_cli.determinism.seeded``) for a repeatable
    answer.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        *,
        max_response_tokens: int,
        max_batch: int = 512,
        say: Callable[[str], None] | None = None,
    ) -> None:
        from transformers import GenerationConfig

        from sdar_cli.models import sampling_wishes
        from sdar_cli.training.oom import Memory

        sampling_wishes.forget(model)
        self.model = model
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self.ends = end_tokens(model, tokenizer)
        self.memory = Memory({"generation": max_batch}, say or _note)
        self.config = GenerationConfig(
            max_new_tokens=max_response_tokens,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            pad_token_id=self.pad,
            eos_token_id=sorted(self.ends),
            disable_compile=True,
        )

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        """Raises LogitsNotFinite for weights that have diverged, and RunFailed where memory runs out."""
        from sdar_cli.training.oom import in_batches

        return in_batches(prompts, self.memory, self._batch)

    def _batch(self, prompts: Sequence[list[int]]) -> list[Generation]:
        import torch

        from sdar_cli.models.finite import finite_logits

        width = max(map(len, prompts))
        device = self.model.device
        ids = torch.tensor([[self.pad] * (width - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), finite_logits(self.model):
                out = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=self.config)
        finally:
            self.model.train(training)
        return [Generation(until_end(row, self.ends)) for row in out[:, width:].tolist()]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Every token that ends a turn: those the model declares, and the tokenizer's."""
    declared = model.generation_config.eos_token_id
    declared = [declared] if isinstance(declared, int) else declared or []
    return {*declared, tokenizer.eos_token_id}


def until_end(ids: list[int], ends: set[int]) -> list[int]:
    """Cut behind the first end-of-turn token; what follows is padding."""
    for position, token in enumerate(ids):
        if token in ends:
            return ids[: position + 1]
    return ids


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")
