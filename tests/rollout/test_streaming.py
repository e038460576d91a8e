"""No barrier a turn: an episode goes on as soon as its own answer is there, whatever the others wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import BANK, Counter, context, tokenizer

from sdar_cli.recipe.schema import Skills
from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.loop import RolloutLoop, Start
from sdar_cli.rollout.policies import Generation, Streaming
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.retrieval import make_retriever
from sdar_envs.base import Options, Step

AGES = 60.0
MADE = tokenizer()
TASKS = Counter(Options()).tasks("train")
"""One to four turns long."""


class Engine:
    """Answers in an order of the test's choosing: ``choose`` picks one of the episodes that wait."""

    def __init__(self, choose, reply=lambda episode, turn: "go") -> None:
        self.choose, self.reply = choose, reply
        self.waiting: dict[int, int] = {}
        self.log: list[tuple[str, int, int]] = []
        self.dropped = False

    def generate(self, prompts):
        raise AssertionError("it streams")

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        assert episode not in self.waiting
        self.waiting[episode] = turn
        self.log.append(("asked", episode, turn))

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        chosen = self.choose(self.waiting, seconds)
        if chosen is None:
            return []
        turn = self.waiting.pop(chosen)
        self.log.append(("answered", chosen, turn))
        ids = MADE(self.reply(chosen, turn), add_special_tokens=False)["input_ids"]
        return [(chosen, Generation([*ids, MADE.eos_token_id]))]

    def drop(self) -> None:
        self.waiting, self.dropped = {}, True


def made(engine: Engine, pool: Pool, **about) -> RolloutLoop:
    environment = Counter(Options())
    return RolloutLoop(
        environment=environment,
        pool=pool,
        context=context(MADE, environment=environment),
        policy=engine,
        retriever=make_retriever(BANK, Skills(), 0),
        decode=lambda ids: MADE.decode(ids, skip_special_tokens=True),
        ends={MADE.eos_token_id},
        max_turns=6,
        **about,
    )


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(Counter, Options(), workers=1, timeout=AGES) as opened:
        yield opened


def starts(tasks=TASKS) -> list[Start]:
    return [Start(task, group) for group, task in enumerate(tasks)]


def test_what_streams_is_known_by_its_methods() -> None:
    assert isinstance(Engine(None), Streaming)
    assert not isinstance(object(), Streaming)


def test_a_fast_episode_ends_while_a_slow_answer_is_pending(pool: Pool) -> None:
    """The slowest is episode 0, whose one answer comes when all others are over."""
    engine = Engine(lambda waiting, _: max(waiting))
    turns: list[tuple[int, int]] = []
    loop = made(engine, pool, on_turn=lambda done, total: turns.append((done, total)))
    episodes = loop.play(starts())
    assert [e.stop for e in episodes] == [StopReason.SUCCESS] * 4
    assert [len(e.turns) for e in episodes] == [1, 2, 3, 4], "in the order of their starts"
    answered = [(episode, turn) for what, episode, turn in engine.log if what == "answered"]
    assert answered[:4] == [(3, 0), (3, 1), (3, 2), (3, 3)] and answered[-1] == (0, 0)
    assert turns[3] == (1, 4) and turns[-1] == (4, 4) and len(turns) == 10


class Gated(Counter):
    """The task of one turn waits in its environment until somebody opens the gate."""

    isolation = "thread"
    gate = threading.Event()

    def step(self, action: str) -> Step:
        if self.left == 1 and self.first == 1:
            assert self.gate.wait(AGES)
        return super().step(action)

    def reset(self, task):
        self.first = task.data["n"]
        return super().reset(task)


def test_environments_step_while_others_are_answered() -> None:
    Gated.gate.clear()
    engine = Engine(lambda waiting, _: min(waiting, default=None))

    def open_when_the_others_are_over(done: int, total: int) -> None:
        if done == total - 1:
            Gated.gate.set()

    with Pool(Gated, Options(), workers=2, timeout=AGES) as pool:
        loop = made(engine, pool, on_turn=open_when_the_others_are_over)
        episodes = loop.play(starts())
    assert [len(e.turns) for e in episodes] == [1, 2, 3, 4]
    assert all(e.won for e in episodes)
    assert engine.log.index(("answered", 0, 0)) < engine.log.index(("answered", 3, 3)), "it was answered first"


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_of_answers_gives_the_same_episodes(random, concurrency: int) -> None:
    """Replies are a function of episode and turn: so must be what is played."""
    replies = {0: ["", "go"], 1: ["go", "mumble"], 2: ["bad"], 3: ["go", "crash"], 5: ["nan"]}

    def reply(episode: int, turn: int) -> str:
        own = replies.get(episode, ["go"])
        return own[min(turn, len(own) - 1)]

    def play(choose):
        with Pool(Counter, Options(), workers=1, timeout=AGES) as pool:
            engine = Engine(choose, reply)
            return made(engine, pool, concurrency=concurrency).play(starts([*TASKS, *TASKS])), engine

    episodes, engine = play(lambda waiting, _: random.choice(sorted(waiting)))
    calm, _ = play(lambda waiting, _: min(waiting))
    assert episodes == calm and not engine.dropped
    asked = [(episode, turn) for what, episode, turn in engine.log if what == "asked"]
    assert len(asked) == len(set(asked)) == sum(len(e.turns) for e in episodes)
    assert [e.stop for e in episodes[:4]] == [
        StopReason.SUCCESS,
        StopReason.SUCCESS,
        StopReason.FAILURE,
        StopReason.ENVIRONMENT_ERROR,
    ]


def test_a_prompt_that_does_not_fit_ends_its_episode_alone(pool: Pool) -> None:
    engine = Engine(lambda waiting, _: max(waiting))
    loop = made(engine, pool)
    prompt = type(loop.context).prompt

    def limit(own, dialogue):
        return None if len(dialogue.exchanges) == 2 else prompt(own, dialogue)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(loop.context), "prompt", limit)
        episodes = loop.play(starts())
    assert [e.stop for e in episodes] == [StopReason.SUCCESS] * 2 + [StopReason.CONTEXT_FULL] * 2
    assert [len(e.turns) for e in episodes] == [1, 2, 2, 2]


def test_an_error_leaves_nothing_under_way() -> None:
    """A policy that breaks while an environment is at work: the next rollout finds both idle."""
    Gated.gate.clear()

    def breaks(waiting, _):
        if 0 in waiting:
            return 0
        raise RuntimeError("no more")

    with Pool(Gated, Options(), workers=2, timeout=AGES) as pool:
        engine = Engine(breaks)
        with pytest.raises(RuntimeError, match="no more"):
            made(engine, pool).play(starts())
        assert engine.dropped and pool.take(0.0) == {}
        Gated.gate.set()
        again = made(Engine(lambda waiting, _: min(waiting, default=None)), pool).play(starts())
    assert [len(e.turns) for e in again] == [1, 2, 3, 4]
