"""Nothing that a model says ends a run: every episode ends for a reason, and what was said is kept as it was."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from functools import cache

import pytest
from garbage_episode import check_episode
from garbage_payloads import PUMPS
from garbage_speech import CLASSES, MANY, PROTOCOLS, SMALL, Played, byte_tokenizer, spoken
from harness import COUNT

from sdar_cli.environments import build_environment
from sdar_cli.evaluation.token_texts import token_texts
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_cli.rollout.episode import StopReason
from sdar_cli.rollout.special_tokens import breaker
from sdar_cli.tracking.traces import build_trace
from sdar_cli.visible import visible
from sdar_envs.base import Action, Invalid

EPISODES = max(len(CLASSES), COUNT)


@cache
def played(name: str, kind: str) -> Played:
    if name == "alfworld":
        pytest.importorskip("textworld", reason="the alfworld extra is not installed")
    return spoken(name, kind, EPISODES)


@pytest.mark.parametrize("kind", ["window", "full"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_run_is_lost(name: str, kind: str) -> None:
    told = played(name, kind)
    assert len(told.episodes) == EPISODES
    for episode, klass, script in zip(told.episodes, told.classes, told.script, strict=True):
        check_episode(episode, klass, script)
    assert {episode.stop for episode in told.episodes} >= {StopReason.MAX_TURNS}


@pytest.mark.parametrize("kind", ["window", "full"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_traces_are_whole(name: str, kind: str) -> None:
    for place, episode in enumerate(played(name, kind).episodes):
        trace = build_trace(episode, run="a" * 32, step=1, mode="no_skills", position=place)
        json.dumps(trace, allow_nan=False).encode()
        said = [json.loads(span["attributes"]["mlflow.spanOutputs"]) for span in trace["spans"][1:]]
        assert said == [turn.response for turn in episode.turns]


def test_tokens_add_up_to_what_was_said() -> None:
    told = played("household", "full")
    for episode in told.episodes:
        for turn in episode.turns:
            if len(turn.response_ids) <= 5000:
                texts = token_texts(turn.response_ids, told.decode, turn.response)
                assert len(texts) == len(turn.response_ids) and "".join(texts) == turn.response


# -- time ---------------------------------------------------------------------------------------------

LETTERS = 60_000 if MANY else 20_000
RATIO = 3.4
"""Twice the text may take so many times as long: far above 2, whatever else the machine does, and far below 4."""


def seconds(work: Callable[[str], object], text: str) -> float:
    """Of the processor, the least of some tries."""
    found = []
    gc.disable()
    try:
        for _ in range(4):
            clock = time.process_time()
            for _ in range(3):
                work(text)
            found.append(time.process_time() - clock)
    finally:
        gc.enable()
    return min(found)


def is_linear(work: Callable[[str], object], once: str) -> bool:
    """Whether twice the text takes about twice as long; what takes a few milliseconds anyhow is."""
    count = max(1, LETTERS // len(once))
    if seconds(work, once * 2 * count) < 0.02:
        return True
    return any(seconds(work, once * 2 * count) <= RATIO * seconds(work, once * count) for _ in range(4))


PIECES = (
    *PUMPS,
    "</think>",
    "<think></think>",
    "</action>",
    "<search>",
    "</answer>",
    "<answer>",
    "<a",
    "\n",
    "İ",
    "\u0301",
)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_parsing_takes_time_by_the_letter(name: str) -> None:
    environment = build_environment(EnvironmentSection(name=name, options=SMALL[name]))
    for piece in PIECES if MANY else PIECES[list(PROTOCOLS).index(name) :: 4]:
        assert is_linear(environment.parse, piece), piece
        own = PROTOCOLS[name]
        assert is_linear(lambda text, own=own: environment.parse(own.wrap(text)), piece), f"wrapped {piece}"
        if name == "webshop":
            assert is_linear(lambda text, own=own: environment.parse(own.wrap(f"search[{text}]")), piece), piece
            assert is_linear(lambda text, own=own: environment.parse(own.wrap(f"click[{text}")), piece), piece


def test_what_is_made_of_texts_takes_time_by_the_letter() -> None:
    broken, made = breaker(byte_tokenizer()), byte_tokenizer()
    for piece in ("<", "<|", "<|im_", "<|im_start|>", "<|im_start", "\x1b", "a"):
        assert is_linear(broken, piece), piece
        assert is_linear(visible, piece), piece

    def tokens(text: str) -> object:
        ids = made(text, add_special_tokens=False)["input_ids"][:5000]
        return token_texts(ids, lambda some: made.decode(some, skip_special_tokens=True), text[:5000])

    assert is_linear(tokens, "a")


def test_every_letter_reads_as_an_action_or_a_reason() -> None:
    """Each character of Unicode in a tag's place, in one text after another."""
    environments = [build_environment(EnvironmentSection(name=name, options=SMALL[name])) for name in PROTOCOLS]
    for number in (
        *range(0x300),
        0x130,
        0x131,
        0x17F,
        0x212A,
        *range(0x2000, 0x2100),
        0xFEFF,
        0xFFFD,
        0x1F9CA,
        0x10FFFF,
    ):
        letter = chr(number)
        for tag in ("think", "action", "search", "answer"):
            for text in (f"<{tag[:-1]}{letter}>x</{tag}>", f"<think>{letter}</think><{tag}>{letter}</{tag}>"):
                for environment in environments:
                    assert isinstance(environment.parse(text), Action | Invalid)
