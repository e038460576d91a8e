"""SDARTrainer: TRL's GRPOTrainer with multi-turn rollouts and the gated distillation term.

One dataloader item is one *step*: a rollout, then as many optimiser updates as its rows need, the last
of which Hugging Face's loop performs. TRL keeps the policy loss (clipping, dual clip, k3 KL), generation,
the reference model and checkpoints; ours are the turn loop, group advantages over trajectories, rows,
micro-batches by token budget, teacher scoring and the distillation term, added to TRL's loss from the
log-probabilities that TRL's loss computed: no second forward pass.

Deviations from the paper and its code: docs/method.md.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import GRPOTrainer

from sdar_cli.objectives.distillation import gated_distillation
from sdar_cli.recipe.schema import Recipe, Sampling
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start
from sdar_cli.rollout.policies import Generation
from sdar_cli.training.batch import Batch, collate, stack
from sdar_cli.training.events import Listener
from sdar_cli.training.measure import episode_metrics, trl_metrics
from sdar_cli.training.rows import Row, make_rows, split_microbatches, split_updates
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.score import Scorer
from sdar_cli.training.signals import Signals
from sdar_cli.training.trl_seam import grpo_config

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

    from sdar_cli.rollout.loop import RolloutLoop

CHECKPOINT_STATE = "sdar.json"
"""In a checkpoint: the step and the retrieval's state."""


