"""Does vLLM find in its prefix cache what prefix.py counts? Both play the same rollout, in real vLLM.

    python benchmarks/contexts/in_vllm.py MODEL     # prints a line of JSON for each context

MODEL is a folder; its tokens are given ids at random. Eight episodes in two groups play five turns, with a prompt
written anew under a shared head (window), or with the conversation so far (full).
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contexts.prefix import PrefixCache

TURNS, GROUPS, GROUP, RESPONSE = 5, 2, 4, 21


def main(model: str) -> None:
    from vllm import LLM

    engine = LLM(model, dtype="float32", enforce_eager=True, max_model_len=1024, enable_prefix_caching=True, seed=0)
    block = engine.llm_engine.vllm_config.cache_config.block_size
    for kind in ("window", "full"):
        engine.reset_prefix_cache()
        told, counted, read = [], [], 0
        for one, other, tokens in play(engine, kind, PrefixCache(block)):
            told.append(one)
            counted.append(other)
            read += tokens
        print(json.dumps({"context": kind, "block": block, "read": read, "told": told, "counted": counted}), flush=True)


def play(engine, kind: str, cache: PrefixCache) -> Iterator[tuple[int, int, int]]:
    """Of every turn: cached tokens by vLLM's word, by our count, and all that was read."""
    from vllm import SamplingParams

    settings = SamplingParams(temperature=1.0, max_tokens=RESPONSE, ignore_eos=True, detokenize=False)
    draw = random.Random(kind)

    def some(count: int) -> list[int]:
        return [draw.randrange(4, 60) for _ in range(count)]

    heads = [head for head in (some(150) for _ in range(GROUPS)) for _ in range(GROUP)]
    prompts = [head + seen for head, seen in zip(heads, heads, strict=True)]
    for _ in range(TURNS):
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
        answers = engine.generate(asked, settings, use_tqdm=False)
        counted = 0
        for prompt in prompts:
            counted += cache.find(prompt)
            cache.keep(prompt)
        responses = [list(answer.outputs[0].token_ids) for answer in answers]
        for prompt, response in zip(prompts, responses, strict=True):
            cache.keep((prompt + response)[:-1])
        yield sum(answer.num_cached_tokens or 0 for answer in answers), counted, sum(map(len, prompts))
        if kind == "full":
            prompts = [prompt + said + some(37) for prompt, said in zip(prompts, responses, strict=True)]
        else:
            prompts = [head + some(90) for head in heads]


if __name__ == "__main__":
    main(sys.argv[1])
