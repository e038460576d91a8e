"""One short training in a process of its own, which most tests of this folder start from.

Its base is warmed up for seconds: it can act a little and solves next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from short_sdar import SHORT, WARM, Sdar, Trained

from sdar_cli.runs.store import RunFolder

THIRD_PARTY = (
    "ignore:The ``noload``:DeprecationWarning",
    "ignore::sqlalchemy.exc.SADeprecationWarning",
)
"""Warnings of libraries about their own insides."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.train)
            for text in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(text))


@pytest.fixture(scope="session", autouse=True)
def _no_plots_here() -> Iterator[None]:
    """Drawing takes half of a short training's time; the process of ``trained`` draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sdar_cli.tracking.plots.write_plots", lambda rows, folder: [])
        yield


@pytest.fixture(scope="session")
def sdar(tmp_path_factory: pytest.TempPathFactory) -> Sdar:
    return Sdar(tmp_path_factory.mktemp("end-to-end"))


@pytest.fixture(scope="session")
def trained(sdar: Sdar) -> Trained:
    """A finished run, ``first``, and what its command printed."""
    done = sdar.process("train", "--recipe", "quickstart", *SHORT, *WARM, "--name", "first", "--json")
    assert done.code == 0, done.err
    return Trained(done, RunFolder.open(sdar.root / "first"))
