"""From what was typed to the cells of a study and the recipe of each run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sdar_cli.errors import UserError
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.dump import dump, recipe_digest
from sdar_cli.recipe.load import load_recipe
from sdar_cli.sweep.make import Made, Wish, make_spec
from sdar_cli.sweep.spec import StudySpec


def made(*words: str, recipe: str = "quickstart", **wish) -> Made:
    return make_spec(Wish(recipe, words, **wish))


def spec_of(*words: str, **wish) -> StudySpec:
    return made(*words, **wish).spec


def error_of(*words: str, **wish) -> str:
    with pytest.raises(UserError) as error:
        made(*words, **wish)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_readmes_example() -> None:
    spec = spec_of("gate.temperature=0.1,0.2,1,5", seeds="3")
    assert spec.search == "grid" and spec.total_cells == 4 and spec.total_runs == 12 and spec.seeds == (0, 1, 2)
    assert spec.grid() == tuple({"gate.temperature": value} for value in (0.1, 0.2, 1, 5))
    assert spec.label(spec.grid()[0]) == "gate.temperature=0.1"
    assert spec.run_recipe(spec.grid()[0], 2).recipe.gate.beta == 10.0
    assert spec.run_recipe(spec.grid()[0], 2).recipe.seed == 2
    assert re.fullmatch(r"quickstart-\d{8}-\d{6}-[0-9a-f]{4}", spec.name)
    assert spec.run_name(3, 1) == f"{spec.name}-c003-s1"


def test_the_grid_is_in_the_order_of_the_words() -> None:
    spec = spec_of("gate.beta=1,2", "distill.coef=0.1,0.2")
    assert [spec.label(params) for params in spec.grid()] == [
        "gate.beta=1 distill.coef=0.1",
        "gate.beta=1 distill.coef=0.2",
        "gate.beta=2 distill.coef=0.1",
        "gate.beta=2 distill.coef=0.2",
    ]


@pytest.mark.parametrize("method", list(OBJECTIVES))
def test_a_method_brings_its_own_settings_as_in_a_training(method: str) -> None:
    spec = spec_of(f"method={method},sdar" if method != "sdar" else "method=sdar,grpo", "train.steps=7")
    recipe = spec.run_recipe({"method": method}, 5).recipe
    alone = load_recipe("quickstart", overrides=["train.steps=7", "seed=5"], options={"method": ("--method", method)})
    assert recipe.model_dump(exclude={"tracking"}) == alone.recipe.model_dump(exclude={"tracking"})


def test_a_run_can_be_repeated_by_the_command_that_is_shown() -> None:
    spec = spec_of("gate.temperature=0.1,5", "method=grpo,sdar", "skills.bank='a b'", "seed=9", seeds="2")
    assert spec.seeds == (9, 10)
    for params in spec.grid():
        command = spec.run_command(params, 10)
        assert command[:4] == ["sdar", "train", "--recipe", "quickstart"]
        alone = load_recipe("quickstart", overrides=command[4:]).recipe
        recipe = spec.run_recipe(params, 10).recipe
        assert recipe.model_dump(exclude={"tracking"}) == alone.model_dump(exclude={"tracking"})


def test_options_overlays_and_files_are_kept_with_the_study(tmp_path: Path) -> None:
    overlay = tmp_path / "over.yaml"
    overlay.write_text("train: {steps: 9}\nmethods: {grpo: {policy: {kl_coef: 0.5}}}\n")
    file = tmp_path / "mine.yaml"
    file.write_text("extends: quickstart\nrollout: {tasks: 3}\n")
    options = {"model.path": ("--model", "nowhere"), "tracking.uri": ("--tracking-uri", "sqlite:///x.db")}
    spec = spec_of("method=sdar,grpo", recipe=str(file), overlays=[overlay], options=options)
    file.unlink()
    overlay.unlink()
    recipe = spec.run_recipe({"method": "grpo"}, 0).recipe
    assert (recipe.name, recipe.train.steps, recipe.rollout.tasks, recipe.policy.kl_coef) == ("quickstart", 9, 3, 0.5)
    assert recipe.model.path == "nowhere" and recipe.model.tiny is None and recipe.warmup is None
    assert recipe.tracking.uri == "sqlite:///x.db"
    assert spec.run_recipe({"method": "sdar"}, 0).recipe.policy.kl_coef != 0.5
    words = ["--model", "nowhere", "--tracking-uri", "sqlite:///x.db"]
    assert spec.run_command({"method": "grpo"}, 0) == [
        *["sdar", "train", "--recipe", str(file), "-c", str(overlay), *words, "method=grpo", "seed=0"]
    ]


def test_a_specification_survives_json() -> None:
    spec = spec_of(
        "gate.beta=0.5,1,1.5",
        "distill.coef=log:1e-3..1e-1",
        "gate.detach=true,false",
        search="tpe",
        cells=5,
        metric="score",
        note="ü",
    )
    again = StudySpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert again == spec
    assert again.run_recipe({"gate.beta": 1, "distill.coef": 0.01}, 1) == spec.run_recipe(
        {"gate.beta": 1, "distill.coef": 0.01}, 1
    )


def test_runs_find_their_study_in_mlflow() -> None:
    spec = spec_of("gate.beta=1,2", name="st").model_copy(update={"mlflow_parent": "ab12", "tracking_uri": "http://x"})
    tracking = spec.run_recipe({"gate.beta": 1}, 0, 7).recipe.tracking
    assert (tracking.parent, tracking.uri, tracking.group) == ("ab12", "http://x", "st")
    assert tracking.tags == {"sdar.study": "st", "sdar.setting": "gate.beta=1", "sdar.cell": "007"}
    spec = spec_of("gate.beta=1,2", "tracking.group=mine", "tracking.tags.team=a", name="st")
    tracking = spec.run_recipe({"gate.beta": 1}, 0, 7).recipe.tracking
    assert tracking.group == "mine" and tracking.tags["team"] == "a"


def test_the_recipe_of_a_run_is_read_back_from_its_file(tmp_path: Path) -> None:
    spec = spec_of("gate.temperature=0.3,1", name="st")
    recipe = spec.run_recipe({"gate.temperature": 0.3}, 1, 2).recipe
    (tmp_path / "run.yaml").write_text(dump(recipe))
    assert recipe_digest(load_recipe(str(tmp_path / "run.yaml")).recipe) == recipe_digest(recipe)


class TestWhatNothingReads:
    """Values that only some cells read."""

    def test_is_left_out_of_cells_that_do_not_read_it(self) -> None:
        whole = made("gate.temperature=0.1,0.2", "method=grpo,sdar,skill_sd", "distill.coef=0.5")
        labels = [whole.spec.label(params) for params in whole.spec.grid()]
        assert labels == [
            "method=grpo",
            "gate.temperature=0.1 method=sdar",
            "method=skill_sd",
            "gate.temperature=0.2 method=sdar",
        ]
        assert whole.combinations == 6
        assert whole.spec.run_recipe({"method": "skill_sd"}, 0).recipe.distill.coef == 0.5
        assert whole.spec.run_overrides({"method": "grpo"}, 0) == ["method=grpo", "seed=0"]

    def test_choices_that_come_to_the_same_are_one_cell(self) -> None:
        spec = spec_of("gate.kind=gap,entropy", "gate.normalise=none,zscore")
        assert [spec.label(params) for params in spec.grid()] == [
            "gate.kind=gap gate.normalise=none",
            "gate.kind=gap gate.normalise=zscore",
            "gate.kind=entropy gate.normalise=none",
        ]

    def test_an_axis_that_no_cell_reads_is_refused(self) -> None:
        sentence = error_of("gate.temperature=0.1,0.2", "method=grpo")
        assert sentence.startswith(
            "the axis gate.temperature=0.1: gate.temperature has no effect with method=grpo: remove it, or choose"
        )

    def test_an_override_that_no_cell_reads_is_refused(self) -> None:
        sentence = error_of("distill.coef=0.1", "method=grpo,rloo")
        assert sentence.startswith("the override distill.coef=0.1: distill.coef has no effect with method=grpo")

    def test_random_settings_differ_all_the_same(self) -> None:
        spec = spec_of("distill.coef=log:1e-3..1e-1", "method=grpo,sdar", cells=12)
        assert spec.search == "random"
        assert len({spec.label(params) for params in spec.grid()}) == 12
        assert sum(params["method"] == "grpo" for params in spec.grid()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gate.temprature=1,2"], "the axis gate.temprature=1: there is no key 'gate.temprature': did you mean"),
        (["gate.temperature=1,-2"], "the axis gate.temperature=-2: gate.temperature must be a number above 0, not -2"),
        (["gate.beta=1,x"], "the axis gate.beta=x: gate.beta is 'x', but must be a number: correct the value"),
        (["train.steps=10,2.5"], "the axis train.steps=2.5: train.steps is 2.5, but must be a whole number"),
        (["method=grpo,sdra"], "the axis method=sdra: method is 'sdra', but must be"),
        (["environment=household,nowhere"], "the axis environment=nowhere: there is no environment 'nowhere'"),
        (["gate.beta=1,2", "train.stepz=3"], "the override train.stepz=3: there is no key 'train.stepz'"),
        (
            ["method=grpo,sdar", "skills.retrieval=task_type,none"],
            "the setting method=sdar skills.retrieval=none cannot work: quickstart: a teacher has nothing to read with",
        ),
        (["gate.beta=0..1"], "with gate.beta=0..1 a study does not end by itself: say how many settings to try, for"),
        (["gate.beta=1,2", "extends=a"], "the override 'extends=a' cannot change what a recipe extends"),
    ],
)
def test_settings_that_cannot_work(words: list[str], sentence: str) -> None:
    assert error_of(*words).startswith(sentence)


@pytest.mark.parametrize(
    ("words", "wish", "sentence"),
    [
        (["gate.beta=0..1"], {"search": "grid"}, "gate.beta=0..1 has no end of values for a grid: list some (gate."),
        (["gate.beta=1,2"], {"cells": 3}, "--cells is for --search random and tpe, as a grid has all its settings"),
        (["gate.beta=1,2"], {"search": "tpe"}, "with --search tpe a study does not end by itself: say how many"),
        ([], {"search": "random", "cells": 3}, "nothing varies, so there is nothing for --search random to try"),
        (["gate.beta=1,2"], {"search": "random", "cells": 3}, "3 cells were asked for, but the space holds 2 settings"),
        (["gate.beta=0..1"], {"cells": 2001}, "--cells is 2001, but must be between 1 and 2,000: correct it"),
        (["gate.beta=int:1..2001"], {"search": "grid"}, "the grid has 2,001 combinations, and a study holds at most"),
        (["gate.beta=1,2"], {"prune": "median"}, "--prune median needs evaluations while training, and evaluation.ev"),
        (["gate.beta=1,2"], {"name": "a/b"}, "'a/b' cannot name a study: use letters, digits, '.', '_' and '-'"),
        (["gate.beta=1,2"], {"name": "latest"}, "'latest' cannot name a study"),
        (["gate.beta=1,2"], {"seeds": "0"}, "--seeds is 0, but must be between 1 and 1000: correct it"),
        (["gate.beta=1,2"], {"seeds": "3,3"}, "--seeds 3,3 holds a seed twice: list each once"),
        (["gate.beta=1,2"], {"seeds": "3,x"}, "--seeds is 3,x, but must be a number of seeds or a list such as 3,7,11"),
        (["gate.beta=1,2"], {"seeds": "3,4294967296"}, "--seeds is 3,4294967296, but must be a number of seeds"),
    ],
)
def test_searches_that_cannot_be(words: list[str], wish: dict, sentence: str) -> None:
    assert error_of(*words, **wish).startswith(sentence)


def test_every_setting_of_a_space_that_is_drawn_from_is_tried_at_its_corners() -> None:
    sentence = error_of("teacher.ema_decay=0..1.5", "teacher.kind=ema", cells=2)
    assert sentence.startswith("the axis teacher.ema_decay=1.5: teacher.ema_decay is 1.5, but must be")


def test_a_study_without_axes_is_one_cell() -> None:
    spec = spec_of("train.steps=9", seeds="7,8")
    assert spec.grid() == ({},) and spec.seeds == (7, 8) and spec.label({}) == "the recipe as it is"
    assert spec.run_recipe({}, 8).recipe.train.steps == 9


def test_a_base_that_is_no_recipe_by_itself() -> None:
    """The fixed override is read by one of the methods only, and not by the recipe's own."""
    spec = spec_of("method=rlsd,grpo", "credit.mu=0.3")
    assert [spec.label(params) for params in spec.grid()] == ["method=rlsd", "method=grpo"]
    assert spec.run_recipe({"method": "rlsd"}, 0).recipe.credit.mu == 0.3
    assert "quickstart" in spec.recipe_yaml


