from __future__ import annotations

from types import SimpleNamespace

import pytest

from sdar_cli.cli import display as module
from sdar_cli.cli.display import Display


def feed(display: Display) -> None:
    with display:
        print("from a library")
        display.phase("training", 2)
        display.metrics(1, {"rollout/success": 0.25, "other": 1.0})
        display.advance(2, 2, "done")
        summary = SimpleNamespace(success=SimpleNamespace(estimate=0.5), episodes=8)
        display.evaluation(SimpleNamespace(summary=summary, mode="skills", step=3, label="trained"), [])
        display.message("[not markup]")


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    feed(Display())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "from a library",
        "training (2)",
        "training 2/2 done",
        "trained at step 3, with skills: 50.0% of 8 tasks solved",
        "[not markup]",
    ]


def test_step_lines_are_spaced_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    with Display() as display:
        for step in range(100):
            clock.now = float(step)
            display.metrics(step, {"rollout/success": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 10: success 0.5" and len(lines) == 9


def test_on_a_terminal_the_same_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    feed(Display())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "50.0% of 8 tasks solved" in captured.err and "[not markup]" in captured.err
