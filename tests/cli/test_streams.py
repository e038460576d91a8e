"""Standard streams as they come: full, closed, of an encoding without our letters; and what the screen is sent."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdar_cli.cli import render, streams
from sdar_cli.cli.display import Display
from sdar_cli.cli.errors import print_error
from sdar_cli.cli.main import main

SDAR = f"{sys.executable} -m sdar_cli.cli.main"
ESCAPES = "\x1b]0;owned\x07 \x1b[2J \x9b31m \u202e \x85 \u2028 \udcff end"


def shell(script: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    for words in ("recipes ls", "recipes show quickstart --json"):
        done = shell(f"{SDAR} {words} > /dev/full", tmp_path)
        assert done.returncode == 1
        assert done.stderr == (
            b"error: standard output cannot be written (No space left on device): make room, or send it elsewhere\n"
        )


def test_what_is_closed_is_done_without(tmp_path: Path) -> None:
    """Also where a file would get a closed stream's number."""
    done = shell(f"{SDAR} recipes cp quickstart mine.yaml <&- >&- 2>&-; echo $?; head -c 4 mine.yaml", tmp_path)
    assert done.stdout.splitlines() == [b"0", b"# Fr"]
    assert shell(f"{SDAR} recipes nonsense 2>/dev/full", tmp_path).returncode == 2


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    done = shell(f"{SDAR} recipes show quickstart | head -c 1; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout in (b"n141\n", b"n0\n"), "0: all was written before the reader left"
    assert done.stderr == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_lacks_a_letter(tmp_path: Path, encoding: str) -> None:
    words = "recipes show quickstart 'description=größer…🦊'"
    shown = shell(f"{SDAR} {words} --json", tmp_path, PYTHONIOENCODING=encoding)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert json.loads(shown.stdout.decode(encoding))["recipe"]["description"] == "größer…🦊"
    talk = shell(f"{SDAR} {words} gate.bata=…; {SDAR} {words} >/dev/null", tmp_path, PYTHONIOENCODING=encoding)
    assert talk.stderr.startswith(b"error: the override gate.bata=") and talk.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "text", [ESCAPES, "\ud800", "a\nerror: b", "x" * 10**6, "日" * 5000, "\x00" * 5000, "e\u0301" * 4000]
)
def test_an_error_is_one_printable_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    for words in (["recipes", "show", f"{text}.yaml"], ["recipes", "show", "quickstart", f"{text}=1"], [text]):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and err.endswith("\n")
        assert err[:-1].isprintable() and len(err.encode()) <= 2100
    print_error(text)
    assert capsys.readouterr().err.count("\n") == (2 if "\n" in text else 1)


def obeyed(text: str) -> set[str]:
    """Characters of the escapes that a terminal obeys, or that nobody sees."""
    return set(text) & set(ESCAPES) - set(" owned]0;[2J31mend")


def test_no_text_reaches_the_terminal_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    streams.prepare()
    render.say(ESCAPES)
    render.note(ESCAPES)
    render.print_table(("a", "b"), [(ESCAPES, "x")])
    with Display() as display:
        display.message(ESCAPES)
        display.phase(ESCAPES, 3)
        display.advance(3, 3, ESCAPES)
    out, err = capsys.readouterr()
    assert not obeyed(out) and not obeyed(err)
    assert out.count("⟨U+001B⟩") == 4 and err.count("⟨U+009B⟩") == 5


def test_a_live_display_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    with Display() as display:
        display.phase(ESCAPES, 3)
        display.advance(2, 3, ESCAPES)
        display.message(ESCAPES)
    shown = screen.getvalue()
    assert "]0;owned" in shown and "⟨U+001B⟩]0;owned" in shown
    assert "\x1b]" not in shown and not obeyed(shown) - {"\x1b"}, "rich's own colours and movements are there"


class Lost(io.StringIO):
    """A terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        self.write("")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("live", [False, True])
def test_work_goes_on_where_talk_cannot_be_heard(monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    screen = Lost()
    monkeypatch.setattr(screen, "isatty", lambda: live)
    monkeypatch.setattr(sys, "stderr", screen)
    with Display() as display:
        display.phase("training", 3)
        display.message("as it is")
        display.advance(3, 3)
    render.note("on")
    print_error("and on: really")


@pytest.mark.parametrize(
    ("error", "code", "says"), [(MemoryError(), 1, "memory ran out"), (RecursionError("deep"), 2, "nested too deeply")]
)
def test_what_python_ran_out_of_has_its_own_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("sdar_cli.recipe.load.load_recipe", fail)
    assert main(["recipes", "show", "quickstart"]) == code
    err = capsys.readouterr().err
    assert says in err and "bug in sdar" not in err and err.count("\n") == 1
