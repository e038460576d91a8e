"""A rank that fails where ranks wait for each other at places of others' choosing."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from sdar_cli.training import ranks


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """This process is rank 0 of two, the other of which has not failed; what it is asked."""
    seen: list = []
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(ranks, "is_main", lambda: True)
    monkeypatch.setattr(ranks, "from_main", lambda work: work())
    monkeypatch.setattr(ranks, "gather", lambda own: seen.append(own) or [own, None])
    return seen


def test_a_rank_that_fails_in_step_asks_nobody(asked: list) -> None:
    with pytest.raises(OSError, match="no space left"), ranks.on_main(nullcontext()), ranks.in_step():
        raise OSError("no space left")
    assert not asked


def test_elsewhere_all_hear_of_it(asked: list) -> None:
    with pytest.raises(OSError, match="no space left"), ranks.on_main(nullcontext()):
        raise OSError("no space left")
    assert len(asked) == 1