def test_what_makes_another_study() -> None:
    first = spec_of("gate.beta=1,2", "train.steps=9", name="a")
    assert first.differences(spec_of("gate.beta=1,2", "train.steps=9", name="a", note="other")) == []
    other = spec_of("gate.beta=1,3", "train.steps=8", name="a", seeds="2", metric="score")
    assert other.differences(first) == [
        "axes gate.beta=1,3, not gate.beta=1,2",
        "overrides train.steps=8, not train.steps=9",
        "seeds 0,1, not 0,1,2",
        "metric score, not success",
    ]
    assert spec_of("gate.beta=1,2", "train.steps=9", recipe="alfworld-tiny").differences(first) == [
        "another recipe, or one that was edited since"
    ]


def test_progress_is_told_for_each_setting() -> None:
    ticks: list[tuple[int, int]] = []
    make_spec(Wish("quickstart", ["gate.beta=1,2,3"]), lambda done, total: ticks.append((done, total)))
    assert ticks == [(0, 3), (1, 3), (2, 3)]


def test_labels_show_no_credentials_and_are_compared_alike() -> None:
    """What names an override or a value of an axis is shown in errors, and says which of them a cell reads."""
    url = "http://me:open-sesame@host:8000"
    typed = f"environment.options.data={url}"
    spec = spec_of("gate.beta=1,2").model_copy(update={"overrides": (typed,)})
    for params in ({"gate.beta": 1}, {"gate.beta": 1, "skills.bank": url}):
        over = spec.run_layers(params)[1]
        assert all("open-sesame" not in layer.origin for layer in over)
        assert any("host:8000" in layer.origin for layer in over)
        assert typed in spec.run_overrides(params, 0) and spec.settle(params) == params
