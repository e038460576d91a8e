"""A study as pictures: the response to each axis, and what the cells say together.

    draw(view, folder)     # response-gate.temperature.png and .svg, importances.png, …

The same view gives the same bytes. matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.evaluation.files import write_bytes
from sdar_cli.sweep.plots_cells import Measured, measured
from sdar_cli.sweep.plots_history import history
from sdar_cli.sweep.plots_importance import importances
from sdar_cli.sweep.plots_parallel import parallel
from sdar_cli.sweep.plots_response import response
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("png", "svg")


def draw(view: StudyView, folder: Path) -> list[Path]:
    """Draw all that the cells have data for; returns the files, by name. Files are replaced whole.

    A study without a run that is done gives no file.
    """
    cells = measured(view)
    if not cells:
        return []
    from matplotlib import rc_context

    from sdar_cli.tracking.plots.canvas import STYLE

    made = []
    with rc_context(STYLE):
        for name, picture in _pictures(view, cells):
            figure = picture()
            if figure is not None:
                made += [_save(figure, folder / f"{name}.{kind}") for kind in KINDS]
    return sorted(made)


def _pictures(view: StudyView, cells: list[Measured]) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    names: set[str] = set()
    for axis in view.spec.axes:
        name = f"response-{re.sub(r'[^A-Za-z0-9._-]', '_', axis.key)}"
        while name in names:
            name += "_"
        names.add(name)
        yield name, lambda axis=axis: response(view, cells, axis)
    yield "importances", lambda: importances(view, cells)
    yield "parallel-coordinates", lambda: parallel(view, cells)
    yield "history", lambda: history(view, cells)


def _save(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    kind = path.suffix.removeprefix(".")
    figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    write_bytes(path, content.getvalue())
    return path
