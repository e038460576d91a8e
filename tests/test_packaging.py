"""What is built is what is in the tree: packages, data files, metadata and pins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

PACKAGE_FOLDERS = {"sdar_cli": "sdar_cli", "envs": "sdar_envs", "recipes": "sdar_recipes"}
"""Folder of the tree → import name."""


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def tree(repository: Path) -> set[str]:
    """Every file of the three packages, under its installed name."""
    files = {
        path.relative_to(repository)
        for folder in PACKAGE_FOLDERS
        for path in (repository / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    return {Path(PACKAGE_FOLDERS[file.parts[0]], *file.parts[1:]).as_posix() for file in files}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline by the project's own backend from a copy of the tree."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, copy)
    for folder in PACKAGE_FOLDERS:
        shutil.copytree(repository / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(copy / "dist")],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_wheel_holds_exactly_the_tree(wheel: Path, tree: set[str]) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert tree - names == set(), "in the tree, not in the wheel: see [tool.setuptools] in pyproject.toml"
    assert names - tree == set()


def test_git_ignores_no_source(repository: Path) -> None:
    """A pattern such as ``runs/`` in .gitignore would keep a package of that name out of every clone."""
    if shutil.which("git") is None or not (repository / ".git").exists():
        pytest.skip("not a git checkout")
    listing = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--", *PACKAGE_FOLDERS, "tests"]
    ignored = subprocess.run(listing, cwd=repository, capture_output=True, text=True, check=True).stdout.split("\n")
    assert [path for path in ignored if path and "__pycache__" not in path] == []


def test_packages_are_listed(project: dict[str, Any], tree: set[str]) -> None:
    with_code = {Path(name).parent.as_posix().replace("/", ".") for name in tree if name.endswith(".py")}
    assert set(project["tool"]["setuptools"]["packages"]) == with_code


def test_wheel_runs_without_the_tree(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import sdar_cli, sdar_envs.household.environment as e, sdar_recipes, sdar_cli.cli.main as m\n"
        "from importlib.resources import files\n"
        "recipe = files(sdar_recipes) / 'quickstart.yaml'\n"
        "assert recipe.is_file()\n"
        "print(sdar_cli.__file__, e.__file__, m.__file__, recipe, sep='\\n')\n"
        "assert callable(m.main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(tmp_path), line


def test_metadata(wheel: Path, repository: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: <3.13,>=3.11" in metadata
    assert archive.read(f"{info}/licenses/LICENSE").decode() == (repository / "LICENSE").read_text()
    assert "sdar = sdar_cli.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_constraints_pin_what_is_required(project: dict[str, Any], repository: Path) -> None:
    pins = dict(line.split("==") for line in (repository / "constraints.txt").read_text().split())
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["alfworld"], *extras["test"], *extras["dev"]]
    requirements = [Requirement(text) for text in wanted]
    requirements = [r for r in requirements if r.name not in ("sdar", "setuptools")]
    for requirement in requirements:
        assert requirement.specifier.contains(pins[requirement.name.lower()]), str(requirement)


LIGHT = (
    "sdar_cli/cli/",
    "sdar_cli/recipe/",
    "sdar_cli/runs/",
    "sdar_cli/compare/",
    "sdar_cli/skills/",
    "sdar_cli/statistics/",
    "sdar_cli/sweep/",
    "sdar_envs/",
    "sdar_recipes/",
)
LIGHT_FILES = (
    "sdar_cli/evaluation/panel.py",
    "sdar_cli/rollout/episode.py",
)
HEAVY = ("torch", "transformers", "trl", "mlflow", "textworld", "matplotlib", "pandas")


def test_light_modules_import_nothing_heavy(tree: set[str]) -> None:
    files = sorted(n for n in tree if n.endswith(".py") and (n.startswith(LIGHT) or n in LIGHT_FILES))
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files]
    assert len(modules) > 30
    code = (
        "import importlib, sys\n"
        f"for module in {modules!r}:\n"
        "    importlib.import_module(module)\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not heavy, f'{module} imports {heavy} when it is imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
