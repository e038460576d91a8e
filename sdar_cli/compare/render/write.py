"""A report as a file, its form chosen by the ending."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sdar_cli.compare.render.csv import measures, pairs
from sdar_cli.compare.render.latex import latex
from sdar_cli.compare.render.markdown import markdown
from sdar_cli.compare.report import Report
from sdar_cli.errors import UserError
from sdar_cli.evaluation.files import write_bytes

ENDINGS = (".md", ".csv", ".json", ".tex", ".html")


def check_ending(path: Path) -> None:
    """Raises UserError for a file whose ending names no form."""
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} has an ending that names no form: write {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def write(report: Report, path: Path, transcripts: Mapping[str, Path]) -> list[Path]:
    """Write it whole, and return the files: CSV makes a second one of the pairs, ``NAME-pairs.csv``.

    Raises:
        UserError: the ending names no form, or the file cannot be written.
    """
    check_ending(path)
    try:
        return [_write(file, text) for file, text in _contents(report, path, transcripts).items()]
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): choose another file") from None


def _contents(report: Report, path: Path, transcripts: Mapping[str, Path]) -> dict[Path, str]:
    ending = path.suffix.lower()
    if ending == ".csv":
        return {path: measures(report), path.with_name(f"{path.stem}-pairs{path.suffix}"): pairs(report)}
    if ending == ".html":
        from sdar_cli.compare.html.page import html

        return {path: html(report, transcripts)}
    if ending == ".json":
        return {path: json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n"}
    return {path: markdown(report) if ending == ".md" else latex(report)}


def _write(path: Path, text: str) -> Path:
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
    return path
