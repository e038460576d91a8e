"""A vLLM that lives in this process: it works while one waits for it, one token of every answer at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sdar_cli.engines.engine import Engine, Request
from sdar_cli.rollout.policies import Generation

if TYPE_CHECKING:
    from vllm import LLM

    from sdar_cli.recipe.schema import Sampling


class InProcessEngine(Engine):
    """Requests join the running batch when they are made, and leave it when they are answered.

    ``llm`` is set by whoever inherits; ``adapter`` is the ``LoRARequest`` that requests are made with, if any.
    """

    llm: LLM

    def __init__(self, sampling: Sampling, max_response_tokens: int, ends: set[int]) -> None:
        super().__init__(sampling, max_response_tokens, ends)
        self.adapter: Any = None
        self._open: dict[str, int] = {}
        """vLLM's name of a request → its number."""
        self._made = 0

    def begin(self, request: Request) -> None:
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        wish = SamplingParams(
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
            max_tokens=self.max_response_tokens,
            stop_token_ids=self.ends,
            seed=request.seed,
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        name = f"sdar-{self._made}"
        self._made += 1
        self.llm.llm_engine.add_request(name, tokens_input(request.prompt), wish, lora_request=self.adapter)
        self._open[name] = request.number

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        end = None if seconds is None else time.monotonic() + seconds
        came: list[tuple[int, Generation]] = []
        while self._open and not came:
            self.check()
            for output in self.llm.llm_engine.step():
                if output.finished and output.request_id in self._open:
                    came.append((self._open.pop(output.request_id), _generation(output.outputs[0])))
            if end is not None and time.monotonic() >= end:
                break
        return came

    def drop(self) -> None:
        names, self._open = list(self._open), {}
        self.llm.llm_engine.abort_request(names)


def _generation(output: Any) -> Generation:
    """With the token that ended it."""
    ids = list(output.token_ids)
    return Generation(ids, [own[token].logprob for own, token in zip(output.logprobs, ids, strict=True)])
