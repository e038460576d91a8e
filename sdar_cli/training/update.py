"""One optimiser update: gradients accumulated over micro-batches, clipping, the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from sdar_cli.training import ranks
from sdar_cli.training.batch import collate, stack
from sdar_cli.training.rows import Row
from sdar_cli.training.sharded import not_last

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.batch import Batch
    from sdar_cli.training.trainer import SDARTrainer

Scores = Mapping[str, Sequence["Tensor"]]
"""(T_i,) vectors a row, under the names that ``Scorer`` gives them."""


class Update:
    """Updates of a trainer's model; every rank makes the same number of them, in as many micro-batches."""

    def __init__(self, trainer: SDARTrainer) -> None:
        self.trainer = trainer

    def backward(self, model, rows: Sequence[Row], batches: list[list[int]], scores: Scores) -> Tensor:
        """Gradients of one update, and its loss, a detached scalar."""
        accelerator = self.trainer.accelerator
        local = sum(rows[i].response_tokens for batch in batches for i in batch)
        tokens = torch.tensor(float(sum(ranks.gather(local))), device=accelerator.device)
        losses = []
        for number, indices in enumerate(batches):
            self.trainer.preemption.check_alone()
            inputs = self.inputs(rows, indices, scores, tokens)
            last = number == len(batches) - 1
            with nullcontext() if last else not_last(self.trainer, model):
                with self.trainer.compute_loss_context_manager():
                    loss = self.trainer.compute_loss(model, inputs)
                accelerator.backward(loss)
            losses.append(loss.detach())
        return sum(losses)

    def step(self, model) -> None:
        """For an update that Hugging Face's loop does not make."""
        trainer = self.trainer
        trainer._clip_grad_norm(model)
        listeners = trainer.callback_handler  # ZeRO-3, and the teacher that is an average
        listeners.on_pre_optimizer_step(trainer.args, trainer.state, trainer.control)
        trainer.optimizer.step()
        listeners.on_optimizer_step(trainer.args, trainer.state, trainer.control)
        model.zero_grad()

    def inputs(self, rows: Sequence[Row], indices: list[int], scores: Scores, tokens: Tensor) -> Batch:
        """TRL's inputs of one micro-batch. An empty one repeats a row without any token to learn from."""
        trainer = self.trainer
        device, pad = trainer.accelerator.device, trainer._tokenizer.pad_token_id
        own = [rows[i] for i in indices] or [_silent()]
        batch = collate(own, pad, device)
        length = batch["completion_ids"].size(1)
        unseen = batch["tool_mask"] == 0  # where the loss's own log-probs are 0 too, so that no ratio is large
        for name, values in scores.items():
            chosen = [values[i] for i in indices] or [torch.zeros(length)]
            batch[name] = stack(chosen, length, device).masked_fill(unseen, 0.0)
        if trainer.full_vocabulary is not None and trainer.objective.teaches(trainer.settings):
            teacher = collate(own, pad, device, teacher=True)
            batch |= {f"teacher_{name}": teacher[name] for name in ("prompt_ids", "prompt_mask")}
        batch["num_items_in_batch"] = tokens
        batch["episodes"] = [row.episode for row in own]
        return batch


def _silent() -> Row:
    """A row that no loss can see: it keeps a rank in step when the others have more micro-batches.

    Two tokens long, as TRL takes a single column for one value a sequence and leaves out the mask.
    """
    return Row(0, [0], [0], [0, 0], [0, 0], [0.0, 0.0], [0, 0])
