"""Plots: drawn from what is there, skipped where nothing is, read back as pictures."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from sdar_cli.tracking.plots import PLOTS, by_turn, success, write_plots


def rows(steps: int = 4) -> list[dict[str, float]]:
    made: list[dict[str, float]] = [{"step": 0, "eval/no_skills/success": 0.1, "eval/skills/success": 1.0}]
    for step in range(1, steps + 1):
        row: dict[str, float] = {
            "step": step,
            "rollout/success": step / 10,
            "rollout/zero_variance_groups": 0.5,
            "rollout/invalid_action_rate": 0.0,
            "gap/mean": -0.1,
            "gap/std": 0.2,
            "gap/negative": 0.6,
            "gate/mean": 0.4,
            "gate/active": 0.3,
            "policy/kl": 0.001 * step,
            "policy/entropy": 1.0,
        }
        for turn in range(step):
            row |= {f"gap/turn_{turn:02d}/mean": -0.1 * turn, f"gate/turn_{turn:02d}/mean": 0.1 * turn}
        made.append(row)
    return made


def test_every_plot_becomes_a_picture(tmp_path: Path) -> None:
    files = write_plots(rows(), tmp_path / "plots")
    assert [file.stem for file in files] == list(PLOTS)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert sorted(tmp_path.joinpath("plots").iterdir()) == sorted(files), "nothing else is left behind"


def test_an_svg_is_the_same_each_time(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in write_plots(rows(2), tmp_path / "a", "svg")]
    assert first == [file.read_bytes() for file in write_plots(rows(2), tmp_path / "b", "svg")]
    assert all(b"<svg" in content for content in first)


def test_plots_without_data_are_left_out(tmp_path: Path) -> None:
    assert write_plots([], tmp_path) == []
    assert write_plots([{"step": 1, "rollout/success": math.nan}], tmp_path) == []
    grpo = [{"step": 1, "rollout/success": 0.5, "policy/kl": 0.0}]
    assert [file.stem for file in write_plots(grpo, tmp_path)] == ["success", "policy"]


def test_success_is_drawn_in_percent_with_a_legend() -> None:
    figure = success(rows())
    assert figure is not None
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training rollouts", "evaluation without skills", "evaluation with skills"]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([10, 20, 30, 40])
    assert axes.get_xlabel() == "step (rollouts)" and "%" in axes.get_ylabel()


def test_turns_that_were_not_reached_stay_empty() -> None:
    figure = by_turn(rows(3))
    assert figure is not None
    gap = figure.axes[0].collections[0].get_array()
    assert gap.shape == (3, 3)
    assert [[bool(math.isnan(value)) for value in line] for line in gap.filled(math.nan)] == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
    ]


def test_matplotlib_is_imported_late() -> None:
    code = "import sys, sdar_cli.tracking.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
