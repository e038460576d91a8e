"""What must not be imported: help, dry runs and lists load no heavy package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
import json, sys
from sdar_cli.cli.main import main

found = []
for words in json.loads(sys.argv[1]):
    code = main(words)
    found.append([words, code, sorted(set({HEAVY!r}) & set(sys.modules))])
print(json.dumps(found), file=sys.stderr)
"""
COMMANDS = [
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
]


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """In one process: what a command loads is there after all that follow it, too."""
    command = [sys.executable, "-c", PROBE, json.dumps(COMMANDS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stderr.splitlines()[-1])
    assert found == [[words, 0, []] for words in COMMANDS]


def test_the_overview_loads_not_even_the_schema(tmp_path: Path) -> None:
    code = "import sys; from sdar_cli.cli.main import main; main(['--help']); print('pydantic' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.rstrip().endswith("False")
