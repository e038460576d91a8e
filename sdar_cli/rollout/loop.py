"""The turn loop: many episodes at once, and work only for those that are live."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdar_cli.rollout.context import Context, Dialogue, Prompt
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.policies import Generation, Policy
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Environment, Invalid, Observation, Step, Task

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever


@dataclass(frozen=True, slots=True)
class Start:
    """One episode to play: episodes of a group share task and retrieved skills."""

    task: Task
    group: int = 0
    sample: int = 0


@dataclass(slots=True)
class Timing:
    """Seconds spent, added up over turns."""

    generation: float = 0.0
    environment: float = 0.0


@dataclass(slots=True)
class _Live:
    slot: int
    episode: Episode
    dialogue: Dialogue | None = None
    prompt: Prompt | None = None


@dataclass(slots=True)
class RolloutLoop:
    """Plays episodes to their end. Holds no state between calls but the pool's slots."""

    environment: Environment
    pool: Pool
    context: Context
    policy: Policy
    retriever: Retriever
    decode: Callable[[list[int]], str]
    """Response tokens → text, special tokens dropped."""
    ends: set[int]
    max_turns: int
    penalise_inadmissible: bool = False
    concurrency: int = 512
    """Most episodes that are live at once."""
    on_turn: Callable[[int, int], None] | None = None
    """Called after every turn with the finished and the total number of episodes."""
    timing: Timing = field(default_factory=Timing)

    def play(self, starts: Sequence[Start]) -> list[Episode]:
        """One episode for each start, in their order; none is lost, whatever the environment does."""
        episodes: list[Episode] = []
        for first in range(0, len(starts), self.concurrency):
            episodes += self._batch(starts[first : first + self.concurrency], len(episodes), len(starts))
        return episodes

    def _batch(self, starts: Sequence[Start], before: int, total: int) -> list[Episode]:
        live = self._reset(starts)
        episodes = [item.episode for item in live]
        live = [item for item in live if item.dialogue is not None]
        for index in range(self.max_turns):
            live = [item for item in live if self._write_prompt(item)]
            if not live:
                break
            clock = time.perf_counter()
            generations = self.policy.generate([item.prompt.ids for item in live])
            self.timing.generation += time.perf_counter() - clock
            clock = time.perf_counter()
            live = self._step(index, live, generations)
            self.timing.environment += time.perf_counter() - clock
            if self.on_turn:
                self.on_turn(before + len(episodes) - len(live), total)
        self.pool.release(range(len(episodes)))
        return episodes

    def _reset(self, starts: Sequence[Start]) -> list[_Live]:
        clock = time.perf_counter()
        live = [_Live(slot, Episode(s.task, s.task.goal, s.group, s.sample)) for slot, s in enumerate(starts)]
        first = self.pool.reset({item.slot: item.episode.task for item in live})
        for item in live:
            self._open(item, first[item.slot])
        self.timing.environment += time.perf_counter() - clock
        return live

    def _open(self, item: _Live, observation: Observation | SlotError) -> None:
        from sdar_cli.skills.block import render_block

        episode = item.episode
        if isinstance(observation, SlotError):
            _fail(episode, observation)
            return
        episode.goal = self.environment.goal(episode.task, observation)
        found = self.retriever.retrieve(task_type=episode.task.task_type, text=episode.goal, key=episode.task.id)
        episode.skills = tuple(skill.name for skill in found.skills)
        episode.has_task_skill = found.has_task_skill
        item.dialogue = self.context.open(episode.task, observation, render_block(found))

    def _write_prompt(self, item: _Live) -> bool:
        item.prompt = self.context.prompt(item.dialogue)
        if item.prompt is None:
            item.episode.stop = StopReason.CONTEXT_FULL
        return item.prompt is not None

    def _step(self, index: int, live: list[_Live], generations: Sequence[Generation]) -> list[_Live]:
        turns = {item.slot: self._turn(index, item, g) for item, g in zip(live, generations, strict=True)}
        answers = self.pool.step({slot: turn.action for slot, turn in turns.items() if turn.action is not None})
        return [item for item in live if self._record(item, turns[item.slot], answers.get(item.slot))]

    def _turn(self, index: int, item: _Live, generation: Generation) -> Turn:
        response = self.decode(generation.ids)
        parsed = self.environment.parse(response)
        if isinstance(parsed, Invalid):
            action, invalid = parsed.fallback or None, parsed.reason
        else:
            action, invalid = parsed.text, None
            admissible = item.dialogue.observation.admissible
            if self.penalise_inadmissible and admissible and action not in admissible:
                invalid = "not admissible"
        return Turn(
            index=index,
            prompt_ids=item.prompt.ids,
            teacher_prompt_ids=item.prompt.teacher_ids,
            response_ids=generation.ids,
            logprobs=generation.logprobs,
            prompt_text=item.prompt.text,
            response=response,
            action=action,
            invalid=invalid,
            observation="",
            reward=0.0,
            truncated=not generation.ids or generation.ids[-1] not in self.ends,
        )

    def _record(self, item: _Live, turn: Turn, answer: Step | SlotError | None) -> bool:
        """Write the turn down; True while the episode goes on."""
        episode = item.episode
        episode.turns.append(turn)
        if isinstance(answer, Step) and not (math.isfinite(answer.reward) and math.isfinite(answer.score)):
            answer = SlotError(f"the environment gave the reward {answer.reward} and the score {answer.score}")
        if isinstance(answer, SlotError):
            _fail(episode, answer)
            return False
        observation = item.dialogue.observation if answer is None else answer.observation
        turn.observation = observation.text
        if answer is not None:
            turn.reward = answer.reward
            episode.reward += answer.reward
            episode.won, episode.score = answer.won, answer.score
            if answer.done:
                episode.stop = StopReason.SUCCESS if answer.won else StopReason.FAILURE
                return False
        shown = turn.action if turn.action is not None else f"(invalid: {turn.invalid})"
        self.context.advance(item.dialogue, item.prompt, turn.response_ids, shown, observation)
        return True


def _fail(episode: Episode, error: SlotError) -> None:
    episode.stop, episode.error = StopReason.ENVIRONMENT_ERROR, error.reason
