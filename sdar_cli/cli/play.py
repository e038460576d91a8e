"""``sdar play``: a person, the expert or a checkpoint plays one episode, and one sees what happens.

Works through pipes as well: ``printf 'go to kettle\\n' | sdar play household``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from sdar_cli.recipe.schema import EnvironmentSection, Recipe
    from sdar_cli.rollout.pool import Pool
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


class Player(Protocol):
    def move(self, observation: Observation) -> Move | None:
        """The next move, or None to leave."""


def play(
    environment: Annotated[
        str | None, typer.Argument(metavar="ENV", help="An environment, by name or file.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides of the recipe.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="A recipe: its environment and options.")
    ] = None,
    expert: Annotated[bool, typer.Option("--expert", help="The environment's expert plays.")] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="RUN", help="A run, or a Hugging Face folder, plays."),
    ] = None,
    skills: Annotated[
        bool, typer.Option("--skills/--no-skills", help="A checkpoint reads the skills.")
    ] = False,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="The task; else one drawn by --seed.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Where the task is drawn from.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Draws the task, and a checkpoint's words.")] = 0,
    data: Annotated[str | None, typer.Option("--data", help="The environment's data folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the episode as JSON at the end.")] = False,
) -> None:
    """Play one episode: type actions; Ctrl-D or 'quit' leaves.

    Usage: sdar play household
    """
    import json

    from rich.console import Console

    from sdar_cli.environments import build_environment
    from sdar_cli.rollout.pool import Pool

    console = Console(stderr=as_json, highlight=False)
    setting = _setting(environment, overrides or [], recipe, checkpoint, data)
    prototype = build_environment(setting.section)
    chosen = _choose(prototype, task, split or setting.split, seed)
    timeout = setting.section.timeout
    with Pool(type(prototype), prototype.options, workers=1, timeout=timeout) as pool:
        player: Player
        if checkpoint is not None:
            player = _checkpoint_player(setting, prototype, chosen, skills=skills, seed=seed)
        elif expert:
            player = ExpertPlayer(_expert_actions(prototype, chosen))
        else:
            player = Person(console)
        record = _episode(console, prototype, pool, chosen, player, setting.max_turns)
    if as_json:
        print(json.dumps(record, indent=2, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the episode takes place."""

    section: EnvironmentSection
    split: str | None = None
    max_turns: int | None = None
    """None: until the environment ends it, or the player leaves."""
    recipe: Recipe | None = None
    weights: Path | None = None


def _setting(
    environment: str | None,
    overrides: list[str],
    recipe: str | None,
    checkpoint: str | None,
    data: str | None,
) -> Setting:
    from sdar_cli.errors import RecipeError
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.recipe.schema import EnvironmentSection

    if environment is not None and "=" in environment:
        overrides, environment = [environment, *overrides], None
    if environment is not None and recipe is not None:
        raise RecipeError(
            f"both the environment {environment!r} and --recipe {recipe!r} are given: leave one out"
        )
    options = {} if data is None else {"environment.options.data": ("--data", data)}
    if environment is not None:
        if overrides:
            raise RecipeError(
                f"{overrides[0]!r} overrides a recipe and none is given: use --recipe instead of ENV"
            )
        return Setting(EnvironmentSection(name=environment, options={} if data is None else {"data": data}))
    if recipe is None:
        raise RecipeError("what to play is unclear: give an environment, for example household, or --recipe")
    resolved = load_recipe(recipe, [], overrides, options).recipe
    return Setting(resolved.environment, resolved.evaluation.split, resolved.rollout.max_turns, resolved)


def _choose(prototype: Environment, task_id: str | None, split: str | None, seed: int) -> Task:
    """The task of this id in any split, or one drawn from ``split`` (else the last one)."""
    import difflib
    import random

    from sdar_cli.errors import EnvironmentSetupError, PanelError

    splits = prototype.splits
    if split is not None and split not in splits:
        raise PanelError(
            f"environment '{prototype.name}' has no split '{split}': give one of {', '.join(splits)}"
        )
    if task_id is None:
        tasks = prototype.tasks(split or splits[-1])
        if not tasks:
            raise PanelError(f"split '{split or splits[-1]}' holds no task: give another --split")
        return tasks[random.Random(seed).randrange(len(tasks))]
    known: list[str] = []
    for name in (split,) if split else splits:
        try:
            tasks = prototype.tasks(name)
        except EnvironmentSetupError:
            if name == splits[0] or split:
                raise
            continue
        for task in tasks:
            if task.id == task_id:
                return task
        known += [task.id for task in tasks]
    near = difflib.get_close_matches(task_id, known, n=1, cutoff=0.3)
    remedy = f"did you mean '{near[0]}'?" if near else "leave --task out to have one drawn"
    raise PanelError(f"environment '{prototype.name}' has no task '{task_id}': {remedy}")


