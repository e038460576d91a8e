"""Runs of two steps on a random model of a few thousand weights, with and without an adapter, which the tests export.

Nothing is learnt in them, and nothing has to be: an export must hold whatever weights there are.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
sys.path.insert(0, str(Path(__file__).parent))

from exported_runs import Runs

THIRD_PARTY = (
    "ignore:The ``noload``:DeprecationWarning",
    "ignore::sqlalchemy.exc.SADeprecationWarning",
)


def pytest_collection_modifyitems(items) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.train)
            for text in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(text))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sdar_cli.tracking.plots.write_plots", lambda rows, folder: [])
        yield Runs(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def four_bits() -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed: pip install 'sdar[qlora]'")
