"""The turn loop: many episodes at once, and work only for those that are live.

A policy that streams (``policies.Streaming``) answers some episodes while environments step others, and none waits
for the slowest of a turn. Any other gets the prompts of a turn at once, when every environment has stepped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdar_cli.rollout.answers import Guarded, Lost
from sdar_cli.rollout.context import Context, Dialogue, Prompt
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.policies import ByTurn, Generation, Policy, Streaming
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Environment, Invalid, Observation, Step, Task

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever


TICK = 0.005
"""Seconds for which the policy is waited for while an environment may answer too."""


@dataclass(frozen=True, slots=True)
class Start:
    """One episode to play: episodes of a group share task and retrieved skills."""

    task: Task
    group: int = 0
    sample: int = 0


@dataclass(slots=True)
class Timing:
    """Seconds that the loop spent on each: environments at work while it waits for the policy cost none."""

    generation: float = 0.0
    environment: float = 0.0
    slow: int = 0
    """How many operations of environments took more than half of their timeout."""


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
    """Called as turns end, with the finished and the total number of episodes."""
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        self.environment = Guarded.of(self.environment)

    def play(self, starts: Sequence[Start]) -> list[Episode]:
        """One episode for each start, in their order; none is lost, whatever the environment does."""
        episodes: list[Episode] = []
        for first in range(0, len(starts), self.concurrency):
            episodes += self._batch(starts[first : first + self.concurrency], len(episodes), len(starts))
        return episodes

    def _batch(self, starts: Sequence[Start], before: int, total: int) -> list[Episode]:
        slow = self.pool.slow
        opened = self._reset(starts)
        policy = self.policy if isinstance(self.policy, Streaming) else ByTurn(self.policy)
        live = {before + item.slot: item for item in opened if item.dialogue is not None}
        acting: dict[int, Turn] = {}
        try:
            self._ask(policy, live, list(live))
            while live:
                ended = self._listen(policy, live, acting)
                ended += self._watch(live, acting, by_turn=isinstance(policy, ByTurn))
                self._ask(policy, live, [number for number in ended if number in live])
                if self.on_turn and ended:
                    self.on_turn(before + len(opened) - len(live), total)
        except BaseException:
            policy.drop()
            self.pool.drop()
            raise
        self.pool.release(range(len(opened)))
        self.timing.slow += self.pool.slow - slow
        return [item.episode for item in opened]

    def _ask(self, policy: Streaming, live: dict[int, _Live], numbers: list[int]) -> None:
        """Ask for these episodes' next answers; one whose prompt does not fit, or cannot be had, is over."""
        for number in numbers:
            item = live[number]
            try:
                item.prompt = self.context.prompt(item.dialogue)
            except Lost as error:
                _fail(item.episode, error)
                del live[number]
                continue
            if item.prompt is None:
                item.episode.stop = StopReason.CONTEXT_FULL
                del live[number]
                continue
            clock = time.perf_counter()
            policy.submit(number, len(item.episode.turns), item.prompt.ids)
            self.timing.generation += time.perf_counter() - clock

    def _listen(self, policy: Streaming, live: dict[int, _Live], acting: dict[int, Turn]) -> list[int]:
        """Send the actions of the answers that came to their environments.

        Returns the episodes whose turn is over without any. ``acting`` holds the turns that environments are at; the
        other live episodes wait for the policy.
        """
        if len(acting) == len(live):
            return []
        clock = time.perf_counter()
        answers = policy.take(TICK if acting else None)
        self.timing.generation += time.perf_counter() - clock
        turns: dict[int, Turn] = {}
        ended: dict[int, SlotError | None] = {}
        for number, generation in answers:
            turns[number], failure = self._turn(live[number], generation)
            if failure is not None or turns[number].action is None:
                ended[number] = failure
        sent = {number: turn for number, turn in turns.items() if number not in ended}
        clock = time.perf_counter()
        self.pool.submit({live[number].slot: turn.action for number, turn in sent.items()})
        self.timing.environment += time.perf_counter() - clock
        acting |= sent
        for number, failure in ended.items():
            self._end_turn(live, number, turns[number], failure)
        return list(ended)

    def _watch(self, live: dict[int, _Live], acting: dict[int, Turn], *, by_turn: bool) -> list[int]:
        """Record the steps that environments have done, by turn all of them; returns their episodes."""
        if not acting:
            return []
        clock = time.perf_counter()
        patience = None if len(acting) == len(live) else 0.0
        answers = self.pool.wait() if by_turn else self.pool.take(patience)
        self.timing.environment += time.perf_counter() - clock
        numbers = {live[number].slot: number for number in acting}
        for slot, answer in answers.items():
            self._end_turn(live, numbers[slot], acting.pop(numbers[slot]), answer)
        return [numbers[slot] for slot in answers]

    def _end_turn(self, live: dict[int, _Live], number: int, turn: Turn, answer: Step | SlotError | None) -> None:
        goes_on = self._record(live[number], turn, answer)
        if not goes_on or len(live[number].episode.turns) == self.max_turns:
            del live[number]

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
        try:
            episode.goal = self.environment.goal(episode.task, observation)
        except Lost as error:
            _fail(episode, error)
            return
        found = self.retriever.retrieve(task_type=episode.task.task_type, text=episode.goal, key=episode.task.id)
        episode.skills = tuple(skill.name for skill in found.skills)
        episode.has_task_skill = found.has_task_skill
        item.dialogue = self.context.open(episode.task, observation, render_block(found))

    def _turn(self, item: _Live, generation: Generation) -> tuple[Turn, SlotError | None]:
        """The turn so far, and why the episode ends with it where its response cannot be parsed."""
        response = self.decode(generation.ids)
        failure, invalid = None, None
        try:
            parsed = self.environment.parse(response)
        except Lost as error:
            failure, action = SlotError(error.reason), None
        else:
            if isinstance(parsed, Invalid):
                action, invalid = parsed.fallback or None, parsed.reason
            else:
                action, admissible = parsed.text, item.dialogue.observation.admissible
                if self.penalise_inadmissible and admissible and action not in admissible:
                    invalid = "not admissible"
        turn = Turn(
            index=len(item.episode.turns),
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
        return turn, failure

    def _record(self, item: _Live, turn: Turn, answer: Step | SlotError | None) -> bool:
        """Write the turn down; True while the episode goes on."""
        episode = item.episode
        episode.turns.append(turn)
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


def _fail(episode: Episode, error: SlotError | Lost) -> None:
    episode.stop, episode.error = StopReason.ENVIRONMENT_ERROR, error.reason
