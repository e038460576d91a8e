"""Plots: drawn from what is there, skipped where nothing is, read back as pictures, with no text cut or covered."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sdar_cli.statistics import wilson
from sdar_cli.tracking.plots import PLOTS, write_plots
from sdar_cli.tracking.plots.canvas import STYLE, Row
from sdar_cli.training.signals import GATE_BINS, MAX_TURNS_LOGGED

SLICES = {"turns_le_5": 30, "turns_6_10": 20, "turns_gt_10": 10}


def evaluation(mode: str, solved: int, slices: dict[str, int] | None = None) -> dict[str, float]:
    """Of 60 episodes; ``slices``: solved ones by slice."""
    row = {f"eval/{mode}/success": solved / 60, f"eval/{mode}/episodes": 60.0}
    for name, won in (slices or {}).items():
        row[f"eval/{mode}/success/{name}"] = won / SLICES[name]
        row[f"eval/{mode}/episodes/{name}"] = float(SLICES[name])
    return row


def run(steps: int = 4, *, turns: int | None = None, scale: float = 0.1) -> list[dict[str, float]]:
    """A run's rows: its base, steps of which each reaches a turn more than the one before, its end."""
    base = {"turns_le_5": 5, "turns_6_10": 1, "turns_gt_10": 0}
    made = [{"step": 0} | evaluation("no_skills", 6, base) | evaluation("skills", 60)]
    for step in range(1, steps + 1):
        row: dict[str, float] = {
            "step": step,
            "rollout/success": min(1.0, step / 10),
            "rollout/zero_variance_groups": 0.5,
            "rollout/invalid_action_rate": 0.0,
            "gap/mean": -scale,
            "gap/std": 2 * scale,
            "gap/p10": -3 * scale,
            "gap/p50": 0.0,
            "gap/p90": scale,
            "gap/negative": 0.6,
            "gate/mean": 0.4,
            "gate/active": 0.3,
            "gate/saturated": 0.05,
            "policy/kl": 0.001 * step,
            "policy/entropy": 1.0,
            "time/generation": 4.0,
            "time/environment": 1.0,
            "time/teacher": 2.0,
            "time/scoring": 0.5,
            "time/training": 3.0 + step,
        }
        row |= {f"gate/bin_{place}": 0.1 for place in range(GATE_BINS)}
        for turn in range(turns or step):
            row |= {f"gap/turn_{turn:02d}/mean": -scale * turn * step, f"gate/turn_{turn:02d}/mean": 0.1 * (turn % 10)}
        made.append(row)
    made[-1] |= evaluation("no_skills", 45, {"turns_le_5": 30, "turns_6_10": 10, "turns_gt_10": 5})
    made[-1] |= evaluation("skills", 57, {"turns_le_5": 30, "turns_6_10": 18, "turns_gt_10": 9})
    return made


def drawn(name: str, rows: list[dict[str, float]]) -> Figure:
    with rc_context(STYLE):
        figure = PLOTS[name](rows)
    assert figure is not None
    return figure


def without(rows: list[dict[str, float]], *prefixes: str) -> list[Row]:
    return [{name: value for name, value in row.items() if not name.startswith(prefixes)} for row in rows]


def test_every_plot_becomes_a_picture(tmp_path: Path) -> None:
    files = write_plots(run(), tmp_path / "plots")
    assert [file.stem for file in files] == list(PLOTS)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    assert sorted(tmp_path.joinpath("plots").iterdir()) == sorted(files), "nothing else is left behind"


def test_an_svg_is_the_same_each_time(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in write_plots(run(2), tmp_path / "a", "svg")]
    assert first == [file.read_bytes() for file in write_plots(run(2), tmp_path / "b", "svg")]
    assert all(b"<svg" in content for content in first)


def test_plots_without_data_are_left_out(tmp_path: Path) -> None:
    assert write_plots([], tmp_path) == []
    assert write_plots([{"step": 1, "rollout/success": math.nan}], tmp_path) == []
    grpo = [{"step": 1, "rollout/success": 0.5, "policy/kl": 0.0, "time/training": 1.0}]
    assert [file.stem for file in write_plots(grpo, tmp_path)] == ["success", "policy", "seconds"]


