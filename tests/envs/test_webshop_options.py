"""The shop's options: what they change, what they leave as it is, and what is said when they cannot be met."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdar_cli.environments import build_environment
from sdar_cli.errors import EnvironmentSetupError, PanelError, RecipeError
from sdar_cli.evaluation.panel import Panel
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_envs.webshop.environment import Webshop, WebshopOptions


def generated(**options: Any) -> Webshop:
    return Webshop(WebshopOptions.model_validate({"products": "generated", "size": 140, "test": 40} | options))


def test_what_lies_beside_tasks_does_not_change_them() -> None:
    full, brief = (list(generated(brief=brief).tasks("test")) for brief in (False, True))
    assert full == brief
    assert full != list(generated(seed=1).tasks("test"))
    panels = [Panel.make(generated(brief=brief), "test", 10, 0).digest for brief in (False, True)]
    assert panels[0] == panels[1]


def test_the_leaking_split_is_one_more_and_no_panel_is_drawn_from_it() -> None:
    leaking, sound = generated(legacy_split=True), generated()
    assert (leaking.splits, sound.splits, Webshop.splits) == (
        ("train", "test", "unseen"),
        ("train", "test"),
        ("train", "test"),
    )
    train = {task.id for task in leaking.tasks("train")}
    assert {task.id for task in leaking.tasks("test")} & train
    with pytest.raises(PanelError, match="tasks of the panel are training tasks"):
        Panel.make(leaking, "test", 40, 0).check_disjoint(leaking.tasks("train"))
    unseen = leaking.tasks("unseen")
    Panel.make(leaking, "unseen", len(unseen), 0).check_disjoint(leaking.tasks("train"))
    with pytest.raises(EnvironmentSetupError, match="webshop has no split 'unseen': use one of train, test"):
        sound.tasks("unseen")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sise": 3}, "there is no key 'environment.options.sise': did you mean 'environment.options.size'?"),
        ({"products": "offical"}, "environment.options.products is 'offical', but must be 'official' or 'generated'"),
        ({"goals": "robot"}, "environment.options.goals is 'robot', but must be 'synthetic' or 'human'"),
        ({"size": 0}, "environment.options.size is 0, but must be a number of at least 1"),
        ({"test": 0}, "environment.options.test is 0, but must be a number of at least 1"),
        ({"train": 0}, "environment.options.train is 0, but must be"),
        ({"products": "generated", "data": "x"}, "set products=official, or leave data out"),
    ],
)
def test_options_that_do_not_exist_are_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        build_environment(EnvironmentSection(name="webshop", options=options))
    assert str(caught.value).startswith("the environment 'webshop': ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("by_option", [False, True])
def test_official_data_that_are_absent_name_the_command(
    by_option: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "nowhere"
    monkeypatch.setenv("SDAR_WEBSHOP", str(tmp_path / "other" if by_option else folder))
    shop = Webshop(WebshopOptions(data=str(folder) if by_option else None))
    with pytest.raises(EnvironmentSetupError) as caught:
        shop.tasks("test")
    assert str(caught.value).startswith(f"there is no store in {folder}: ")
    assert "`sdar data webshop --from FOLDER`" in str(caught.value)
    assert not folder.exists()


def test_too_few_goals_for_the_splits_say_how_many_there_are() -> None:
    with pytest.raises(EnvironmentSetupError, match=r"\d+ goals do not make 500 for test and some for train"):
        generated(size=2, test=500).tasks("train")
