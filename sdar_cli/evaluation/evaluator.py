"""Playing a panel: the same tasks in the same order, with or without skills in the policy's own prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdar_cli.determinism import seeded
from sdar_cli.evaluation.conditions import episode_options
from sdar_cli.evaluation.fit import check_played
from sdar_cli.evaluation.horizon import expert_turns
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation, Mode
from sdar_cli.evaluation.transcripts import Witness
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start
from sdar_cli.rollout.policies import HFPolicy, Policy, end_tokens
from sdar_cli.training import ranks
from sdar_cli.workshop import Workshop
from sdar_envs.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates models on one panel; pairs of evaluations share tasks, order, sampling and seed."""

    workshop: Workshop
    panel: Panel
    _expert_turns: dict[str, int | None] = field(default_factory=dict, repr=False, compare=False)
    """By task id, each asked for once."""

    def play(
        self,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        ends: set[int],
        mode: Mode,
        *,
        label: str,
        engine: str = "hf",
        checkpoint: str | None = None,
        step: int | None = None,
        run: str | None = None,
        on_turn: Callable[[int, int], None] | None = None,
        witness: Witness | None = None,
    ) -> tuple[Evaluation, list[Episode]]:
        """Visit every task once; the processes of a run share them. The random state of the caller is left as it was.

        With a witness the episodes that it watches hold the prompts with skills beside their own; all else is equal.

        Raises:
            RecipeError: the first prompt of no task fits ``rollout.max_prompt_tokens``.
            EnvironmentSetupError: the environment's expert fails.
        """
        recipe = self.workshop.recipe
        context = self.workshop.context(tokenizer).seen_by(skills=mode == "skills")
        if witness is not None:
            context = witness.watch(context)
        loop = self.workshop.loop(policy, tokenizer, ends, context, training=False)
        loop.on_turn = on_turn
        starts = [Start(task, group) for group, task in enumerate(self.panel.tasks(self.workshop.environment))]
        clock = time.perf_counter()
        with seeded(recipe.evaluation.panel_seed + ranks.rank()):
            episodes = ranks.whole(ranks.together(lambda: loop.play(ranks.share(starts))))
        check_played(episodes, loop)
        about = {"label": label, "engine": engine, "checkpoint": checkpoint, "step": step, "run": run}
        evaluation = ranks.from_main(lambda: self._evaluation(episodes, mode, time.perf_counter() - clock, **about))
        return evaluation, episodes

    def _evaluation(
        self,
        episodes: Sequence[Episode],
        mode: Mode,
        seconds: float,
        *,
        label: str,
        engine: str,
        checkpoint: str | None,
        step: int | None,
        run: str | None,
    ) -> Evaluation:
        recipe = self.workshop.recipe
        return Evaluation(
            mode=mode,
            label=label,
            environment=self.workshop.environment.name,
            panel=self.panel.digest,
            sampling=sampling_record(recipe),
            seed=recipe.evaluation.panel_seed,
            engine=engine,
            records=tuple(EpisodeRecord.of(episode, self.expert_turns(episode.task)) for episode in episodes),
            seconds=seconds,
            checkpoint=checkpoint,
            step=step,
            bank=self.workshop.bank.name,
            bank_digest=self.workshop.bank.digest,
            split=self.panel.split,
            run=run,
            means=dict(self.workshop.environment.means),
            options=episode_options(self.workshop.environment),
            facts=dict(self.workshop.environment.facts()),
        )

    def expert_turns(self, task: Task) -> int | None:
        """Turns that the environment's expert needs; None where it has none. Raises EnvironmentSetupError."""
        if task.id not in self._expert_turns:
            self._expert_turns[task.id] = expert_turns(self.workshop.environment, task)
        return self._expert_turns[task.id]

    def play_model(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, mode: Mode, **about: Any
    ) -> tuple[Evaluation, list[Episode]]:
        """``play`` through Hugging Face ``generate``."""
        recipe = self.workshop.recipe
        policy = HFPolicy(
            model,
            tokenizer,
            recipe.evaluation.sampling,
            max_response_tokens=recipe.rollout.max_response_tokens,
            max_batch=recipe.engine.max_batch,
        )
        return self.play(policy, tokenizer, end_tokens(model, tokenizer), mode, **about)


def sampling_record(recipe: Recipe) -> dict[str, Any]:
    """All of a recipe's settings that shape an episode beside model, skills and environment: what must be equal
    before two are paired."""
    rollout = recipe.rollout
    return {
        **recipe.evaluation.sampling.model_dump(),
        "max_turns": rollout.max_turns,
        "context": rollout.context,
        "history": rollout.history,
        "max_prompt_tokens": rollout.max_prompt_tokens,
        "max_response_tokens": rollout.max_response_tokens,
        "retrieval": recipe.skills.retrieval,
    }
