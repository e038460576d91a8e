import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of a tiny random Qwen3 with a word tokenizer."""
    from tiny_training import save_base

    return save_base(tmp_path_factory.mktemp("base"))
