"""Every promise of docs/reliability.md and docs/security.md names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(page: str) -> list[str]:
    """The rows of a page's tables whose last column is headed ``test``."""
    found, within = [], False
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            within = False
        elif line.replace(" ", "").endswith("|test|"):
            within = True
        elif within and not re.fullmatch(r"[|:\s-]+", line):
            found.append(line)
    return found


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("page", ["reliability.md", "security.md"])
def test_each_row_names_a_test_that_exists(page: str) -> None:
    assert len(rows(page)) >= 15
    for row in rows(page):
        named = NAMED.findall(row.split("|")[-2])
        assert named, f"no test is named: {row}"
        for file, function in named:
            assert (ROOT / file).is_file(), f"{file} does not exist: {row}"
            assert not function or function in functions(file), f"{file} has no {function}: {row}"
