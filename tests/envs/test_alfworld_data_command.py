"""``sdar data alfworld``: what it shows, and its errors."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_envs.alfworld.generated import Suite, generate

if importlib.util.find_spec("alfworld") is None:
    pytest.skip("the alfworld extra is not installed", allow_module_level=True)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["data", "alfworld", *arguments])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return status or 0, captured.out, captured.err


@pytest.mark.engine
def test_check_counts_and_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = generate(Suite(train=4, test=2, seed=7, receptacles=5, things=3, max_expert_turns=14))
    status, out, _ = run(capsys, "--check", "--data", str(folder), "--json")
    assert status == 0
    train, seen, unseen = json.loads(out)
    assert (train["split"], train["games"], train["expected"], train["refused"]) == ("train", 4, 3553, [])
    assert (seen["games"], unseen["games"]) == (0, 0)
    game = next((folder / "json_2.1.1" / "train").rglob("game.tw-pddl"))
    copy = tmp_path / "json_2.1.1" / "train" / game.parent.name / "trial" / "game.tw-pddl"
    copy.parent.mkdir(parents=True)
    copy.write_text(game.read_text().replace("You open the", "You {exit()} the"))
    status, out, err = run(capsys, "--data", str(tmp_path))
    assert status == 2
    assert "train" in out
    assert err.startswith(f"error: {copy} is refused because its grammar is not a known one: ")


@pytest.mark.engine
def test_generate_shows_the_games(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--generate", "--train", "6", "--test", "1", "--seed", "5", "--json")
    assert status == 0
    shown = json.loads(out)
    assert sum(row["games"] for row in shown["splits"]) == 7
    assert (Path(shown["folder"]) / "index.json").exists()
    _, out, err = run(capsys, "--generate", "--train", "6", "--test", "1", "--seed", "5")
    assert "pick_two_obj_and_place" in out
    assert shown["folder"] in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--data", "/nowhere"),
            "error: the official ALFWorld games are not at /nowhere/json_2.1.1/train: run",
        ),
        (("--generate", "--check"), "error: --generate makes games of its own: leave out"),
        (
            ("--train", "3"),
            "error: --recipe, --train, --test and --seed are for generated games: add --generate",
        ),
        (("--generate", "--train", "0"), "error: --train must be at least 1, not 0: ask for more games"),
        (("--generate", "--train", "1" + "0" * 30), "error: --train cannot be 1000000000000000000000000000000 ("),
        (("--generate", "--test", "9" * 400), "error: --test cannot be 999999999999999999999999999999999999999… ("),
        (("--generate", "--recipe", "quickstart"), "error: the recipe quickstart does not play generated"),
    ],
)
def test_errors_are_one_sentence(arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1
