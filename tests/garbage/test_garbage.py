"""Malformed input is one sentence and exit code 2; another spelling of good input is good.

``SDAR_GARBAGE=1000`` runs that many of each kind instead of the suite's few.
"""

from __future__ import annotations

import pytest
from harness import VERDICTS, Kind, Verdict, check, discover

KINDS = discover()
GROUPS = [
    pytest.param(kind, verdict, klass, id=f"{kind.name}-{verdict}-{klass}")
    for kind in KINDS.values()
    for verdict in VERDICTS
    for klass in kind.makers(verdict)
]


@pytest.mark.parametrize(("kind", "verdict", "klass"), GROUPS)
def test_garbage(kind: Kind, verdict: Verdict, klass: str) -> None:
    for case in kind.cases(verdict):
        if case.klass == klass:
            check(case)