class SDARTrainer(GRPOTrainer):
    """Trains a policy on an environment; see the module docstring.

    Args:
        recipe: what to do.
        model: the policy, a causal language model or a PEFT model, loaded from a folder or a hub id
            (TRL loads the reference from ``model.config``'s name again).
        make_loop: given this trainer, the rollout loop whose policy generates through it.
        schedule: the tasks of each step.
        output: a folder of TRL's own; nothing of value is written there.
        max_model_tokens: longest sequence that generation may see.
        frozen: the weights RL starts from, for ``teacher.kind=frozen`` where TRL loads no reference.
        checkpoint: given a step, a context that yields a fresh folder and keeps it if all went well;
            None: no checkpoints.
        checkpoint_state: plain data for ``sdar.json`` in every checkpoint.
    """

    def __init__(
        self,
        *,
        recipe: Recipe,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        make_loop: Callable[[SDARTrainer], RolloutLoop],
        schedule: TaskSchedule,
        output: Path,
        max_model_tokens: int,
        listener: Listener | None = None,
        frozen: PreTrainedModel | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        checkpoint: Callable[[int], AbstractContextManager[Path]] | None = None,
        checkpoint_state: Callable[[], dict] = dict,
    ) -> None:
        from accelerate import PartialState

        self.recipe = recipe
        self.listener = listener or Listener()
        super().__init__(
            model=model,
            reward_funcs=_unused_reward,
            args=grpo_config(recipe, output, PartialState().num_processes, max_model_tokens),
            train_dataset=Dataset.from_dict({"prompt": [""] * recipe.train.steps}),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
        self.schedule = schedule
        self.loop = make_loop(self)
        self.scorer = Scorer(self, frozen)
        self.checkpoint = checkpoint
        self.checkpoint_state = checkpoint_state
        self.step_metrics: dict[str, float] = {}
        self._scored: tuple[Tensor, Tensor] | None = None
        self._signals = Signals()
        self._distill_loss = 0.0

    # -- the step ---------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """One item a step; every rank sees each, and plays its own share of the step's groups."""
        return DataLoader([{"step": step} for step in range(self.recipe.train.steps)], batch_size=1)

    def training_step(self, model, inputs, num_items_in_batch=None) -> Tensor:
        """Roll out, score, and update; gradients of the last update are left for the caller's step."""
        step = self.state.global_step
        episodes = self._rollout(step)
        clock = time.perf_counter()
        rows = make_rows(
            episodes,
            context=self.recipe.rollout.context,
            penalty=self.recipe.rollout.invalid_action_penalty,
            statistics=self.recipe.policy.advantage,
        )
        loss = self.train_on_rows(model, rows)
        self.step_metrics |= {
            "time/training": time.perf_counter() - clock - self.scorer.seconds_total(),
            **self.scorer.timings(),
            **self._signals.metrics(),
        }
        self.listener.rollout(step, episodes, self._signals.by_turn())
        return loss

    def _rollout(self, step: int) -> list[Episode]:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        tasks = list(enumerate(self.schedule.at(step)))[rank::world]
        starts = [Start(task, group, s) for group, task in tasks for s in range(self.recipe.rollout.group)]
        self.loop.timing.generation = self.loop.timing.environment = 0.0
        episodes = self.loop.play(starts)
        self.step_metrics = episode_metrics(episodes) | {
            "time/generation": self.loop.timing.generation,
            "time/environment": self.loop.timing.environment,
        }
        return episodes

    def train_on_rows(self, model, rows: Sequence[Row]) -> Tensor:
        """Score the rows once, then update on them; the last update's optimiser step is the caller's.

        Returns the mean loss of the updates, a detached scalar.
        """
        self._signals = Signals()
        self._distill_loss = 0.0
        model.train()
        updates = self._updates(rows)
        scores = self.scorer.score(rows, several_updates=len(updates) > 1)
        losses = []
        for number, batches in enumerate(updates):
            losses.append(self._backward(model, rows, batches, scores))
            if number < len(updates) - 1:
                self._step_optimiser(model)
        self.step_metrics |= {
            "loss/distill": self._distill_loss / max(1, len(updates)),
            "optim/updates": float(len(updates)),
            "optim/rows": float(len(rows)),
        }
        if not losses:
            return torch.zeros((), device=self.accelerator.device)
        return torch.stack(losses).mean()

    def _updates(self, rows: Sequence[Row]) -> list[list[list[int]]]:
        """Row indices by update and micro-batch, equal in number on every rank (empty lists fill up)."""
        world = self.accelerator.num_processes
        per_update = self.recipe.optimiser.rows_per_update
        local = None if per_update is None else -(-per_update // world)
        most = int(self._over_ranks(len(rows), "max"))
        if most == 0:
            return []
        count = 1 if local is None else -(-most // local)
        order = list(range(len(rows)))
        if count > 1:
            random.Random(f"{self.recipe.seed}/{self.state.global_step}").shuffle(order)
        parts = split_updates(rows, -(-len(rows) // count) if rows else None)
        parts += [[] for _ in range(count - len(parts))]
        updates = [
            split_microbatches(rows, [order[i] for i in part], self.recipe.optimiser.tokens_per_microbatch)
            for part in parts
        ]
        for update in updates:
            update += [[] for _ in range(int(self._over_ranks(len(update), "max")) - len(update))]
        return updates

    def _backward(self, model, rows: Sequence[Row], batches: list[list[int]], scores: dict[str, list]) -> Tensor:
        """Gradients of one update, accumulated over its micro-batches."""
        local = sum(rows[i].response_tokens for batch in batches for i in batch)
        tokens = torch.tensor(self._over_ranks(local, "sum"), device=self.accelerator.device)
        total = torch.zeros((), device=self.accelerator.device)
        for number, indices in enumerate(batches):
            inputs = self._inputs(rows, indices, scores, tokens)
            last = number == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    loss = self.compute_loss(model, inputs)
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _inputs(self, rows: Sequence[Row], indices: list[int], scores: dict[str, list], tokens: Tensor) -> Batch:
        """TRL's inputs of one micro-batch. An empty one repeats a row without any token to learn from."""
        device, pad = self.accelerator.device, self._tokenizer.pad_token_id
        own = [rows[i] for i in indices] or [_silent()]
        batch = collate(own, pad, device)
        length = batch["completion_ids"].size(1)
        for name, values in scores.items():
            chosen = [values[i] for i in indices] or [torch.zeros(1)]
            batch[name] = stack(chosen, length, device)
        batch["num_items_in_batch"] = tokens
        batch["episodes"] = [row.episode for row in own]
        return batch

    def _step_optimiser(self, model) -> None:
        self.accelerator.clip_grad_norm_(model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        model.zero_grad()

    def _over_ranks(self, value: float, how: str) -> float:
        if self.accelerator.num_processes == 1:
            return float(value)
        tensor = torch.tensor([float(value)], device=self.accelerator.device)
        gathered = self.accelerator.gather(tensor)
        return (gathered.max() if how == "max" else gathered.sum()).item()

    # -- the loss ---------------------------------------------------------------------------------

    def _prepare_inputs(self, inputs):
        return inputs

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        scored = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._scored = scored[:2]
        return scored

    def _compute_loss(self, model, inputs):
        """TRL's policy loss, plus λ·mean(sg(g)·(logp_T − logp_S)) and the entropy bonus where asked for."""
        loss = super()._compute_loss(model, inputs)
        (student, entropies), self._scored = self._scored, None
        mask = inputs["completion_mask"] * inputs["tool_mask"]
        normaliser = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes
        if self.recipe.policy.entropy_coef:
            selected = entropies.masked_fill(~mask.bool(), 0.0)
            loss = loss - self.recipe.policy.entropy_coef * selected.sum() / normaliser
        if "teacher_logps" in inputs:
            term = gated_distillation(
                student,
                inputs["teacher_logps"],
                mask,
                normaliser,
                coef=self.recipe.distill.coef,
                gate=self.recipe.gate.kind,
                beta=self.recipe.gate.beta,
            )
            loss = loss + term.loss
            self._distill_loss += term.loss.item()
            self._signals.add(term, mask, inputs["turns"], inputs["episodes"])
        return loss

    # -- generation -------------------------------------------------------------------------------

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        """The training policy's answers, by whichever engine TRL was told to use."""
        out: list[Generation] = []
        size = self.recipe.engine.max_batch if self.recipe.engine.kind == "hf" else len(prompts)
        for start in range(0, len(prompts), size):
            ids, logprobs = self._generate_single_turn(prompts[start : start + size], None, {}, num_generations=1)
            out += [Generation(i, logprobs[n] if logprobs else None) for n, i in enumerate(ids)]
        return out

    @contextmanager
    def sampling(self, sampling: Sampling) -> Iterator[SDARTrainer]:
        """vLLM with other sampling settings for a while: an evaluation between training steps."""
        engine, names = self.vllm_generation, ("temperature", "top_p", "top_k")
        own = {name: getattr(engine, name) for name in names}
        try:
            for name in names:
                setattr(engine, name, getattr(sampling, name))
            yield self
        finally:
            for name, value in own.items():
                setattr(engine, name, value)

    # -- logs and checkpoints ---------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Send the step's metrics to the listener, under our stable names."""
        if "loss" in logs:
            values = self.step_metrics | trl_metrics(self._metrics["train"], logs)
            values["loss/policy"] = values["loss/total"] - values["loss/distill"]
            self.listener.metrics(self.state.global_step, values)
        self._metrics["train"].clear()
        self.state.log_history.append(logs | {"step": self.state.global_step})

    def create_model_card(self, *args, **kwargs) -> None:
        """TRL writes a card into every checkpoint; ours describe themselves in ``sdar.json``."""

    def _save_checkpoint(self, model, trial) -> None:
        if self.checkpoint is None:
            return
        step = self.state.global_step
        with self.checkpoint(step) as folder:
            self.args.output_dir, own = str(folder), self.args.output_dir
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self.args.output_dir = own
            _finish_checkpoint(folder, step, self.checkpoint_state())
        self.listener.checkpoint(step, folder)


def _finish_checkpoint(folder: Path, step: int, state: dict) -> None:
    """Move what Hugging Face wrote to the folder's top, without its pickled arguments, and add our state."""
    written = folder / f"checkpoint-{step}"
    for path in list(written.iterdir()):
        path.rename(folder / path.name)
    written.rmdir()
    (folder / "training_args.bin").unlink(missing_ok=True)
    (folder / CHECKPOINT_STATE).write_text(json.dumps({"step": step} | state, indent=2), encoding="utf-8")


def _unused_reward(prompts, completions, **kwargs) -> list[float]:
    """TRL wants a reward function; rewards come from the environment."""
    raise AssertionError("rewards come from the environment")


def _silent() -> Row:
    """A row that no loss can see: it keeps a rank in step when the others have more micro-batches."""
    return Row(0, [0], None, [0], [0], [0.0], [0])
