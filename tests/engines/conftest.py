import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of a tiny random Qwen3 with a word tokenizer."""
    from tiny_training import save_base

    return save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def vllm(base):
    """A server on 127.0.0.1 that answers as vLLM's does, with a real model behind it."""
    from fake_vllm import FakeVllm

    with FakeVllm(base) as server:
        yield server
