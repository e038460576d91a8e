"""The collector rests while libraries are imported, and leaves them out afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sdar_cli.importing import MANY, importing


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_it_rests_within_and_is_as_before_afterwards(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    with pytest.raises(ImportError), importing():
        assert not gc.isenabled()
        raise ImportError("no such library")
    assert gc.isenabled() is enabled


def test_one_within_another_does_not_wake_it() -> None:
    with importing():
        with importing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_where_nothing_is_imported_all_is_collected_as_ever() -> None:
    frozen = gc.get_freeze_count()
    with importing():
        import json  # noqa: F401
    assert gc.get_freeze_count() == frozen


def test_what_was_imported_is_left_out_and_later_garbage_is_not() -> None:
    code = (
        "import gc, sys, types, weakref\n"
        "from sdar_cli.importing import importing\n"
        "with importing():\n"
        f"    for number in range({MANY}):\n"
        "        sys.modules[f'made_{number}'] = types.ModuleType(f'made_{number}')\n"
        "assert gc.get_freeze_count() > 1000\n"
        "class Ring: pass\n"
        "ring = Ring(); ring.ring = ring; seen = weakref.ref(ring); del ring\n"
        "gc.collect()\n"
        "assert seen() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
