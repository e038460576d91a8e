import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]

THIRD_PARTY = (
    "ignore:The ``noload``:DeprecationWarning",
    "ignore::sqlalchemy.exc.SADeprecationWarning",
)
"""Warnings of libraries about their own insides."""


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.train)
            for text in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(text))
