"""The panels that come with the package: each is what its command makes, or a sound list of official games."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.evaluation.panel_files import find_panel, shipped_panels
from sdar_cli.recipe.load import load_recipe, shipped_folder
from sdar_cli.recipe.plan import panel_facts
from sdar_envs.alfworld.world import TASK_TYPES

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = {"alfworld-valid-seen-128": 128, "alfworld-valid-seen-140": 140}


def made_by() -> dict[str, list[str]]:
    """Shipped panel → the command that docs/panels.md gives for it."""
    page = (ROOT / "docs" / "panels.md").read_text()
    found = [shlex.split(text) for text in re.findall(r"`(sdar panel make [^`]*--out recipes/panels/[^`]*)`", page)]
    return {Path(words[words.index("--out") + 1]).stem: words for words in found}


def test_every_shipped_panel_has_a_command_and_only_those() -> None:
    assert sorted(made_by()) == shipped_panels()
    for name in shipped_panels():
        assert find_panel(name).by_type and find_panel(name).settings


@pytest.mark.parametrize("name", [name for name, words in made_by().items() if "--data" not in words])
def test_a_generated_panel_comes_out_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "alfworld-generated":
        if importlib.util.find_spec("alfworld") is None:
            pytest.skip("the alfworld extra is not installed")
        # The games' drawing decides; writing a thousand of them and walking through each is left out.
        monkeypatch.setattr("sdar_envs.alfworld.generated._write_all", lambda *arguments: None)
        monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    words = made_by()[name][1:]
    words[words.index("--out") + 1] = "again.json"
    assert main(words) == 0, capsys.readouterr().err
    assert Path("again.json").read_bytes() == (shipped_folder() / "panels" / f"{name}.json").read_bytes()


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_panel_holds_games_of_valid_seen(name: str) -> None:
    panel = find_panel(name)
    assert (panel.environment, panel.split, panel.seed) == ("alfworld", "valid_seen", 0)
    assert len(panel) == OFFICIAL[name] == len(set(panel.task_ids))
    assert set(panel.task_types) == set(TASK_TYPES)
    for task_id, task_type in zip(panel.task_ids, panel.task_types, strict=True):
        shape = rf"valid_seen/{task_type}-[A-Za-z]+-None-[A-Za-z]+-\d+/trial_T\d{{8}}_\d{{6}}_\d{{6}}"
        assert re.fullmatch(shape, task_id), task_id


def test_the_smaller_official_panel_begins_the_larger_one() -> None:
    smaller, larger = find_panel("alfworld-valid-seen-128"), find_panel("alfworld-valid-seen-140")
    assert larger.task_ids[:128] == smaller.task_ids and larger.options == smaller.options
    # What the release has of each type; the smaller one leaves out what the two largest have too many of.
    assert sorted(larger.by_type.values()) == [13, 16, 24, 25, 27, 35]
    assert sorted(smaller.by_type.values()) == [13, 16, 24, 25, 25, 25]


def test_a_recipe_takes_a_shipped_panel_by_its_name() -> None:
    def digest(*overrides: str) -> str | None:
        return panel_facts(load_recipe("quickstart", [], overrides)).digest

    assert digest("evaluation.panel=household") == digest() == find_panel("household").digest


def test_a_recipe_whose_options_are_others_is_refused_before_it_trains(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["evaluation.panel=household", "environment.options.clutter=2"]
    assert main(["train", "--recipe", "quickstart", *overrides, "--dry-run"]) == 2
    says = capsys.readouterr().err
    assert says.count("\n") == 1 and "with other options (clutter is 1 in the panel and 2 here)" in says
