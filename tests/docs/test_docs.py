"""What the pages tell a reader to type works.

Every ``console`` block carries a directive. ``<!-- run -->``: run here, with the real command line, in a
folder that holds the page's ``<!-- file: name -->`` blocks; the output that the page shows must come, with
``...`` for any lines. ``<!-- slow: what runs it -->``: checked for commands and options that exist.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from markdown_blocks import Block, blocks

from sdar_cli.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
ALL = [block for page in PAGES for block in blocks(page)]
CONSOLE = [block for block in ALL if block.language == "console"]
RUN = [block for block in CONSOLE if block.directive == "run"]
SLOW = [(block, command) for block in CONSOLE if block.directive != "run" for command, _ in block.commands]


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    page = request.getfixturevalue("block").page
    for file in blocks(page):
        if file.directive and file.directive.startswith("file:"):
            (tmp_path / file.directive.removeprefix("file:").strip()).write_text(file.text)
    return tmp_path


@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_every_console_block_says_how_it_is_held(block: Block) -> None:
    assert block.directive is not None, f"{block} has no directive: put <!-- run --> or <!-- slow: ... --> before it"
    assert re.fullmatch(r"run|slow: \S.*", block.directive), block.directive
    assert block.commands, f"{block} has no line that starts with '$ '"
    assert block.text.startswith("$ ")


def test_commands_stand_in_console_blocks_only() -> None:
    elsewhere = [block for block in ALL if block.language != "console" and re.search(r"^\$ ", block.text, re.M)]
    assert not elsewhere, f"{elsewhere[0]} shows commands: make it a console block"
    assert RUN and SLOW


@pytest.mark.parametrize("block", RUN, ids=str)
def test_documented_commands_run(block: Block, folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SDAR_RUNS": str(folder / "runs"),
        "COLUMNS": "120",
    }
    for command, shown in block.commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}: {command}\n{done.stdout}{done.stderr}"
        assert_shown(shown, done.stdout, f"{block}: {command}")


def assert_shown(shown: list[str], output: str, where: str) -> None:
    """Lines of the page occur in the output, in their order."""
    lines = iter(line.rstrip() for line in output.splitlines())
    for line in shown:
        if line.strip() and line.strip() != "...":
            assert line.rstrip() in lines, f"{where}\nnot in the output: {line!r}\n{output}"


@pytest.mark.parametrize(
    ("block", "command"),
    [pair for pair in SLOW if Path(pair[1].split()[0]).name == "sdar"],
    ids=lambda value: str(value)[:60],
)
def test_slow_sdar_commands_have_options_that_exist(block: Block, command: str) -> None:
    words = [word for word in shlex.split(command, comments=True) if "=" not in word or word.startswith("-")]
    while words and Path(words[0]).name != "sdar":
        words.pop(0)
    if not words:
        return
    help_text, rest = help_of(words[1:])
    for word in rest:
        if word.startswith("-"):
            option = word.split("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text), f"{block}: {command}: {option}"


_HELP: dict[tuple[str, ...], str] = {}


def help_of(words: list[str]) -> tuple[str, list[str]]:
    """Help of the command that ``words`` begin with (groups have two words), and the words after it."""
    groups = ("recipes", "skills", "runs", "data", "panel", "retriever", "sweep")
    depth = 2 if words[:1] and words[0] in groups and len(words) > 1 and words[1][0].isalpha() else 1
    path = tuple(words[:depth])
    if path not in _HELP:
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            patch.setenv("COLUMNS", "160")
            assert main([*path, "--help"]) == 0, f"sdar {' '.join(path)} --help"
        _HELP[path] = out.getvalue()
    return _HELP[path], words[depth:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_method_page_lists_the_metric_names_of_the_code() -> None:
    page = (ROOT / "docs" / "method.md").read_text()
    for name in (
        "gap/mean",
        "gap/std",
        "gap/negative",
        "gate/mean",
        "gate/active",
        "teacher/task_skill_fraction",
    ):
        assert f"`{name}`" in page
        assert any(f'"{name}"' in code.read_text() for code in (ROOT / "sdar_cli" / "training").glob("*.py")), name
