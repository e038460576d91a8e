"""A comparison as one HTML file: style, script and data inside, nothing fetched, opened from a disk.

Whatever a model, a recipe or an environment wrote is shown and never obeyed: the template escapes and makes hidden
characters visible, the viewer writes text nodes only, data stand in JSON without ``<``, and the page's own policy
lets no script run but this one, by its hash, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.compare.html import charts, tables
from sdar_cli.compare.html.forest import forests
from sdar_cli.compare.html.svg import colour
from sdar_cli.compare.html.viewer import viewer_data
from sdar_cli.compare.render.numbers import BREAKS
from sdar_cli.compare.report import Report
from sdar_cli.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES = ("page.css", "tables.css", "charts.css", "viewer.css", "print.css")
SCRIPTS = ("visible.js", "charts.js", "theme.js", "transcripts.js", "tokens.js", "turns.js", "viewer.js", "keys.js")
"""In this order, inside one function."""


def html(report: Report, transcripts: Mapping[str, Path]) -> str:
    """The page; it can be encoded as UTF-8.

    Args:
        transcripts: run name → the run's ``transcripts/`` folder.

    Raises:
        RunError: a transcript is damaged.
    """
    data = viewer_data(report, transcripts)
    script = f'(() => {{\n"use strict";\n{_joined(SCRIPTS)}}})();'
    signals = charts.signals(report.rows)
    return (
        _templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            legend=[(row.label, colour(index)) for index, row in enumerate(report.rows)],
            taught=[(row.label, colour(index)) for index, row in enumerate(report.rows) if row.by_turn],
            cards=tables.cards(report),
            tracks=tables.success_tracks(report),
            tables=tables.tables(report),
            settings=tables.settings_lines(report.rows),
            forests=forests(report),
            types=tables.type_bars(report),
            curves=charts.curves(report),
            responses=charts.responses(report),
            by_turn=charts.by_turn(report.rows),
            signals=[chart for chart in signals if chart],
            paper=tables.paper_lines(report),
            facts=_facts(report),
            viewer=data,
            data=_embedded((data or {}) | {"rows": [_shown(row.label) for row in report.rows]}),
            style=_joined(STYLES),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    """What every number of the page was measured under."""
    sampling = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.sampling.items())
    tasks = f"{report.tasks} tasks" + (f" of the {report.split} split" if report.split else "")
    return [
        (name, text)
        for name, text in (
            ("Environment", report.environment),
            ("Panel", f"{tasks}, {report.panel[:12]}"),
            ("Sampling", sampling),
            ("Skill bank", report.bank or ""),
            ("Study", report.study or ""),
            ("Rows by", ", ".join(report.by)),
            ("Intervals", f"{100 * report.level:g} %"),
        )
        if text
    ]


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("sdar_cli.compare", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    templates.filters["breakable"] = _breakable
    return templates


def _breakable(label: str) -> Any:
    """A label that goes on in the next line where a reader would break it."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(visible(part)) for part in BREAKS.split(label))


def _shown(value: Any) -> Any:
    """Text that is not yet markup, its hidden characters made visible."""
    return visible(value) if type(value) is str else value


def _embedded(value: Any) -> Any:
    """JSON that no parser of HTML can see an end in."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _joined(names: tuple[str, ...]) -> Any:
    from markupsafe import Markup

    folder = resources.files(__package__)
    return Markup("\n".join(folder.joinpath(name).read_text(encoding="utf-8").strip() for name in names) + "\n")
