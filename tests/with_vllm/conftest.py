import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def pytest_collection_modifyitems(items) -> None:
    missing = importlib.util.find_spec("vllm") is None
    for item in items:
        if HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.vllm)
            if missing:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make verify-vllm"))


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Runs with a base that all of them share, the workers of pytest-xdist too."""
    from real_vllm import Place

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return Place(shared / "vllm")


@pytest.fixture(scope="session")
def server(place):
    """vLLM's own server, on the base, as docs/vllm.md says."""
    from real_vllm import RealServer

    with RealServer(place) as made:
        yield made
