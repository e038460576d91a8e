"""What training rollouts waste: groups that teach nothing, and turns without a valid action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.tracking.plots.canvas import ORANGE, RED, Row, legend_below, lines, panels, present, share_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = {
    "rollout/zero_variance_groups": ("groups without reward variance", RED, "-"),
    "rollout/invalid_action_rate": ("turns with an invalid action", ORANGE, "--"),
}


def rollouts(rows: Sequence[Row]) -> Figure | None:
    """Both as shares, over steps."""
    if not present(rows, *SHARES):
        return None
    figure, (axes,) = panels(1, height=3.1)
    lines(axes, rows, SHARES)
    axes.set_title("Training rollouts")
    share_axis(axes, "share of groups, of turns")
    legend_below(figure, 2)
    return figure
