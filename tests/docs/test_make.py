"""The Makefile and the CI script: what they would run, and what they say when something is missing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sdar_cli.recipe.load import load_recipe

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment as far as make looks: a folder with an interpreter."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


@pytest.fixture
def make(repository: Path, tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, tmp_path)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments], cwd=tmp_path, env=bare | environment, capture_output=True, text=True
        )

    return run


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_quickstart_installs_once(make, venv: Path) -> None:
    arguments = ["quickstart", f"VENV={venv}", "PIP=echo pip", "SDAR=echo sdar", "ARGS=train.steps=3 seed=1"]
    first = make(*arguments)
    assert first.returncode == 0, first.stderr
    assert "pip -e ." in first.stdout
    said = [line for line in first.stdout.splitlines() if line.startswith("sdar ")]
    assert said == ["sdar train --recipe quickstart train.steps=3 seed=1", "sdar eval latest --both"]
    assert first.stdout.splitlines()[-1].endswith("sdar ui")
    assert "pip" not in make(*arguments).stdout


def test_a_changed_constraint_installs_again(make, venv: Path, tmp_path: Path) -> None:
    arguments = ["quickstart", f"VENV={venv}", "PIP=echo pip", "SDAR=echo sdar"]
    make(*arguments)
    later = (venv / ".stamp-run").stat().st_mtime + 5
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert "pip -e ." in make(*arguments).stdout


def test_a_failed_installation_leaves_no_stamp(make, venv: Path) -> None:
    assert make("quickstart", f"VENV={venv}", "PIP=false", "SDAR=echo sdar").returncode == 2
    assert not (venv / ".stamp-run").exists()


def test_tests_run_on_two_single_threaded_workers(make, venv: Path) -> None:
    planned = make("-n", "test", f"VENV={venv}").stdout
    assert "-e '.[dev]'" in planned
    assert re.search(r"OMP_NUM_THREADS=1 .* -m pytest -n 2", planned)


def test_missing_python_is_one_sentence(make, tmp_path: Path) -> None:
    done = make("quickstart", f"VENV={tmp_path / 'none'}", "PYTHON=")
    assert done.returncode == 2
    assert error_line(done).startswith("error: no Python 3.11 or 3.12 was found: install one")


def test_wrong_python_is_one_sentence(make, tmp_path: Path) -> None:
    wrong = tmp_path / "python3.9"
    wrong.write_text("#!/bin/sh\nexit 1\n")
    wrong.chmod(0o755)
    done = make("quickstart", f"VENV={tmp_path / 'none'}", f"PYTHON={wrong}")
    assert done.returncode == 2
    assert error_line(done) == (
        f"error: {wrong} is not Python 3.11 or 3.12: name another, make PYTHON=/path/to/python3.11"
    )
    assert not (tmp_path / "none").exists()


def test_missing_compiler_is_one_sentence(make, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "echo", "touch", "make"):
        (tools / name).symlink_to(shutil.which(name) or name)
    bare = tmp_path / "bare"
    (bare / "bin").mkdir(parents=True)
    (bare / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (bare / "bin" / "python").chmod(0o755)
    done = make("test", f"VENV={bare}", PATH=str(tools))
    assert done.returncode == 2
    assert error_line(done).startswith("error: g++ is missing")


def test_ci_overrides_fit_the_recipe(repository: Path) -> None:
    script = repository / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    (arguments,) = re.findall(r'make quickstart ARGS="(.*?)"', text, re.DOTALL)
    resolved = load_recipe("quickstart", [], shlex.split(arguments.replace("\\\n", "")))
    assert resolved.recipe.train.steps <= 5
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
