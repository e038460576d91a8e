"""The entry point: exit codes, sentences, ``--debug``, help."""

from __future__ import annotations

import pytest

from sdar_cli.cli import commands, main
from sdar_cli.cli.commands import COMMANDS, Entry
from sdar_cli.errors import RunFailed


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "there is no command 'trian': did you mean 'train'?"),
        (["xyzzy"], "there is no command 'xyzzy': see `sdar --help`"),
        (["--verson"], "there is no option '--verson' for `sdar`: did you mean '--version'?"),
        (
            ["train", "--recpie", "x"],
            "there is no option '--recpie' for `sdar train`: did you mean '--recipe'?",
        ),
        (["train", "--zzz"], "there is no option '--zzz' for `sdar train`: see `sdar train --help`"),
        (["train"], "missing option '--recipe' / '-r': see `sdar train --help`"),
        (["train", "--recipe"], "option '--recipe' requires an argument: see `sdar --help`"),
        (["train", "--recipe", "quickstart", "--seed", "x"], "invalid value for '--seed'"),
        (["eval", "--both", "--skills"], "--no-skills, --skills and --both exclude each other"),
        (["eval", "--tasks", "3", "--panel", "x"], "--tasks and --panel both choose the panel"),
        (["eval", "--tasks", "0"], "invalid value for '--tasks'"),
        (["eval", "--checkpoint", "worst"], "--checkpoint is 'worst', but must be a step, 'base', 'best' or 'last'"),
        (["recipes", "shwo"], "no such command 'shwo'"),
        (["ui", "--host", "0.0.0.0"], "which asks them for a token"),
        (["ui", "--host", "example.org"], "which asks them for a token"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ") and says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_s_help_shows_a_usage(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"Usage: sdar {name} " in out.replace("Usage: sdar " + name + " [", "", 1)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name, entry in COMMANDS.items():
        assert f"  {name}" in out and entry.help in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert (code, out.split()[0]) == (0, "sdar")


def test_nothing_at_all_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert code == 2
    assert "Commands:" in out + err


class Raising:
    """A stand-in for a command's module, whose command raises what it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def call(self) -> None:
        raise self.error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Raising:
    stand_in = Raising(RuntimeError("boom\nand more"))
    monkeypatch.setitem(COMMANDS, "fail", Entry("fail", "call", "Fails."))
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: stand_in)
    return stand_in


def test_a_bug_says_so(capsys: pytest.CaptureFixture[str], failing: Raising, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run(capsys, "fail")
    assert code == 1
    assert "error: RuntimeError: boom and more; this is a bug in sdar" in err
    assert "Traceback" not in err and err.count("\n") == 1
    code, _, err = run(capsys, "fail", "--debug")
    assert code == 1 and "Traceback" in err
    monkeypatch.setenv("SOME_PRIVATE_KEY", "boom\nand")
    code, _, err = run(capsys, "fail")
    assert err.startswith("error: RuntimeError: *** more; this is a bug")


def test_our_own_failure_is_exit_code_1(capsys: pytest.CaptureFixture[str], failing: Raising) -> None:
    failing.error = RunFailed("it did not work: try again")
    assert run(capsys, "fail") == (1, "", "error: it did not work: try again\n")
    assert "Traceback" in run(capsys, "--debug", "fail")[2]


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str], failing: Raising) -> None:
    failing.error = KeyboardInterrupt()
    assert run(capsys, "fail")[0] == 130


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "tr\x1b[31main")
    assert "\x1b" not in err
