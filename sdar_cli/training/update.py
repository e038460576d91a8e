"""One optimiser update: gradients accumulated over micro-batches, clipping, the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from sdar_cli.training import oom, ranks
from sdar_cli.training.batch import collate, stack
from sdar_cli.training.forward import Padding
from sdar_cli.training.rows import Row, split_microbatches
from sdar_cli.training.sharded import not_last
from sdar_cli.training.updates import padded, tokens_of

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.training.batch import Batch
    from sdar_cli.training.terms import TermSums
    from sdar_cli.training.trainer import SDARTrainer

Batches = list[list[int]]
"""Row indices of every micro-batch."""
Scores = Mapping[str, Sequence["Tensor"]]
"""(T_i,) vectors a row, under the names that ``Scorer`` gives them."""


class Update:
    """Updates of a trainer's model; every rank makes the same number of them, in as many micro-batches."""

    def __init__(self, trainer: SDARTrainer) -> None:
        self.trainer = trainer

    def backward(self, model, rows: Sequence[Row], updates: list[Batches], number: int, scores: Scores) -> Tensor:
        """Gradients of one update, and its loss, a detached scalar.

        Where memory runs out, this update and those after it are cut into smaller micro-batches, and this one is made
        anew, once in a run: from the same rows, so that only rounding differs.

        Raises:
            RunFailed: memory ran out again, or where the update cannot be made anew.
        """
        memory = self.trainer.memory
        if not oom.update_is_repeatable():
            with oom.failing(memory.cannot("update")):
                return self._backward(model, rows, updates[number], scores)
        while True:
            before = _Before.of(self.trainer)
            try:
                return self._backward(model, rows, updates[number], scores)
            except RuntimeError as error:
                if not oom.ran_out(error):
                    raise
                failed = error
            before.restore(self.trainer)
            model.zero_grad(set_to_none=True)
            self._cut(rows, updates, number, failed)

    def _cut(self, rows: Sequence[Row], updates: list[Batches], number: int, failed: BaseException) -> None:
        """The updates from this one on anew, in micro-batches of half the tokens that the largest one has now."""
        trainer, tokens = self.trainer, self.trainer.row_tokens
        largest = max((padded(rows, batch, tokens) for update in updates[number:] for batch in update), default=0)
        trainer.memory.halve("update", largest, failed)
        limit, place = trainer.memory.limit("update"), sum(map(len, updates[:number]))
        for later in range(number, len(updates)):
            own = [index for batch in updates[later] for index in batch]
            updates[later] = split_microbatches(rows, own, limit, tokens=tokens)
        trainer._tokens_seen[place:] = tokens_of(rows, updates[number:])

    def _backward(self, model, rows: Sequence[Row], batches: Batches, scores: Scores) -> Tensor:
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


@dataclass(frozen=True, slots=True)
class _Before:
    """What the micro-batches of an update add to, as it was before."""

    metrics: dict[str, int]
    """TRL's lists of the step's micro-batches: their lengths."""
    terms: TermSums
    padding: Padding

    @classmethod
    def of(cls, trainer: SDARTrainer) -> _Before:
        lengths = {name: len(values) for name, values in trainer._metrics["train"].items()}
        return cls(lengths, trainer.terms.sums_so_far(), replace(trainer.padding))

    def restore(self, trainer: SDARTrainer) -> None:
        for name, values in trainer._metrics["train"].items():
            del values[self.metrics.get(name, 0) :]
        trainer.terms.go_back(self.terms)
        trainer.padding, trainer.layout = self.padding, None


def _silent() -> Row:
    """A row that no loss can see: it keeps a rank in step when the others have more micro-batches.

    Two tokens long, as TRL takes a single column for one value a sequence and leaves out the mask.
    """
    return Row(0, [0], [0], [0, 0], [0, 0], [0.0, 0.0], [0, 0])