def _expert_actions(prototype: Environment, task: Task) -> list[str]:
    from sdar_cli.errors import EnvironmentSetupError

    actions = prototype.expert(task)
    if actions is None:
        raise EnvironmentSetupError(
            f"environment '{prototype.name}' has no expert: leave --expert out and play"
        )
    return list(actions)


@dataclass(slots=True)
class ExpertPlayer:
    actions: list[str]
    position: int = 0

    def move(self, observation: Observation) -> Move | None:
        if self.position == len(self.actions):
            return None
        self.position += 1
        return Move(self.actions[self.position - 1])


@dataclass(slots=True)
class Person:
    """Reads a line a turn from standard input, after showing what the environment would accept."""

    console: Console

    def move(self, observation: Observation) -> Move | None:
        if observation.admissible:
            self.console.print(" · ".join(observation.admissible), style="dim", markup=False)
        while True:
            self.console.print("> ", end="")
            line = sys.stdin.readline()
            words = " ".join(line.split())
            if not sys.stdin.isatty():
                self.console.print(words, markup=False)
            if not line or words.lower() in LEAVE:
                return None
            if words:
                return Move(words)


def _episode(
    console: Console, prototype: Environment, pool: Pool, task: Task, player: Player, max_turns: int | None
) -> dict[str, Any]:
    """Play to the end, telling the story on ``console``; the record is what ``--json`` prints."""
    from sdar_cli.rollout.pool import SlotError

    first = pool.reset({0: task})[0]
    if isinstance(first, SlotError):
        raise _lost(task, first)
    tale = _Tale(task.id, task.task_type, prototype.goal(task, first))
    console.print(f"{task.id} ({task.task_type})", style="bold", markup=False)
    if tale.goal and tale.goal not in first.text:
        console.print(f"Task: {tale.goal}", markup=False)
    console.print(first.text, markup=False)
    observation = first
    while max_turns is None or len(tale.turns) < max_turns:
        move = player.move(observation)
        if move is None:
            tale.stop = "left" if isinstance(player, Person) else "failure"
            break
        if not isinstance(player, Person):
            console.print(f"> {move.response or move.action}", style="cyan", markup=False)
        if move.action is None:
            tale.add(move, observation.text, 0.0)
            console.print(f"(invalid: {move.invalid})", markup=False)
            continue
        step = pool.step({0: move.action})[0]
        if isinstance(step, SlotError):
            raise _lost(task, step)
        observation = step.observation
        tale.add(move, observation.text, step.reward)
        console.print(observation.text, markup=False)
        if step.done:
            tale.won, tale.stop = step.won, "success" if step.won else "failure"
            break
    console.print(tale.ending, style="bold")
    return tale.record()


def _lost(task: Task, error: Any) -> Exception:
    from sdar_cli.errors import RunFailed

    return RunFailed(
        f"the episode of {task.id} was lost ({error.reason}): play again, or choose another --task"
    )


@dataclass(slots=True)
class _Tale:
    task: str
    task_type: str
    goal: str
    turns: list[dict[str, Any]] = field(default_factory=list)
    won: bool = False
    stop: str = "max_turns"
    reward: float = 0.0

    def add(self, move: Move, observation: str, reward: float) -> None:
        turn = {"action": move.action, "observation": observation, "reward": reward}
        if move.response:
            turn["response"] = move.response
        if move.invalid is not None:
            turn["invalid"] = move.invalid
        self.turns.append(turn)
        self.reward += reward

    @property
    def ending(self) -> str:
        count = f"{len(self.turns)} turn{'' if len(self.turns) == 1 else 's'}"
        told = {
            "success": "Won in",
            "failure": "Lost after",
            "left": "Left after",
            "max_turns": "Not solved in",
        }
        return f"{told[self.stop]} {count}, reward {self.reward:g}."

    def record(self) -> dict[str, Any]:
        facts = ("task", "task_type", "goal", "won", "stop", "reward")
        return {**{name: getattr(self, name) for name in facts}, "turns": self.turns}
