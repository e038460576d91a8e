"""Recipes in the folders of runs that earlier versions made."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import RecipeError, SdarWarning
from sdar_cli.runs.store import RunFolder

PASSWORD = "Zq9xK"
URIS = {
    f"http://me:{PASSWORD}@host:5000": "http://***@host:5000",
    f"http://{PASSWORD}@host:5000": "http://***@host:5000",
    f"https://host:5000/?token={PASSWORD}": "https://host:5000/?token=***",
    f"postgresql://me:{PASSWORD} x@db/mlflow": "postgresql://***@db/mlflow",
}


def with_uri(run: RunFolder, uri: str) -> Path:
    file = run.path / "recipe.yaml"
    text = file.read_text()
    assert "  uri: null\n" in text
    file.write_text(text.replace("  uri: null\n", f"  uri: {uri}\n"))
    return file


@pytest.mark.parametrize(("uri", "shown"), URIS.items())
def test_a_password_is_left_out_and_said(run: RunFolder, uri: str, shown: str) -> None:
    before = run.recipe()
    file = with_uri(run, uri)
    with pytest.warns(SdarWarning) as said:
        recipe = run.recipe()
    assert recipe.tracking.uri == shown
    assert recipe.model_copy(update={"tracking": before.tracking}) == before
    (warning,) = said
    line = 1 + file.read_text().splitlines().index(f"  uri: {uri}")
    assert str(warning.message).startswith(f"{file}:{line}: tracking.uri holds a user or a password, and is read as ")
    assert PASSWORD not in str(warning.message)


def test_others_are_read_in_silence_and_damaged_ones_are_refused(run: RunFolder) -> None:
    file = with_uri(run, "http://host:5000")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run.recipe().tracking.uri == "http://host:5000"
        file.write_text(file.read_text().replace("http://host:5000", "5"))
        with pytest.raises(RecipeError, match=r"tracking\.uri is 5"):
            run.recipe()
        for text in ("", "[]", "tracking: 5", "tracking: {uri: [a@b]}", "\tx"):
            file.write_text(text)
            with pytest.raises(RecipeError):
                run.recipe()


@pytest.mark.filterwarnings("default::sdar_cli.errors.SdarWarning")
@pytest.mark.parametrize("command", ["export", "eval"])
def test_the_command_line_says_it_on_a_line(run: RunFolder, capsys: pytest.CaptureFixture[str], command: str) -> None:
    with_uri(run, f"http://me:{PASSWORD}@host:5000")
    assert main([command, str(run.path)]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in (out + err).splitlines() if "no checkpoint" not in line]
    assert len(lines) == 1 and lines[0].startswith(str(run.path)) and "tracking.uri holds a user" in lines[0]
    assert PASSWORD not in out + err
