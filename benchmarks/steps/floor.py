"""What a teacher pass is measured against.

``bare_forward``: TRL's own scoring of the same rows in the same micro-batches, nothing else. ``floor``: a forward pass
over as many tokens as must be computed, which is each distinct beginning of a prompt once, and each row's own tokens;
packed in rows as long as the teacher's are on average, without padding or mask, and with the head on response tokens
alone. No pass over these prompts can do with fewer operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from sdar_cli.training.batch import collate
from sdar_cli.training.prefixes import shared_length
from sdar_cli.training.rows import Row, split_microbatches


def needed_tokens(rows: Sequence[Row]) -> int:
    """Distinct beginnings of the teacher's prompts, short of their last tokens; those; and the completions."""
    distinct = {(tuple(row.teacher_prompt_ids), tuple(row.completion_ids)) for row in rows}
    prompts = sorted({prompt[:-1] for prompt, _ in distinct})
    shared = len(prompts[0]) + sum(len(b) - shared_length(a, b) for a, b in pairwise(prompts))
    return shared + sum(1 + len(completion) for _, completion in distinct)


def floor(trainer, rows: Sequence[Row]) -> None:
    width = sum(len(row.teacher_prompt_ids) + len(row.completion_ids) for row in rows) // len(rows)
    distinct = {(tuple(row.teacher_prompt_ids), tuple(row.completion_ids)): row.response_tokens for row in rows}
    count, scored = -(-needed_tokens(rows) // width), sum(distinct.values())
    model = trainer.model
    with torch.no_grad():
        ids = torch.randint(4, model.config.vocab_size, (count, width), device=model.device)
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)
        chosen = hidden.repeat(-(-scored // len(hidden)), 1)[:scored]
        logits = model.get_output_embeddings()(chosen).float() / trainer.temperature
        logits.logsumexp(-1)


def bare_forward(trainer, rows: list[Row], *, teacher: bool) -> None:
    device, pad = trainer.accelerator.device, trainer._tokenizer.pad_token_id
    with torch.no_grad():
        for indices in split_microbatches(rows, range(len(rows)), trainer.recipe.optimiser.tokens_per_microbatch):
            logps(trainer, trainer.model, collate([rows[i] for i in indices], pad, device, teacher=teacher))


def logps(trainer, model, batch):
    """TRL's."""
    from trl import GRPOTrainer

    return GRPOTrainer._get_per_token_logps_and_entropies(
        trainer,
        model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].size(1),
    )[0]
