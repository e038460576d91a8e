"""Lengths in one byte: Lucene's ``SmallFloat.intToByte4`` and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdar_envs.bm25.lengths import decode, encode


def test_known_values() -> None:
    for length in range(40):
        assert encode(length) == length
        assert decode(length) == length
    # Above: steps of 2 to 56, of 4 to 88, of 8 to 152, of 16 to 280, and so on.
    known = {40: 40, 41: 40, 42: 42, 55: 54, 56: 56, 59: 56, 60: 60, 87: 84, 88: 88, 95: 88, 151: 144, 152: 152}
    known |= {100: 96, 279: 264, 280: 280, 1000: 984, 1048: 1048, 2**31 - 1: 2_013_265_944}
    assert {length: decode(encode(length)) for length in known} == known
    assert encode(2**31 - 1) == 255


def test_every_code_is_the_code_of_what_it_stands_for() -> None:
    assert [encode(decode(code)) for code in range(256)] == list(range(256))


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_codes_keep_the_order_and_an_eighth(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert encode(low) <= encode(high) <= 255
    for length in (low, high):
        assert decode(encode(length)) <= length <= decode(encode(length)) + max(0, length - 24) / 8
