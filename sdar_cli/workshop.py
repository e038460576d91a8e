"""Everything a recipe needs around the model: environment, pool, skills, panel, loops.

One object is built once for a command and closed at its end; training and evaluation share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdar_cli.environments import build_environment
from sdar_cli.errors import SkillError
from sdar_cli.evaluation.conditions import in_words
from sdar_cli.evaluation.panel import Panel
from sdar_cli.evaluation.panel_files import find_panel
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.context import Context
from sdar_cli.rollout.loop import RolloutLoop
from sdar_cli.rollout.policies import Policy
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.bank import SkillBank, bank_for
from sdar_cli.skills.retrieval import Retriever, make_retriever
from sdar_cli.training.events import Listener
from sdar_envs.base import Environment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(slots=True)
class Workshop:
    """Use as a context manager: the pool's processes end with it."""

    recipe: Recipe
    environment: Environment
    pool: Pool
    bank: SkillBank
    retriever: Retriever

    @classmethod
    def open(cls, recipe: Recipe) -> Workshop:
        """Raises EnvironmentSetupError, SkillError or RecipeError for what the recipe asks and is not there."""
        if recipe.engine.threads is not None:
            import torch

            torch.set_num_threads(recipe.engine.threads)
        environment = build_environment(recipe.environment)
        bank = bank_for(recipe.skills, environment)
        _check_teacher(recipe, bank)
        pool = Pool(
            type(environment),
            environment.options,
            workers=recipe.environment.workers,
            timeout=recipe.environment.timeout,
            memory=recipe.environment.worker_memory,
        )
        return cls(recipe, environment, pool, bank, make_retriever(bank, recipe.skills, recipe.seed))

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *exc) -> None:
        self.pool.close()
        self.environment.close()

    def prepare(self, listener: Listener) -> None:
        """Let the environment make what its tasks need, with progress shown where that takes a while, and look for
        what its episodes need; then say what is there."""
        shown = False

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if not shown:
                listener.phase(f"preparing {self.environment.name}", total)
                shown = True
            listener.advance(done, total)

        self.environment.prepare(self.recipe.environment.workers, progress)
        self.environment.check()
        if facts := self.environment.facts():
            listener.message(f"{self.environment.name}: {in_words(facts)}")

    def panel(self) -> Panel:
        """The recipe's panel: its file, or drawn from its split; never a training task."""
        evaluation = self.recipe.evaluation
        if evaluation.panel is not None:
            panel = find_panel(evaluation.panel)
        else:
            panel = Panel.make(self.environment, evaluation.split, evaluation.tasks, evaluation.panel_seed)
        panel.check_disjoint(self.environment.tasks("train"))
        return panel

    def context(self, tokenizer: PreTrainedTokenizerBase) -> Context:
        """How the training policy reads: with skills if its method says so, and the teacher's prompt beside where one
        is needed."""
        rollout = self.recipe.rollout
        return Context(
            environment=self.environment,
            tokenizer=tokenizer,
            kind=rollout.context,
            window=rollout.history,
            max_prompt_tokens=rollout.max_prompt_tokens,
            placement=self.recipe.skills.placement,
            template_kwargs=dict(self.recipe.model.template_kwargs),
            policy_sees_skills=OBJECTIVES[self.recipe.method].skills_in_prompt,
            teacher=self.recipe.needs_teacher,
        )

    def loop(
        self,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        ends: set[int],
        context: Context,
        *,
        training: bool = True,
    ) -> RolloutLoop:
        """A loop that plays with a policy; only in training are skills corrupted (``skills.corrupt``)."""
        rollout = self.recipe.rollout
        return RolloutLoop(
            environment=self.environment,
            pool=self.pool,
            context=context,
            policy=policy,
            retriever=self.retriever if training else self.retriever.clean(),
            decode=lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
            ends=ends,
            max_turns=rollout.max_turns,
            penalise_inadmissible=rollout.penalise == "inadmissible",
            concurrency=self.recipe.engine.max_batch,
        )


def _check_teacher(recipe: Recipe, bank: SkillBank) -> None:
    if recipe.needs_teacher and not bank.skills:
        raise SkillError(
            f"the teacher has no skills (the bank {bank.name!r} is empty): set skills.bank to a folder of skills, or "
            "method=grpo"
        )
