from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from scripted_warmup import Warmups


@pytest.fixture
def warmups(monkeypatch: pytest.MonkeyPatch) -> Warmups:
    from scripted_warmup import Warmups

    return Warmups(monkeypatch)
