"""SDARTrainer: TRL's GRPOTrainer with multi-turn rollouts and the objectives of ``sdar_cli/objectives``.

One dataloader item is one *step*: a rollout, then as many optimiser updates as its rows need, the last
of which Hugging Face's loop performs. TRL keeps the policy loss (clipping, dual clip, k3 KL), generation,
the reference model and checkpoints; ours are the turn loop, advantages by the objective's rule, rows,
micro-batches by token budget, teacher scoring and the objective's own term, added to TRL's loss from the
log-probabilities that TRL's loss computed: no second forward pass.

Deviations from the paper and its code: docs/method.md.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import GRPOTrainer

from sdar_cli.engines.make import engine_start, make_engine
from sdar_cli.objectives.gap import token_gap
from sdar_cli.objectives.objective import Term, Tokens
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.schema import Recipe, Sampling
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start
from sdar_cli.rollout.policies import Generation
from sdar_cli.skills.retrieval import Outcome
from sdar_cli.training import ranks
from sdar_cli.training.batch import Batch, collate, stack
from sdar_cli.training.correction import logp_difference
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.ema import MovingAverage
from sdar_cli.training.events import Listener
from sdar_cli.training.failure import check_finite
from sdar_cli.training.full_vocabulary import FullVocabulary
from sdar_cli.training.measure import episode_metrics, mean_losses, trl_metrics
from sdar_cli.training.moments import gap_moments, reference_kl
from sdar_cli.training.rows import Row, make_rows
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.score import Scorer
from sdar_cli.training.sharded import whole_weights
from sdar_cli.training.signals import Signals
from sdar_cli.training.trl_seam import corrects_samples, grpo_config, ranks_differ
from sdar_cli.training.updates import plan_updates, row_keys

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

    from sdar_cli.engines.engine import Engine
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
        with engine_start(recipe):
            super().__init__(
                model=model,
                reward_funcs=_unused_reward,
                args=grpo_config(recipe, output, PartialState().num_processes, max_model_tokens),
                train_dataset=Dataset.from_dict({"prompt": [""] * recipe.train.steps}),
                processing_class=tokenizer,
                callbacks=list(callbacks),
            )
        self.engine = make_engine(self, output.parent / "engine", max_model_tokens, self.listener.message)
        """What samples for the policy; None: Hugging Face's ``generate``."""
        if self.engine is not None:
            corrects_samples(self)
        self.schedule = schedule
        self.objective = OBJECTIVES[recipe.method]
        self.settings = Settings.at(recipe, 0)
        self.average = None
        if recipe.needs_teacher and recipe.teacher.kind == "ema":
            self.average = MovingAverage(self.model, recipe.teacher.ema_decay)
            self.add_callback(self.average)
        self.scorer = Scorer(self, frozen, self.average)
        full = recipe.needs_teacher and self.settings.divergence != "sampled"
        self.full_vocabulary = FullVocabulary(self) if full else None
        self.loop = make_loop(self)
        self.checkpoint = checkpoint
        self.checkpoint_state = checkpoint_state
        self.step_metrics: dict[str, float] = {}
        self.rollout: list[Episode] = []
        """The step's episodes."""
        self.inputs: Batch | None = None
        """The micro-batch whose loss was computed last."""
        self._in_loss = False
        self._seen: Tokens | None = None
        self._gap: Tensor | None = None
        self._entropies: Tensor | None = None
        self._signals = Signals()
        self._losses: dict[str, float] = {}
        self._tokens_seen: list[int] = []
        """Response tokens of each of the step's micro-batches, over all ranks."""
        self._gap_moments = (0.0, 1.0)
        self._log_vocabulary = math.log(self.accelerator.unwrap_model(self.model).config.get_text_config().vocab_size)

    # -- the step ---------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """One item a step; every rank sees each, and plays its own share of the step's groups."""
        return DataLoader([{"step": step} for step in range(self.recipe.train.steps)], batch_size=1)

    def training_step(self, model, inputs, num_items_in_batch=None) -> Tensor:
        """Roll out, score, and update; gradients of the last update are left for the caller's step."""
        step = self.state.global_step
        self.settings = Settings.at(self.recipe, step)
        self.rollout = self._roll_out(step)
        clock = time.perf_counter()
        loss = self.train_on(model, self.rollout)
        self.step_metrics |= {
            "time/training": time.perf_counter() - clock - self.scorer.seconds_total(),
            **self.scorer.timings(),
            **self._signals.metrics(gather_object),
            **self._coefficients(),
        }
        self.listener.rollout(step, self.rollout, self._signals.by_turn())
        return loss

    def _roll_out(self, step: int) -> list[Episode]:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        tasks = list(enumerate(self.schedule.at(step)))[rank::world]
        starts = [Start(task, group, s) for group, task in tasks for s in range(self.recipe.rollout.group)]
        synced = self._sync_engine(step)
        self.loop.timing.generation = self.loop.timing.environment = 0.0
        with whole_weights(self):
            episodes = ranks.together(lambda: self.loop.play(starts))
        everyone = gather_object(episodes)
        self.loop.retriever.observe(_outcomes(everyone))
        self.step_metrics = episode_metrics(everyone) | {
            "time/generation": self.loop.timing.generation,
            "time/environment": self.loop.timing.environment,
            **self.loop.retriever.metrics(),
            **synced,
        }
        return episodes

    def train_on(self, model, episodes: Sequence[Episode]) -> Tensor:
        """Score the episodes' rows once, credit them, update on them; the last optimiser step is the caller's.

        Returns the mean loss of the updates, a detached scalar.
        """
        self._signals = Signals()
        self._losses = defaultdict(float, {"loss/distill": 0.0} if self.objective.term is not None else {})
        model.train()
        rows = ranks.together(lambda: make_rows(episodes, self.recipe.rollout.context))
        updates = plan_updates(
            rows,
            row_keys(rows, episodes),
            rows_per_update=self.recipe.optimiser.rows_per_update,
            tokens_per_microbatch=self.recipe.optimiser.tokens_per_microbatch,
            shuffle=f"{self.recipe.seed}/{self.state.global_step}",
            gather=gather_object,
        )
        with whole_weights(self):
            scores = self.scorer.score(rows, self.objective, self.settings, several_updates=len(updates) > 1)
        if self.settings.normalise == "zscore" and self.objective.teaches(self.settings):
            self._gap_moments = gap_moments(rows, scores, gather_object)
        self.step_metrics |= reference_kl(rows, scores, gather_object)
        if "importance_sampling_ratio" in scores:
            self.step_metrics |= logp_difference(rows, scores["old_logps"], gather_object)
        assign_advantages(
            rows,
            episodes,
            self.objective,
            self.settings,
            penalty=self.recipe.rollout.invalid_action_penalty,
            scores=scores,
            gather=gather_object,
            rank=self.accelerator.process_index,
        )
        counts = [sum(rows[i].response_tokens for i in batch) for update in updates for batch in update]
        self._tokens_seen = [sum(column) for column in zip(*gather_object([counts]), strict=True)]
        losses = []
        for number, batches in enumerate(updates):
            losses.append(self._backward(model, rows, batches, scores))
            if number < len(updates) - 1:
                self._step_optimiser(model)
        self.step_metrics |= mean_losses(self._losses, len(updates), gather_object) | {
            "optim/updates": float(len(updates)),
            "optim/rows": self._sum_over_ranks(len(rows)),
        }
        if not losses:
            return torch.zeros((), device=self.accelerator.device)
        return torch.stack(losses).mean()

    def _backward(self, model, rows: Sequence[Row], batches: list[list[int]], scores: dict[str, list]) -> Tensor:
        """Gradients of one update, accumulated over its micro-batches."""
        local = sum(rows[i].response_tokens for batch in batches for i in batch)
        tokens = torch.tensor(self._sum_over_ranks(local), device=self.accelerator.device)
        losses = []
        for number, indices in enumerate(batches):
            inputs = self._inputs(rows, indices, scores, tokens)
            last = number == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    loss = self.compute_loss(model, inputs)
                self.accelerator.backward(loss)
            losses.append(loss.detach())
        return sum(losses)

    def _inputs(self, rows: Sequence[Row], indices: list[int], scores: dict[str, list], tokens: Tensor) -> Batch:
        """TRL's inputs of one micro-batch. An empty one repeats a row without any token to learn from."""
        device, pad = self.accelerator.device, self._tokenizer.pad_token_id
        own = [rows[i] for i in indices] or [_silent()]
        batch = collate(own, pad, device)
        length = batch["completion_ids"].size(1)
        for name, values in scores.items():
            chosen = [values[i] for i in indices] or [torch.zeros(length)]
            batch[name] = stack(chosen, length, device)
        if self.full_vocabulary is not None and self.objective.teaches(self.settings):
            teacher = collate(own, pad, device, teacher=True)
            batch |= {f"teacher_{name}": teacher[name] for name in ("prompt_ids", "prompt_mask")}
        batch["num_items_in_batch"] = tokens
        batch["episodes"] = [row.episode for row in own]
        return batch

    def _step_optimiser(self, model) -> None:
        self._clip_grad_norm(model)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        model.zero_grad()

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        if hasattr(norm, "full_tensor"):  # of gradients in parts
            norm = norm.full_tensor()
        check_finite(self.state.global_step + 1, {"gradient": torch.as_tensor(norm)})
        return norm

    def _sum_over_ranks(self, value: int) -> float:
        return float(sum(gather_object([value])))

    # -- the loss ---------------------------------------------------------------------------------

    def _prepare_inputs(self, inputs):
        return inputs

    def score_tokens(self, *args, **kwargs):
        """TRL's log-probs (B, T), entropies and auxiliary loss, outside a loss."""
        return super()._get_per_token_logps_and_entropies(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        """Inside the loss, also the moment at which the objective may reweigh the advantages."""
        if not self._in_loss:
            return self.score_tokens(model, *args, **kwargs)
        capture = nullcontext([])
        if "teacher_prompt_ids" in self.inputs:
            self.inputs["teacher_logps"] = self.full_vocabulary.score_teacher(self.inputs)
            capture = self.full_vocabulary.capture(model)
        with capture as states:
            scored = self.score_tokens(model, *args, **kwargs)
        self._entropies = scored[1]
        self._seen = self._tokens(*scored[:2], states)
        if self.objective.reweigh is not None and self._seen.teacher is not None:
            self.inputs["advantages"], self._gap = self.objective.reweigh(self._seen, self.settings)
        return scored

    def _tokens(self, student: Tensor, entropies: Tensor, states: list[Tensor]) -> Tokens:
        inputs = self.inputs
        mask = inputs["completion_mask"] * inputs["tool_mask"]
        return Tokens(
            student=student,
            old=inputs.get("old_logps", student.detach()),
            mask=mask,
            turns=inputs["turns"],
            advantages=inputs["advantages"],
            normaliser=inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes,
            teacher=inputs.get("teacher_logps"),
            entropy=entropies / self._log_vocabulary,
            divergence=self.full_vocabulary.divergence(states, mask) if states else None,
            gap_mean=self._gap_moments[0],
            gap_std=self._gap_moments[1],
        )

    def _compute_loss(self, model, inputs):
        """TRL's policy loss, the objective's own term, and the entropy bonus where asked for."""
        self.inputs, self._in_loss = inputs, True
        with ranks_differ(self.accelerator):
            losses = {"policy": super()._compute_loss(model, inputs)}
        self._in_loss = False
        tokens, self._seen = self._seen, None
        if self.recipe.policy.entropy_coef:
            chosen = self._entropies.masked_fill(~tokens.mask.bool(), 0.0)
            losses["entropy"] = -self.recipe.policy.entropy_coef * chosen.sum() / tokens.normaliser
        if tokens.teacher is not None:
            term = self._term(tokens)
            self._signals.add(term, tokens.mask, tokens.turns, inputs["episodes"])
            if self.objective.term is not None:
                losses["distill"] = term.loss
        check_finite(self.state.global_step + 1, losses)
        for name, value in losses.items():
            self._losses[f"loss/{name}"] += value.item()
        self._entropies = None
        return sum(losses.values())

    def _term(self, tokens: Tokens) -> Term:
        """The objective's term; for one that has none, only what there is to see of the teacher."""
        if self.objective.term is not None:
            return self.objective.term(tokens, self.settings)
        gap, self._gap = self._gap, None
        if gap is None:
            gap = token_gap(tokens.student.detach(), tokens.teacher, tokens.mask)
        return Term(torch.zeros(()), gap)

    def _coefficients(self) -> dict[str, float]:
        """What a schedule may move."""
        out = {"teacher/active": float(self.objective.needs(self.settings).teacher)}
        if self.objective.term is not None:
            out["distill/coef"] = self.settings.coef
        if self.objective.reads("gate") and self.settings.form == "gated":
            out["gate/beta"] = self.settings.beta
        if self.objective.reads("credit.mu"):
            out["credit/mu"] = self.settings.mu
        return out

    # -- generation -------------------------------------------------------------------------------

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        """The training policy's answers, by the engine that the recipe names."""
        if self.engine is not None:
            return self.engine.generate(prompts)
        out: list[Generation] = []
        size = self.recipe.engine.max_batch
        for start in range(0, len(prompts), size):
            ids, _ = self._generate_single_turn(prompts[start : start + size], None, {}, num_generations=1)
            out += map(Generation, ids)
        return out

    @contextmanager
    def sampling(self, sampling: Sampling, seed: int) -> Iterator[Engine]:
        """The engine with the present weights and other sampling settings: an evaluation between training steps."""
        self.engine.sync(self.state.global_step)
        with self.engine.drawing(sampling, "evaluation", seed, ranks.rank()) as engine:
            yield engine

    def _sync_engine(self, step: int) -> dict[str, float]:
        """Give the engine the step's weights, unless nothing is generated."""
        if self.engine is None or self.recipe.rollout.replay is not None:
            return {}
        seconds = self.engine.sync(step)
        self.engine.restart_stream("training", self.recipe.seed, step, ranks.rank())
        return {"time/sync": seconds}

    # -- logs and checkpoints ---------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Send the step's metrics to the listener, under our stable names."""
        if "loss" in logs:
            values = self.step_metrics | trl_metrics(self._metrics["train"], logs, self._tokens_seen)
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
            ranks.together(lambda: None)  # each has written its random state
            if self.average is not None and ranks.is_main():
                self.average.save(folder)
            if ranks.is_main():
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


def _outcomes(episodes: Sequence[Episode]) -> list[Outcome]:
    """One a group: the skills that its episodes shared, and its mean success."""
    groups: dict[int, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if episode.trainable:
            groups[episode.group].append(episode)
    return [Outcome(own[0].skills, sum(e.won for e in own) / len(own)) for _, own in sorted(groups.items())]


def _unused_reward(prompts, completions, **kwargs) -> list[float]:
    """TRL wants a reward function; rewards come from the environment."""
    raise AssertionError("rewards come from the environment")


def _silent() -> Row:
    """A row that no loss can see: it keeps a rank in step when the others have more micro-batches.

    Two tokens long, as TRL takes a single column for one value a sequence and leaves out the mask.
    """
    return Row(0, [0], [0], [0, 0], [0, 0], [0.0, 0.0], [0, 0])
