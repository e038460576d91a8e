"""Prompts at hand: written once while they are there, bounded in tokens, and small."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from scripted import context, tokenizer

from sdar_cli.rollout.remembered import TOKENS, Remembered


def named(length: int) -> tuple[tuple[str, str], ...]:
    return (("user", f"a prompt of {length}"),)


@given(lengths=st.lists(st.integers(1, 12), max_size=40), most=st.integers(0, 30))
def test_never_more_tokens_than_the_bound_and_the_latest_are_kept(lengths: list[int], most: int) -> None:
    wrote: list[int] = []

    def write(messages):
        wrote.append(int(messages[0][1].split()[-1]))
        return "text", tuple(range(wrote[-1]))

    known = Remembered(write, most)
    latest: list[int] = []
    for length in lengths:
        before = len(wrote)
        assert known(named(length)) == ("text", tuple(range(length)))
        kept: list[int] = []
        for past in latest:
            if sum(kept) + past > most:
                break
            kept.append(past)
        assert (len(wrote) == before) == (length in kept), "written again only when it had to go"
        latest = [length, *(past for past in latest if past != length)]
        assert known.tokens <= most


def test_memory_does_not_grow_with_the_number_of_long_prompts() -> None:
    """Of prompts as long as the longest of a full context, a hundred times the bound."""
    length = 1 << 14
    known = Remembered(lambda messages: ("x" * 4 * length, tuple([0] * length)))
    for number in range(TOKENS // length):
        known(named(number))
    tracemalloc.start()
    try:
        for number in range(10**6, 10**6 + 10 * TOKENS // length):
            known(named(number))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert known.tokens == TOKENS
    assert grown < 16 * TOKENS, f"{grown / TOKENS:.1f} bytes a token"


def test_equal_tokens_are_one_object_so_that_an_episode_costs_eight_bytes_a_token() -> None:
    """A tokenizer makes every number anew, which costs 32 bytes more for each above 256."""
    made = tokenizer()
    new, end = made.add_tokens([f"word{n}" for n in range(400)]), len(made)
    assert new == 400 and end > 400
    own = context(made)
    words = " ".join(f"word{n}" for n in range(300, 400))
    first, second = own._tokenise(words), own._tokenise(words)
    assert first == second == made(words, add_special_tokens=False)["input_ids"] and max(first) > 256
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert type(first) is list and {type(token) for token in first} == {int}
