"""Every plot by its file's name, and the function that draws them all."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.evaluation.files import write_bytes
from sdar_cli.tracking.plots.by_turn import by_turn
from sdar_cli.tracking.plots.canvas import LAST_STEP, STYLE, Row
from sdar_cli.tracking.plots.gap_and_gate import gap_and_gate
from sdar_cli.tracking.plots.gate_histogram import gate_histogram
from sdar_cli.tracking.plots.horizon import horizon
from sdar_cli.tracking.plots.late_turns import late_turns
from sdar_cli.tracking.plots.policy import policy
from sdar_cli.tracking.plots.rollouts import rollouts
from sdar_cli.tracking.plots.seconds import seconds
from sdar_cli.tracking.plots.success import success

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS: dict[str, Callable[[Sequence[Row]], Figure | None]] = {
    "success": success,
    "horizon": horizon,
    "gap_and_gate": gap_and_gate,
    "by_turn": by_turn,
    "late_turns": late_turns,
    "gate_histogram": gate_histogram,
    "policy": policy,
    "rollouts": rollouts,
    "seconds": seconds,
}
"""File name → function that draws it, or returns None where its metrics are missing."""


def write_plots(rows: Sequence[Row], folder: Path, kind: str = "png") -> list[Path]:
    """Draw every plot that the rows have data for, as files; returns the files, ``success.png`` and so on.

    Rows hold ``step`` and metrics by name (``Journal.read``); ``kind`` is ``png`` or ``svg``. Files are
    replaced whole.
    """
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in rows if row["step"] <= LAST_STEP]
    made = []
    with rc_context(STYLE):
        for name, draw in PLOTS.items():
            figure = draw(rows)
            if figure is not None:
                made.append(_save(figure, folder / f"{name}.{kind}"))
    return made


def _save(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    kind = path.suffix.removeprefix(".")
    figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    write_bytes(path, content.getvalue())
    return path
