"""The page shows what the committed runs say, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from claims.command import RESULTS  # noqa: E402
from claims.document import BEGIN, END, embed, embedded, lowered  # noqa: E402
from claims.report import report  # noqa: E402
from claims.table import Table  # noqa: E402


def test_the_page_is_the_report_of_the_committed_runs() -> None:
    assert embedded(ROOT / "docs" / "reproducing.md") == lowered(report(Table.open(RESULTS)))


def test_embedding_replaces_what_stood_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\n## After\n")
    embed(page, "## One\n\ntext # not a heading\n")
    assert page.read_text() == f"# Title\n\n{BEGIN}\n\n### One\n\ntext # not a heading\n\n{END}\n\n## After\n"
    assert embedded(page) == "### One\n\ntext # not a heading\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="lacks the marks"):
        embed(page, "x")
    assert page.read_text() == "# Title\n"
