"""SDARTrainer: TRL's GRPOTrainer with multi-turn rollouts and the objectives of ``sdar_cli/objectives``.

One dataloader item is one *step*: a rollout, then as many optimiser updates as its rows need, the last
of which Hugging Face's loop performs. TRL keeps the policy loss (clipping, dual clip, k3 KL), generation,
the reference model and checkpoints; ours are the turn loop, advantages by the objective's rule, rows,
micro-batches by token budget, teacher scoring and the objective's own term, added to TRL's loss from the
log-probabilities that TRL's loss computed: no second forward pass.

Deviations from the paper and its code: docs/method.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import GRPOTrainer

from sdar_cli.engines.make import engine_start, make_engine
from sdar_cli.models import sampling_wishes
from sdar_cli.models.quantised import adapter_in_float32
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.training import ranks, zero3
from sdar_cli.training.checkpoints.checkpointing import Checkpointing
from sdar_cli.training.correction import logp_difference
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.ema import MovingAverage
from sdar_cli.training.events import Listener
from sdar_cli.training.failure import check_finite
from sdar_cli.training.forward import Padding, Scored, Tight, score
from sdar_cli.training.full_vocabulary import FullVocabulary
from sdar_cli.training.measure import mean_losses, trl_metrics
from sdar_cli.training.moments import gap_moments, reference_kl
from sdar_cli.training.oom import Memory
from sdar_cli.training.playing import Playing
from sdar_cli.training.preempt import Preemption
from sdar_cli.training.rows import LONGEST, STUDENT, make_rows
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.score import Scorer
from sdar_cli.training.sharded import keep_float32
from sdar_cli.training.terms import Terms
from sdar_cli.training.trl_seam import corrects_samples, dividing_references, drop_reference_adapter, grpo_config
from sdar_cli.training.update import Update
from sdar_cli.training.updates import plan_updates, row_keys, tokens_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

    from sdar_cli.rollout.loop import RolloutLoop
    from sdar_cli.training.batch import Batch


class SDARTrainer(Playing, Checkpointing, GRPOTrainer):
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
        with engine_start(recipe), adapter_in_float32(model), dividing_references():
            super().__init__(
                model=model,
                reward_funcs=_unused_reward,
                args=grpo_config(recipe, output, PartialState().num_processes, max_model_tokens),
                train_dataset=Dataset.from_dict({"prompt": [""] * recipe.train.steps}),
                processing_class=tokenizer,
                callbacks=list(callbacks),
            )
        drop_reference_adapter(self.model)
        keep_float32(self.accelerator)
        self.engine = make_engine(self, output.parent / "engine", max_model_tokens, self.listener.message)
        """What samples for the policy; None: Hugging Face's ``generate``."""
        if self.engine is not None:
            corrects_samples(self)
        else:
            sampling_wishes.forget(model)
        self.schedule = schedule
        self.objective = OBJECTIVES[recipe.method]
        self.settings = Settings.at(recipe, 0)
        self.average = None
        if recipe.needs_teacher and recipe.teacher.kind == "ema":
            self.average = MovingAverage(self.model, recipe.teacher.ema_decay)
            self.add_callback(self.average)
        if zero3.is_on(self.accelerator):
            self.add_callback(zero3.Zero3(self))
        self.scorer = Scorer(self, frozen, self.average)
        full = recipe.needs_teacher and self.settings.divergence != "sampled"
        self.full_vocabulary = FullVocabulary(self) if full else None
        self.row_tokens = STUDENT if self.full_vocabulary is None else LONGEST
        """A row's length in the longest pass of an update."""
        self.memory = Memory.of(recipe, self.listener.message)
        self.loop = make_loop(self)
        self.checkpoint = checkpoint
        self.checkpoint_state = checkpoint_state
        self.preemption = Preemption(self)
        if self.engine is not None:
            self.engine.check = self.preemption.check
        self.step_metrics: dict[str, float] = {}
        self.rollout: list[Episode] = []
        """The step's episodes."""
        self.terms = Terms(self)
        self.update = Update(self)
        self.padding = Padding()
        """Of the step's passes inside losses."""
        self.layout: Tight | None = None
        """Of the forward pass that was last."""
        self._tokens_seen: list[int] = []
        """Response tokens of each of the step's micro-batches, over all ranks."""

    @property
    def inputs(self) -> Batch | None:
        """The micro-batch whose loss was computed last."""
        return self.terms.inputs

    def get_train_dataloader(self) -> DataLoader:
        """One item a step; every rank sees each, and plays its own share of the step's groups."""
        return DataLoader([{"step": step} for step in range(self.recipe.train.steps)], batch_size=1)

    def training_step(self, model, inputs, num_items_in_batch=None) -> Tensor:
        """Roll out, score, and update; gradients of the last update are left for the caller's step."""
        step = self.state.global_step
        self.preemption.begin()
        self.settings = Settings.at(self.recipe, step)
        self.rollout = []  # the last one's tokens need not lie beside the next one's
        self.rollout = self._roll_out(step)
        self.preemption.agree()
        clock = time.perf_counter()
        loss = self.train_on(model, self.rollout)
        self.step_metrics |= {
            "time/training": time.perf_counter() - clock - self.scorer.seconds_total(),
            **self.scorer.timings(),
            **self.terms.signals.metrics(gather_object),
            **self.terms.coefficients(),
        }
        self.listener.rollout(step, self.rollout, self.terms.signals.by_turn())
        self.preemption.commit()  # an optimiser that fails has changed weights already
        return loss

    def train_on(self, model, episodes: Sequence[Episode]) -> Tensor:
        """Score the episodes' rows once, credit them, update on them; the last optimiser step is the caller's.

        Returns the mean loss of the updates, a detached scalar.
        """
        self.terms.begin()
        self.padding = Padding()
        model.train()
        rows = ranks.together(lambda: make_rows(episodes, self.recipe.rollout.context))
        updates = plan_updates(
            rows,
            row_keys(rows, episodes),
            rows_per_update=self.recipe.optimiser.rows_per_update,
            tokens_per_microbatch=self.memory.limit("update"),
            shuffle=f"{self.recipe.seed}/{self.state.global_step}",
            tokens=self.row_tokens,
            gather=gather_object,
        )
        scores = self.scorer.score(rows, self.objective, self.settings, several_updates=len(updates) > 1)
        if self.settings.normalise == "zscore" and self.objective.teaches(self.settings):
            self.terms.gap_moments = gap_moments(rows, scores, gather_object)
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
        self._tokens_seen = tokens_of(rows, updates, gather_object)
        losses = []
        for number in range(len(updates)):
            losses.append(self.update.backward(model, rows, updates, number, scores))
            if number < len(updates) - 1:
                self.preemption.commit()
                self.update.step(model)
        self.step_metrics |= mean_losses(self.terms.sums, len(updates), gather_object) | {
            "optim/updates": float(len(updates)),
            "optim/rows": float(sum(ranks.gather(len(rows)))),
            "optim/padding": self.padding.share(gather_object),
        }
        if not losses:
            return torch.zeros((), device=self.accelerator.device)
        return torch.stack(losses).mean()

    def _save_checkpoint(self, model, trial) -> None:
        with self.preemption.saving():
            super()._save_checkpoint(model, trial)

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        if hasattr(norm, "full_tensor"):  # of gradients in parts
            norm = norm.full_tensor()
        check_finite(self.state.global_step + 1, {"gradient": torch.as_tensor(norm)})
        return norm

    def _prepare_inputs(self, inputs):
        return inputs

    def score_tokens(
        self,
        model,
        ids: Tensor,
        mask: Tensor,
        length: int,
        *,
        wanted: Tensor | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **pictures,
    ) -> Scored:
        """What TRL's method of the longer name returns, by a forward pass with less padding (``forward.py``).

        Args:
            ids, mask: (B, P + T), padded on both sides.
            length: T, the last tokens of which log-probs are asked for.
            wanted: (B, T), a part of them; None: all that are no padding.
            pictures: what TRL passes for models that see; None all.
        """
        tight = Tight.of(ids, mask, mask[:, -length:] if wanted is None else wanted)
        self.padding.add(tight.tokens, tight.slots)
        self.layout = tight
        return score(
            model,
            tight,
            autocast=self.accelerator.autocast,
            compute_entropy=compute_entropy,
            compute_aux_loss=compute_aux_loss,
        )

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        return (self.terms.see if self.terms.computing else self.score_tokens)(model, *args, **kwargs)

    def _compute_loss(self, model, inputs):
        return self.terms.loss(inputs, lambda: super(SDARTrainer, self)._compute_loss(model, inputs))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Send the step's metrics to the listener, under our stable names."""
        if "loss" in logs:
            values = self.step_metrics | trl_metrics(self._metrics["train"], logs, self._tokens_seen)
            self.listener.metrics(self.state.global_step, values)
        self._metrics["train"].clear()
        self.state.log_history.append(logs | {"step": self.state.global_step})


def _unused_reward(prompts, completions, **kwargs) -> list[float]:
    """TRL wants a reward function; rewards come from the environment."""
    raise AssertionError("rewards come from the environment")
