"""One call to a vLLM that lives in this process: a seed for every prompt, and the log-prob of each sampled token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    from vllm import LLM

    from sdar_cli.recipe.schema import Sampling


def sample(
    llm: LLM,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    sampling: Sampling,
    *,
    max_tokens: int,
    ends: Sequence[int],
    adapter: Any = None,
) -> list[Generation]:
    """One answer a prompt, with the token that ended it."""
    from vllm import SamplingParams

    wishes = [
        SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=max_tokens,
            stop_token_ids=list(ends),
            seed=seed,
            logprobs=0,
            detokenize=False,
        )
        for seed in seeds
    ]
    asked = [{"prompt_token_ids": prompt} for prompt in prompts]
    answers = llm.generate(asked, sampling_params=wishes, lora_request=adapter, use_tqdm=False)
    return [_generation(answer.outputs[0]) for answer in answers]


def _generation(output: Any) -> Generation:
    ids = list(output.token_ids)
    return Generation(ids, [own[token].logprob for own, token in zip(output.logprobs, ids, strict=True)])
