"""What MLflow shows as the description of a run or of a study: Markdown, written by us between two marks.

What a person writes around the marks in the UI is kept when ours changes; where the marks are gone, the person has
taken the whole description over, and it is left alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.tracking.location import runs_option
from sdar_cli.tracking.tables import of_report

if TYPE_CHECKING:
    from sdar_cli.evaluation.report import InternalisationReport
    from sdar_cli.recipe.schema import Recipe

TAG = "mlflow.note.content"
LIMIT = 5000
"""Characters of a tag that every supported MLflow server accepts."""
BEGIN, END = "<!-- sdar -->", "<!-- /sdar -->"


def merged(old: str | None, ours: str) -> str | None:
    """The description with our part replaced; None where it is to be left alone."""
    block = f"{BEGIN}\n{ours.strip()}\n{END}"
    if not old or not old.strip():
        return shortened(block)
    begin, end = old.find(BEGIN), old.find(END)
    if begin < 0 or end < begin:
        return None
    return shortened(old[:begin] + block + old[end + len(END) :])


def shortened(text: str) -> str:
    """At most ``LIMIT`` characters, cut at the end of a line, with our mark at its end."""
    if len(text) <= LIMIT:
        return text
    kept = text[: LIMIT - len(END) - 3].rpartition("\n")[0] or text[: LIMIT - len(END) - 3]
    return f"{kept}\n…\n{END}"


def of_training(recipe: Recipe, run: str, root: Path, report: InternalisationReport | None = None) -> str:
    """What a run is, how it came out, and what to do with it."""
    head = f"**{recipe.method}** in {recipe.environment.name}, recipe `{recipe.name}`, seed {recipe.seed}"
    parts = [recipe.tracking.note.strip(), f"{head}, {recipe.train.steps} steps."]
    if report is not None:
        parts += [of_report(report).markdown, _reading(report)]
    parts += [_commands(_next_of_run(run, root)), recipe.description.strip()]
    return "\n\n".join(filter(None, parts))


def of_study(note: str, head: str, tables: Sequence[str], name: str, root: Path | None) -> str:
    """What a study asks, how far it is, and what to do with it; ``tables`` are Markdown."""
    option = "" if root is None else runs_option(root)
    name = shlex.quote(name)
    commands = [f"sdar sweep status {name}{option}", f"sdar compare --study {name}{option} --html report.html"]
    return "\n\n".join(filter(None, [note.strip(), head, *tables, _commands(commands)]))


def _reading(report: InternalisationReport) -> str:
    from sdar_cli.evaluation.table_parts import percent

    tasks = f"Solved tasks of {len(report.trained_without.records)}, intervals of {report.level:.0%}"
    fraction = report.internalised
    found = report.why_undefined if fraction is None else percent(fraction)
    return f"{tasks}. Internalised fraction: {found}."


def _next_of_run(run: str, root: Path) -> list[str]:
    name, option = shlex.quote(run), runs_option(root)
    return [
        f"sdar runs show {name}{option}",
        f"sdar eval {name} --both{option}",
        f"sdar compare {name} OTHER-RUN{option} --html report.html",
    ]


def _commands(lines: Sequence[str]) -> str:
    return "\n".join(["```", *lines, "```"])
