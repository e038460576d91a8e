"""What must not be imported: help, dry runs and lists load no heavy package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "mlflow",
    "datasets",
    "pandas",
    "matplotlib",
    "textworld",
    "alfworld",
    "scipy",
)
PROBE = f"""
import sys
from sdar_cli.cli.main import main

code = main(sys.argv[1:])
print("loaded:", sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def probe(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROBE, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["train", "--help"],
        ["eval", "--help"],
        ["play", "--help"],
        ["data", "--help"],
        ["retriever", "--help"],
        ["skills", "ls", "--recipe", "quickstart"],
        ["recipes", "ls"],
        ["recipes", "show", "quickstart"],
        ["runs", "ls", "--runs", "none"],
        ["train", "--recipe", "quickstart", "--dry-run"],
        ["train", "--recipe", "alfworld-qwen3-1.7b", "--dry-run"],
    ],
)
def test_nothing_heavy_is_loaded(tmp_path: Path, words: list[str]) -> None:
    done = probe(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stderr


def test_the_overview_loads_not_even_the_schema(tmp_path: Path) -> None:
    code = "import sys; from sdar_cli.cli.main import main; main(['--help']); print('pydantic' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.rstrip().endswith("False")
