"""KL to the reference policy and entropy, over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sdar_cli.tracking.plots.canvas import BLUE, ORANGE, Row, lines, panels, present

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "policy/kl": ("KL to the reference policy", "k3 estimate (nats a token)", BLUE),
    "policy/entropy": ("Entropy of the policy", "nats a token", ORANGE),
}


def policy(rows: Sequence[Row]) -> Figure | None:
    """A panel for each of the two that was measured."""
    chosen = {name: about for name, about in PANELS.items() if present(rows, name)}
    if not chosen:
        return None
    figure, stack = panels(len(chosen), height=2.2 * len(chosen) + 0.3)
    for axes, (name, (title, unit, colour)) in zip(stack, chosen.items(), strict=True):
        lines(axes, rows, {name: (title, colour, "-")})
        axes.set(title=title, ylabel=unit)
    return figure
