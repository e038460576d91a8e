"""The fuzzer's targets hold for inputs of hypothesis; a fuzzer finds more, where there is one."""

from __future__ import annotations

import pytest
from atheris_targets import TARGETS, WORDS
from harness import COUNT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PIECES = st.one_of(st.sampled_from(WORDS), st.text(max_size=8), st.sampled_from(WORDS).map(lambda word: word * 40))
INPUTS = st.one_of(
    st.lists(PIECES, max_size=12).map(lambda parts: "".join(parts).encode("utf-8", "replace")), st.binary()
)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=max(60, COUNT), suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
@given(data=INPUTS)
def test_a_target_holds(name: str, data: bytes) -> None:
    TARGETS[name](data)