@pytest.mark.long
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_any_metric_may_be_missing_anywhere(data: st.DataObject) -> None:
    rows = run(data.draw(st.integers(1, 4)))
    names = sorted({name for row in rows for name in row} - {"step"})
    gone = data.draw(st.sets(st.sampled_from(names)))
    holes = data.draw(st.sets(st.tuples(st.integers(0, 4), st.sampled_from(names)), max_size=30))
    left = [
        {name: math.nan if (row["step"], name) in holes else v for name, v in row.items() if name not in gone}
        for row in rows
    ]
    with rc_context(STYLE):
        for draw in PLOTS.values():
            figure = draw(left)
            assert figure is None or any(axes.has_data() for axes in figure.axes)


@pytest.mark.parametrize("name", list(PLOTS))
@pytest.mark.parametrize(
    "rows",
    [run(1), run(150, turns=MAX_TURNS_LOGGED + 1, scale=7.0), without(run(40), "gate/")],
    ids=["one step", "many", "no gate"],
)
def test_no_text_is_cut_or_covered(name: str, rows: list[dict[str, float]]) -> None:
    with rc_context(STYLE):
        figure = PLOTS[name](rows)
        if figure is None:
            assert name == "gate_histogram"
            return
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
    box = figure.get_tightbbox(renderer)
    assert box.x0 >= -0.02 and box.x1 <= figure.get_figwidth() + 0.02
    assert box.y0 >= -0.02 and box.y1 <= figure.get_figheight() + 0.02
    for axes in figure.axes:
        words = [artist for artist in axes.get_children() if isinstance(artist, Text)]
        words += [axes.xaxis.label, axes.yaxis.label]
        boxes = [text.get_window_extent(renderer) for text in words if text.get_text()]
        if axes.get_legend() is not None:
            boxes.append(axes.get_legend().get_window_extent(renderer))
        for number, first in enumerate(boxes):
            assert not any(first.overlaps(other) for other in boxes[number + 1 :]), name


def test_success_is_drawn_in_percent_with_wilsons_intervals() -> None:
    rows = run()
    for step in (2, 3):
        rows[step] |= evaluation("no_skills", 10 * step)
    figure = drawn("success", rows)
    (axes,) = figure.axes
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["training rollouts", "without skills: 10.0 → 75.0 %", "with skills: 100.0 → 95.0 %"]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([10, 20, 30, 40])
    assert axes.get_xlabel() == "step (rollouts)" and "%" in axes.get_ylabel()
    band, bars = axes.collections
    corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices}
    for step, solved in ((0, 6), (2, 20), (3, 30), (4, 45)):
        assert {(step, round(100 * y, 6)) for y in (wilson(solved, 60).low, wilson(solved, 60).high)} <= corners
    ends = [segment[:, 1] / 100 for segment in bars.get_segments()]
    assert np.concatenate(ends) == pytest.approx([wilson(60, 60).low, 1.0, wilson(57, 60).low, wilson(57, 60).high])


def test_base_and_end_are_marked() -> None:
    (axes,) = drawn("success", run()).axes
    assert {text.get_text(): text.xy[0] for text in axes.texts} == {"base": 0, "end": 4}
    (axes,) = drawn("success", run()[:1]).axes
    assert [text.get_text() for text in axes.texts] == ["base"]
    (axes,) = drawn("success", without(run(), "eval/")).axes
    assert not axes.texts


def test_a_journal_without_counts_has_no_intervals() -> None:
    (axes,) = drawn("success", without(run(), "eval/no_skills/episodes", "eval/skills/episodes")).axes
    assert not axes.collections and axes.get_title("left") == "Success"


def test_horizon_has_a_bar_for_each_cell_of_each_slice() -> None:
    figure = drawn("horizon", run())
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "≤ 5\n(30 tasks)",
        "6–10\n(20 tasks)",
        "> 10\n(10 tasks)",
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["base, without skills", "step 4, without skills", "step 4, with skills"]
    heights = sorted(patch.get_height() for patch in axes.patches if patch.get_height())
    assert heights == pytest.approx(sorted([100 * 5 / 30, 5.0, 100.0, 50.0, 50.0, 100.0, 90.0, 90.0]))
    spans = [tuple(collection.get_segments()[0][:, 1] / 100) for collection in axes.collections]
    assert (wilson(10, 20).low, wilson(10, 20).high) in [pytest.approx(span) for span in spans]
    assert len(spans) == 9


