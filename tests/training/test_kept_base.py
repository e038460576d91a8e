"""A base that was measured before an interruption is taken up only where the environment is still the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdar_cli.errors import RunError
from sdar_cli.evaluation.result import Evaluation
from sdar_cli.training import run as training
from sdar_envs.webshop.environment import Webshop, WebshopOptions

OPTIONS, FACTS = {"brief": True}, {"store": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("options", "facts", "changed"),
    [
        (OPTIONS, FACTS, None),
        ({}, {}, None),
        ({"brief": False}, FACTS, "brief"),
        (OPTIONS, {"store": "fedcba9876543210"}, "store"),
    ],
)
def test_kept_base(
    options: dict[str, Any], facts: dict[str, str], changed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Webshop(WebshopOptions(products="generated", brief=True))
    monkeypatch.setattr(environment, "facts", lambda: FACTS)
    kept = SimpleNamespace(options=options, facts=facts)
    monkeypatch.setattr(Evaluation, "load", lambda path: kept)
    files = {"base-no_skills": Path("a"), "base-skills": Path("b")}
    run = SimpleNamespace(name="mine", evaluations=lambda: files)
    arguments: Any = (SimpleNamespace(environment=environment), None, None, run, None, None)
    if changed is None:
        assert training._evaluate_base(*arguments) == {"no_skills": kept, "skills": kept}
    else:
        with pytest.raises(
            RunError, match=rf"the base of mine was measured under other conditions \({changed} changed"
        ):
            training._evaluate_base(*arguments)
