"""The report inside a page, between two marks, one heading lower than on its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

BEGIN = "<!-- begin: benchmarks/claims.py --report -->"
END = "<!-- end: benchmarks/claims.py --report -->"


def embed(page: Path, report: str) -> None:
    """Write the report between the page's marks, the page replaced whole. ValueError where there are none."""
    text = page.read_text(encoding="utf-8")
    before, _, after = _parts(page, text)
    beside = page.with_suffix(".new")
    beside.write_text(f"{before}{BEGIN}\n\n{lowered(report)}\n{END}{after}", encoding="utf-8")
    os.replace(beside, page)


def embedded(page: Path) -> str:
    """What stands between the marks. ValueError where there are none."""
    return _parts(page, page.read_text(encoding="utf-8"))[1].strip() + "\n"


def lowered(report: str) -> str:
    """Every heading one level lower."""
    return re.sub(r"^(#+ )", r"#\1", report, flags=re.MULTILINE)


def _parts(page: Path, text: str) -> tuple[str, str, str]:
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} lacks the marks {BEGIN} and {END}: put them where the report belongs")
    return before, inside, after