def test_seconds_stack_up_to_the_whole_step() -> None:
    (axes,) = drawn("seconds", run()).axes
    tops = [patch.get_data() for patch in axes.patches]
    assert axes.get_legend().get_texts()[0].get_text() == "training, 5.5 s", "the top one first"
    assert list(tops[-1].values) == pytest.approx([11.5, 12.5, 13.5, 14.5])
    for below, above in itertools.pairwise(tops):
        assert list(above.baseline) == list(below.values)
    (axes,) = drawn("seconds", without(run(), "time/teacher")).axes
    assert len(axes.patches) == 4


def test_gap_and_gate_shows_quantiles_where_there_are_some() -> None:
    figure = drawn("gap_and_gate", run())
    assert [axes.get_title("left") for axes in figure.axes] == [
        "Gap, teacher − student",
        "Gate, mean over tokens",
        "Tokens",
    ]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["10 % to 90 % of tokens", "mean", "median"]
    old = drawn("gap_and_gate", without(run(), "gap/p")).axes[0]
    assert old.get_legend().get_texts()[0].get_text() == "± one standard deviation"
    low, high = old.collections[0].get_paths()[0].vertices[:, 1].min(), old.collections[0].get_paths()[0].vertices.max()
    assert low == pytest.approx(-0.3) and high == 4


def test_a_method_without_a_gate_has_plots_of_its_gap_alone() -> None:
    rows = without(run(), "gate/")
    assert [axes.get_title("left") for axes in drawn("by_turn", rows).axes if axes.get_title("left")] == [
        "Gap by turn (grey: not reached)"
    ]
    assert len(drawn("late_turns", rows).axes) == 1
    assert PLOTS["gate_histogram"](rows) is None
    shares = drawn("gap_and_gate", rows).axes[-1]
    assert [text.get_text() for text in shares.get_legend().get_texts()] == ["gap below 0"]


def test_turns_that_were_not_reached_stay_empty() -> None:
    gap = drawn("by_turn", run(3)).axes[0].collections[0].get_array()
    assert gap.shape == (3, 3)
    assert [[bool(math.isnan(value)) for value in line] for line in gap.filled(math.nan)] == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
    ]


def test_one_outlier_does_not_wash_out_the_heat_map() -> None:
    rows = run(60, turns=3)
    rows[30]["gap/turn_01/mean"] = -500.0
    image = drawn("by_turn", rows).axes[0].collections[0]
    assert image.norm.vmax < 20 and image.norm.vmin == -image.norm.vmax


def test_late_turns_are_those_of_the_last_quarter() -> None:
    figure = drawn("late_turns", run(8, turns=3))
    assert figure.axes[0].get_title("left") == "By turn, mean and standard deviation over steps 7 to 8"
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [0, 1, 2]
    assert list(line.get_ydata()) == pytest.approx([0, -0.75, -1.5])
    bars = figure.axes[0].collections[0].get_segments()
    assert bars[2][:, 1] == pytest.approx([-1.6, -1.4])


def test_the_last_turn_index_stands_for_all_later_ones() -> None:
    figure = drawn("late_turns", run(4, turns=MAX_TURNS_LOGGED + 1))
    figure.draw_without_rendering()
    assert "20+" in [label.get_text() for label in figure.axes[-1].get_xticklabels()]


def test_the_histogram_has_a_line_a_bin_and_a_column_a_step() -> None:
    rows = run(5)
    rows[2] |= {f"gate/bin_{place}": float(place == 9) for place in range(GATE_BINS)}
    cells = drawn("gate_histogram", rows).axes[0].collections[0].get_array()
    assert cells.shape == (GATE_BINS, 5)
    assert list(cells[:, 1]) == [0.0] * 9 + [100.0]
    assert cells[:, 0].sum() == pytest.approx(100)


def test_matplotlib_is_imported_late() -> None:
    code = "import sys, sdar_cli.tracking.plots; assert not {'matplotlib', 'torch', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
