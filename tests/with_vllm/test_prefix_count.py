"""docs/contexts.md counts what a prefix cache finds from prompts alone; vLLM says the same of the same prompts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from real_vllm import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def test_counted_tokens_are_those_that_vllm_finds(place) -> None:
    program = ROOT / "benchmarks" / "contexts" / "in_vllm.py"
    done = subprocess.run(
        [sys.executable, str(program), str(place.base)],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"context"')]
    assert [one["context"] for one in found] == ["window", "full"]
    for one in found:
        assert one["told"] == one["counted"], one
        assert 0 < sum(one["told"]) < one["read"]
