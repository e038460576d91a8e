"""No answer of a server ends a client otherwise than with its own error."""

from __future__ import annotations

import pytest
from garbage_answers import CLASSES, READERS, cases, check_answer
from harness import COUNT


@pytest.mark.parametrize("reader", READERS)
def test_no_answer_is_a_crash(reader: str) -> None:
    for klass, number in cases(max(COUNT, 2 * len(CLASSES))):
        try:
            check_answer(reader, klass, number)
        except Exception as error:
            raise AssertionError(f"{reader}/{klass}/{number}") from error
