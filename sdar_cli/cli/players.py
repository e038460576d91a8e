"""Who plays in ``sdar play``: a person at a terminal or a pipe, the environment's expert, a checkpoint."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sdar_cli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from sdar_cli.rollout.context import Context, Dialogue, Prompt
    from sdar_cli.rollout.policies import Policy
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.workshop import Workshop
    from sdar_envs.base import Environment, Observation, Task

LEAVE = ("quit", "exit")


@dataclass(frozen=True, slots=True)
class Move:
    """What a player does in a turn."""

    action: str | None
    """Sent to the environment; None: nothing is sent."""
    response: str = ""
    """The words around the action, of players that have some."""
    invalid: str | None = None
    """Why the response was invalid, or None."""


def tell(console: Console, text: str, style: str | None = None) -> None:
    """Show what a model, an environment or a person wrote: no letter of it is obeyed by the terminal."""
    console.print(visible(text), style=style, markup=False, emoji=False)


class Player(Protocol):
    ending: str
    """The stop reason when there is no next move."""
    typed: bool
    """Whether the move stands on the screen already."""

    def move(self, observation: Observation) -> Move | None:
        """The next move, or None when there is none."""


@dataclass(slots=True)
class Person:
    """Reads a line a turn from standard input, after showing what the environment would accept."""

    console: Console
    ending: ClassVar[str] = "left"
    typed: ClassVar[bool] = True

    def move(self, observation: Observation) -> Move | None:
        if observation.admissible:
            tell(self.console, " · ".join(observation.admissible), "dim")
        while True:
            self.console.print("> ", end="")
            line = _read_line()
            action = " ".join(line.split())
            if not line or not sys.stdin.isatty():
                tell(self.console, action)
            if not line or action.lower() in LEAVE:
                return None
            if action:
                return Move(action)


def _read_line() -> str:
    from sdar_cli.errors import UserError

    try:
        return sys.stdin.readline()
    except UnicodeDecodeError:
        raise UserError("standard input is not UTF-8 text: type the actions, or pipe plain text") from None


@dataclass(slots=True)
class Expert:
    """Plays the environment's own solution."""

    actions: list[str]
    position: int = 0
    ending: ClassVar[str] = "failure"
    typed: ClassVar[bool] = False

    @classmethod
    def of(cls, environment: Environment, task: Task) -> Expert:
        """Raises EnvironmentSetupError where the environment has no expert."""
        from sdar_cli.errors import EnvironmentSetupError

        actions = environment.expert(task)
        if actions is None:
            raise EnvironmentSetupError(f"environment '{environment.name}' has no expert: play without --expert")
        return cls(list(actions))

    def move(self, observation: Observation) -> Move | None:
        if self.position == len(self.actions):
            return None
        self.position += 1
        return Move(self.actions[self.position - 1])


@dataclass(slots=True)
class Checkpoint:
    """A model plays as it does in evaluation: the recipe's context, limits and sampling."""

    environment: Environment
    context: Context
    policy: Policy
    tokenizer: Any
    task: Task
    workshop: Workshop
    dialogue: Dialogue | None = None
    said: tuple[Prompt, list[int], str] | None = None
    """The last turn: prompt, response tokens, and what the history shows of it."""
    ending: ClassVar[str] = "context_full"
    typed: ClassVar[bool] = False

    @classmethod
    def load(
        cls, folder: str, workshop: Workshop, task: Task, *, skills: bool, run: RunFolder | None = None
    ) -> Checkpoint:
        """Load weights and tokenizer of a Hugging Face folder or id, which may be a run's; raises ModelError."""
        from sdar_cli.evaluation.evaluate import own_model
        from sdar_cli.models.load import check_vocabulary, load_model, load_tokenizer
        from sdar_cli.rollout.policies import HFPolicy

        recipe = workshop.recipe
        trust = recipe.model.trust_remote_code
        own = recipe.starts_from if run is None else own_model(run, folder)
        tokenizer = load_tokenizer(folder, trust_remote_code=trust, own=own)
        model = load_model(folder, trust_remote_code=trust, own=own)
        check_vocabulary(model, tokenizer)
        policy = HFPolicy(
            model,
            tokenizer,
            recipe.evaluation.sampling,
            max_response_tokens=recipe.rollout.max_response_tokens,
        )
        context = workshop.context(tokenizer).seen_by(skills=skills)
        return cls(workshop.environment, context, policy, tokenizer, task, workshop)

    def move(self, observation: Observation) -> Move | None:
        from sdar_envs.base import Invalid

        if self.dialogue is None:
            self.dialogue = self._open(observation)
        elif self.said is not None:
            prompt, ids, shown = self.said
            self.context.advance(self.dialogue, prompt, ids, shown, observation)
        prompt = self.context.prompt(self.dialogue)
        if prompt is None:
            return None
        ids = self.policy.generate([prompt.ids])[0].ids
        response = self.tokenizer.decode(ids, skip_special_tokens=True)
        parsed = self.context.environment.parse(response)
        if isinstance(parsed, Invalid):
            move = Move(parsed.fallback or None, response, parsed.reason)
        else:
            move = Move(parsed.text, response)
        self.said = prompt, ids, move.action if move.action is not None else f"(invalid: {move.invalid})"
        return move

    def _open(self, first: Observation) -> Dialogue:
        from sdar_cli.skills import render_block

        goal = self.context.environment.goal(self.task, first)
        found = self.workshop.retriever.clean().retrieve(task_type=self.task.task_type, text=goal, key=self.task.id)
        return self.context.open(self.task, first, render_block(found))
