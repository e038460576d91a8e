"""``sdar play``: a person, the expert or a checkpoint plays one episode, and one sees what happens.

Works through pipes as well: ``printf 'look\\nquit\\n' | sdar play household``.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.play_setting import setting_of
from sdar_cli.cli.render import JsonOption, RunsOption, print_json
from sdar_cli.cli.trust_option import TrustOption, announce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sdar_cli.cli.players import Move, Player
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.rollout.pool import Pool, SlotError
    from sdar_envs.base import Environment, Task

MOST_COMPARED = 10_000
"""Tasks of the largest split whose ids are offered for one that does not exist: comparing millions takes minutes."""


def play(
    environment: Annotated[
        str | None, typer.Argument(metavar="ENV", help="An environment: a name, or path/to/file.py:Class.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe or of ENV.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="A recipe: its environment, options and turn limit.")
    ] = None,
    expert: Annotated[bool, typer.Option("--expert", help="The environment's expert plays.")] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="RUN", help="A run plays; or a model, with --recipe."),
    ] = None,
    skills: Annotated[bool, typer.Option("--skills/--no-skills", help="The checkpoint reads the skills.")] = False,
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="The task, instead of a drawn one.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="The split that the task is drawn from.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Draws the task, and a checkpoint's words.")] = 0,
    data: Annotated[str | None, typer.Option("--data", metavar="PATH", help="The environment's data folder.")] = None,
    runs: RunsOption = None,
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Play one episode: type actions; Ctrl-D or 'quit' leaves.

    Usage: sdar play household
    """
    from rich.console import Console

    from sdar_cli.cli.players import Checkpoint, Expert, Person
    from sdar_cli.environments import build_environment
    from sdar_cli.errors import UserError
    from sdar_cli.rollout.pool import Pool

    if expert and checkpoint is not None:
        raise UserError("--expert and --checkpoint both say who plays: give one of them")
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    setting = setting_of(environment, overrides or [], recipe, checkpoint, data, runs)
    if setting.weights is not None and setting.recipe is not None:
        announce(setting.recipe, setting.weights)
    with ExitStack() as stack:
        prototype = build_environment(setting.section)
        stack.callback(prototype.close)
        chosen = _choose(prototype, task, split or setting.split, seed)
        pool = stack.enter_context(Pool(type(prototype), prototype.options, workers=1, timeout=setting.section.timeout))
        player: Player = Person(console)
        if expert:
            player = Expert.of(prototype, chosen)
        elif setting.weights is not None and setting.recipe is not None:
            from sdar_cli.determinism import seeded

            workshop = _workshop(setting.recipe, prototype, pool)
            player = Checkpoint.load(setting.weights, workshop, chosen, skills=skills, run=setting.run)
            stack.enter_context(seeded(seed))
        record = _episode(console, prototype, pool, chosen, player, setting.max_turns)
    if as_json:
        print_json(record)


def _workshop(recipe: Recipe, prototype: Environment, pool: Pool) -> Any:
    from sdar_cli.skills import bank_for, make_retriever
    from sdar_cli.workshop import Workshop

    bank = bank_for(recipe.skills, prototype)
    return Workshop(recipe, prototype, pool, bank, make_retriever(bank, recipe.skills, recipe.seed))


