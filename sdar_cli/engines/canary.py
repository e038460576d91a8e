"""Does a server that takes no weights hold a model? Its log-probs of a few answers, against our own.

This sees another model, not another step of the same training: a small update changes log-probs by less than two
implementations differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdar_cli.engines.client import Server
from sdar_cli.errors import UserError
from sdar_cli.recipe.schema import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOLERANCE = 0.1
"""Nats a token, on average; bfloat16 against float32 differs by some hundredths."""

QUESTIONS = ("What do you see?", "Put the apple on the table.", "Which river is the longest?", "go to the kitchen")
TOKENS = 16


def check_holds(
    server: Server, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, what: str
) -> float:
    """The mean difference of log-probs.

    Args:
        name: the model's, at the server.
        what: the model in an error's words.

    Raises:
        UserError: the server holds another model.
        Gone: it does not answer.
    """
    import torch

    total = count = 0.0
    for seed, question in enumerate(QUESTIONS):
        messages = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        answer = server.complete(prompt, Sampling(), model=name, max_tokens=TOKENS, ends=(), seed=seed)
        if max(answer.ids, default=0) >= model.config.get_text_config().vocab_size:
            raise _another(server, what, "it speaks tokens that the model does not have")
        ids = torch.tensor([prompt + answer.ids], device=model.device)
        with torch.inference_mode():
            logps = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
        own = logps.gather(-1, ids[0, len(prompt) :, None]).squeeze(-1).cpu()
        total += float((own - torch.tensor(answer.logprobs)).abs().sum())
        count += len(answer.ids)
    difference = total / max(1.0, count)
    if not difference <= TOLERANCE:
        raise _another(server, what, f"log-probs differ by {difference:.2f} nats a token")
    return difference


def _another(server: Server, what: str, why: str) -> UserError:
    return UserError(
        f"the server {server.url} does not hold {what} ({why}): serve that model there, or start the server as "
        "docs/vllm.md says, so that weights can be sent to it"
    )
