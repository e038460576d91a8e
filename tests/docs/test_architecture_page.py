"""docs/architecture.md: its table of rooms is the tree, and every file that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
PLACES = sorted({place for place in re.findall(r"`([\w./-]+)`", PAGE) if place.startswith(("sdar_cli/", "envs/"))})


def test_every_package_has_a_room() -> None:
    folders = [path.parent for root in ("sdar_cli", "envs") for path in (ROOT / root).glob("*/__init__.py")]
    assert len(folders) > 12
    for folder in (*folders, ROOT / "envs", ROOT / "recipes"):
        assert f"{folder.relative_to(ROOT)}/" in ROOMS, f"docs/architecture.md has no row for {folder.name}/"
    assert len(ROOMS) == len(set(ROOMS))


@pytest.mark.parametrize("place", [*PLACES, *ROOMS])
def test_what_the_page_names_is_there(place: str) -> None:
    path = ROOT / place
    assert path.is_dir() if place.endswith("/") else path.is_file()


def test_the_files_of_a_room_are_in_it() -> None:
    for row in PAGE.splitlines():
        if row.startswith("| `") and "/` |" in row:
            room = row.split("`")[1]
            for name in re.findall(r"`(\w+\.py)`", row):
                assert (ROOT / room / name).is_file(), f"{room}{name}"
