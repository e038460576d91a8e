"""Episodes of a given length: random admissible commands in the real environment, told under either context.

What is seen is what a policy would see. A response is the command in its tags, with so many words of thought before
it. Commands that could decide the task are left out, so that episodes last; one that ends all the same ends there.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sdar_cli.rollout.episode import Episode, Turn
from sdar_cli.rollout.pool import SlotError
from sdar_cli.skills.block import render_block
from sdar_cli.workshop import Workshop
from sdar_envs.base import Exchange, Observation, Step, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HARMLESS = ("look", "take", "put", "go", "open", "close", "examine", "inventory", "move")
"""First words of commands that seldom decide anything."""


@dataclass(slots=True)
class Walk:
    task: Task
    first: Observation
    exchanges: list[Exchange]
    last: Observation


def wander(workshop: Workshop, tasks: Sequence[Task], turns: int, seed: int) -> list[Walk]:
    """One walk for each task, in their order."""
    first = workshop.pool.reset(dict(enumerate(tasks)))
    walks = [Walk(task, sound(first[slot]), [], sound(first[slot])) for slot, task in enumerate(tasks)]
    choosers = [random.Random(f"{seed}/{slot}") for slot in first]
    live = set(first)
    for _ in range(turns):
        chosen = {
            slot: choosers[slot].choice([c for c in walks[slot].last.admissible if c.split()[0] in HARMLESS])
            for slot in sorted(live)
        }
        for slot, answer in workshop.pool.step(chosen).items():
            step: Step = sound(answer)
            walks[slot].exchanges.append(Exchange(walks[slot].last, chosen[slot]))
            walks[slot].last = step.observation
            if step.done:
                live.discard(slot)
    workshop.pool.release(range(len(tasks)))
    return walks


def sound(answer):
    if isinstance(answer, SlotError):
        raise SystemExit(f"the environment was lost: {answer.reason}")
    return answer


def tell(
    workshop: Workshop,
    tokenizer: PreTrainedTokenizerBase,
    walks: Sequence[Walk],
    *,
    kind: str,
    turns: int,
    group: int,
    thought: int = 0,
) -> list[Episode]:
    """The first ``turns`` of the walks that last so long, as episodes under one context, with the teacher's prompts.

    ``group``: walks on each task. Every second episode is given the reward.
    """
    context = replace(workshop.context(tokenizer), kind=kind, max_prompt_tokens=1_000_000)
    episodes = []
    for number, walk in enumerate(walks):
        if len(walk.exchanges) < turns:
            continue
        goal = workshop.environment.goal(walk.task, walk.first)
        episode = Episode(walk.task, goal, number // group, number % group)
        episode.won, episode.reward = bool(number % 2), 10.0 * (number % 2)
        key = walk.task.id
        retrieved = workshop.retriever.retrieve(task_type=walk.task.task_type, text=episode.goal, key=key)
        dialogue = context.open(walk.task, walk.first, render_block(retrieved))
        after = [*(past.observation for past in walk.exchanges[1:]), walk.last]
        for index, (exchange, seen) in enumerate(zip(walk.exchanges[:turns], after[:turns], strict=True)):
            prompt = context.prompt(dialogue)
            assert prompt is not None, "rollout.max_prompt_tokens is too low"
            text = f"<think>{' the' * thought}</think>" if thought else ""
            text += f"<action>{exchange.action}</action>"
            ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            turn = Turn(index, prompt.ids, prompt.teacher_ids, ids, None, "", text, exchange.action, None, "", 0.0)
            episode.turns.append(turn)
            context.advance(dialogue, prompt, ids, exchange.action, seen)
        episodes.append(episode)
    return episodes