def _choose(prototype: Environment, task_id: str | None, split: str | None, seed: int) -> Task:
    """The task of this id, in ``split`` or any; or one drawn from ``split``, else from the last one."""
    import difflib
    import random

    from sdar_cli.errors import EnvironmentSetupError, PanelError
    from sdar_envs.base import LazyTasks

    splits = prototype.splits
    if split is not None and split not in splits:
        raise PanelError(f"environment '{prototype.name}' has no split '{split}': give one of {', '.join(splits)}")
    if task_id is None:
        tasks = prototype.tasks(split or splits[-1])
        if not tasks:
            raise PanelError(f"split '{split or splits[-1]}' holds no task: give another --split")
        return tasks[random.Random(seed).randrange(len(tasks))]
    known: list[str] = []
    for name in splits:
        try:
            tasks = prototype.tasks(name)
        except EnvironmentSetupError:
            if name == splits[0]:
                raise
            continue
        found = tasks.find(task_id) if isinstance(tasks, LazyTasks) else _find(tasks, task_id)
        if found is not None:
            return found
        if len(tasks) <= MOST_COMPARED:
            known += [task.id for task in tasks]
    near = difflib.get_close_matches(task_id, known, n=1, cutoff=0.3)
    remedy = f"did you mean '{near[0]}'?" if near else "leave --task out to have one drawn"
    raise PanelError(f"environment '{prototype.name}' has no task '{task_id}': {remedy}")


def _find(tasks: Sequence[Task], task_id: str) -> Task | None:
    return next((task for task in tasks if task.id == task_id), None)


def _episode(
    console: Console, prototype: Environment, pool: Pool, task: Task, player: Player, max_turns: int | None
) -> dict[str, Any]:
    """Play to the end, telling the story on ``console``; the record is what ``--json`` prints."""
    from sdar_cli.cli.players import tell
    from sdar_cli.rollout.answers import Guarded
    from sdar_cli.rollout.pool import SlotError

    observation = pool.reset({0: task})[0]
    if isinstance(observation, SlotError):
        raise _lost(task, observation)
    tale = _Tale(task.id, task.task_type, Guarded.of(prototype).goal(task, observation))
    tell(console, f"{task.id} ({task.task_type})", "bold")
    if tale.goal and tale.goal not in observation.text:
        tell(console, f"Task: {tale.goal}")
    tell(console, observation.text)
    while max_turns is None or len(tale.turns) < max_turns:
        move = player.move(observation)
        if move is None:
            tale.stop = player.ending
            break
        if not player.typed:
            tell(console, f"> {move.response or move.action}", "cyan")
        if move.invalid is not None:
            tell(console, f"(invalid: {move.invalid})")
        if move.action is None:
            tale.add(move, observation.text, 0.0)
            continue
        step = pool.step({0: move.action})[0]
        if isinstance(step, SlotError):
            raise _lost(task, step)
        observation = step.observation
        tale.add(move, observation.text, step.reward)
        tell(console, observation.text)
        if step.done:
            tale.won, tale.stop = step.won, "success" if step.won else "failure"
            break
    tell(console, tale.ending, "bold")
    return tale.record()


def _lost(task: Task, error: SlotError) -> Exception:
    from sdar_cli.errors import RunFailed

    return RunFailed(f"the episode of {task.id} was lost ({error.reason}): play again, or choose another --task")


_ENDINGS = {
    "success": "Won in",
    "failure": "Lost after",
    "left": "Left after",
    "max_turns": "Not solved in",
    "context_full": "The prompt was full after",
}


@dataclass(slots=True)
class _Tale:
    """What happened so far."""

    task: str
    task_type: str
    goal: str
    turns: list[dict[str, Any]] = field(default_factory=list)
    won: bool = False
    stop: str = "max_turns"
    reward: float = 0.0

    def add(self, move: Move, observation: str, reward: float) -> None:
        turn: dict[str, Any] = {"action": move.action, "observation": observation, "reward": reward}
        if move.response:
            turn["response"] = move.response
        if move.invalid is not None:
            turn["invalid"] = move.invalid
        self.turns.append(turn)
        self.reward += reward

    @property
    def ending(self) -> str:
        count = f"{len(self.turns)} turn{'' if len(self.turns) == 1 else 's'}"
        return f"{_ENDINGS[self.stop]} {count}, reward {self.reward:g}."

    def record(self) -> dict[str, Any]:
        facts = ("task", "task_type", "goal", "won", "stop", "reward")
        return {**{name: getattr(self, name) for name in facts}, "turns": self.turns}
