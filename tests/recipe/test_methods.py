"""``--method NAME`` on any recipe: presets under it, its own ``methods:`` sections over it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe import methods
from sdar_cli.recipe.dump import dump, recipe_digest
from sdar_cli.recipe.layers import leaves
from sdar_cli.recipe.load import load_recipe, shipped_folder, shipped_recipes
from sdar_cli.recipe.schema import Recipe

RELEASED: dict[str, dict[str, object]] = {
    "grpo": {},
    "sdar": {"teacher.kind": "live", "distill.coef": 0.01, "gate.kind": "gap", "gate.beta": 5.0},
    "opsd": {
        "teacher.kind": "live",
        "distill.coef": 0.01,
        "distill.form": "gated",
        "gate.kind": "gap",
        "gate.beta": 5.0,
    },
    "grpo_opsd": {"teacher.kind": "live", "distill.coef": 0.01, "distill.form": "uniform"},
    "skill_grpo": {},
    "rlsd": {
        "teacher.kind": "live",
        "credit.mu": 0.5,
        "credit.clip": 0.2,
        "credit.schedule.to": 0.0,
        "credit.schedule.steps": 100,
    },
    "skill_sd": {"teacher.kind": "live", "distill.coef": 0.001},
    "agent_opsd": {"teacher.kind": "live", "credit.mu": 0.5, "credit.clip": 0.2, "credit.gamma": 0.95},
    "rloo": {},
    "reinforce": {},
    "ppo_kl": {},
}
"""What the methods' authors released, or published."""


def load(recipe: Path | str, *overrides: str, method: str | None = None, overlays: Sequence[Path] = ()):
    options = {} if method is None else {"method": ("--method", method)}
    return load_recipe(str(recipe), overlays, overrides, options, check_environment=False)


def test_every_method_has_a_preset_and_every_preset_a_method() -> None:
    files = {path.stem for path in (shipped_folder() / "methods").glob("*.yaml")}
    assert files == set(OBJECTIVES) == set(RELEASED)


@pytest.mark.parametrize("method", RELEASED)
def test_a_preset_is_the_released_setting_and_says_so(recipe: Path, method: str) -> None:
    resolved = load(recipe, method=method)
    values = dict(leaves(resolved.recipe.model_dump()))
    for key, value in RELEASED[method].items():
        assert values[key] == value and type(values[key]) is type(value), key
        assert resolved.origins[key].startswith(f"methods/{method}.yaml:"), key
    set_there = {key for key, origin in resolved.origins.items() if origin.startswith("methods/")}
    assert set_there == set(RELEASED[method])


@pytest.mark.parametrize("method", RELEASED)
@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_loads_with_every_method(name: str, method: str) -> None:
    """Reads its own dump back, too: that is what a run keeps."""
    found = load(name, method=method).recipe
    assert found.method == method and Settings.at(found, 0)
    assert found.needs_teacher is (method in {"sdar", "opsd", "grpo_opsd", "rlsd", "skill_sd", "agent_opsd"})


@pytest.mark.parametrize("method", RELEASED)
def test_a_dump_reads_back_as_the_same_recipe(tmp_path: Path, method: str) -> None:
    found = load("quickstart", method=method).recipe
    file = tmp_path / "recipe.yaml"
    file.write_text(dump(found))
    again = load(file).recipe
    assert again == found and recipe_digest(again) == recipe_digest(found)


def test_a_section_applies_with_its_method_alone(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        recipe.read_text() + "distill: {coef: 0.5}\nmethods:\n  sdar: {distill: {coef: 0.7}}\n  opsd:\n    distill:\n"
        "      coef: 0.9\n    gate: {temperature: 0.5}\n"
    )
    assert load(file).recipe.distill.coef == 0.7
    opsd = load(file, method="opsd")
    assert (opsd.recipe.distill.coef, opsd.recipe.gate.beta) == (0.9, 2.0)
    assert opsd.origins["distill.coef"] == f"{file}:10"
    assert opsd.origins["gate.beta"] == f"{file}:11 (as gate.temperature)"
    assert load(file, method="skill_sd").recipe.distill.coef == 0.5, "no section: the recipe's, over the preset's"


def test_what_lies_over_what(recipe: Path, tmp_path: Path) -> None:
    """Preset, base file, base file's section, file, file's section, overlay, its section, override."""
    base, file, overlay = (tmp_path / f"{name}.yaml" for name in ("base", "file", "overlay"))
    steps = [
        (base, recipe.read_text(), 0.01),
        (base, recipe.read_text() + "distill: {coef: 0.1}\n", 0.1),
        (base, recipe.read_text() + "distill: {coef: 0.1}\nmethods: {sdar: {distill: {coef: 0.2}}}\n", 0.2),
        (file, "extends: base.yaml\ndistill: {coef: 0.3}\n", 0.3),
        (file, "extends: base.yaml\ndistill: {coef: 0.3}\nmethods: {sdar: {distill: {coef: 0.4}}}\n", 0.4),
        (overlay, "distill: {coef: 0.5}\n", 0.5),
        (overlay, "distill: {coef: 0.5}\nmethods: {sdar: {distill: {coef: 0.6}}}\n", 0.6),
    ]
    file.write_text("extends: base.yaml\n")
    overlay.write_text("")
    for path, text, coef in steps:
        path.write_text(text)
        assert load(file, overlays=[overlay]).recipe.distill.coef == coef
    assert load(file, "distill.coef=0.7", overlays=[overlay]).recipe.distill.coef == 0.7
    assert load(file, "methods.sdar.distill.coef=0.8", overlays=[overlay]).recipe.distill.coef == 0.8


def test_the_last_word_on_the_method_counts(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("method: opsd\nmethods: {grpo_opsd: {distill: {coef: 0.4}}}\n")
    assert load(recipe, overlays=[overlay]).recipe.method == "opsd"
    found = load(recipe, "method=grpo_opsd", method="rlsd", overlays=[overlay]).recipe
    assert (found.method, found.distill.coef) == ("grpo_opsd", 0.4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("methods: {sdra: {distill: {coef: 1}}}", "5: there is no method 'sdra': did you mean 'sdar'?"),
        ("methods: {xyzzy: {}}", "5: there is no method 'xyzzy': choose from grpo, sdar, "),
        ("methods: 3", "5: methods is 3, but must hold a section for each method: correct it"),
        ("methods: [sdar]", "methods is ['sdar'], but must hold a section for each method"),
        ("methods: {sdar: 3}", "5: methods.sdar is 3, but must be a section of keys: correct it"),
        ("methods: {sdar: null}", "5: methods.sdar is None, but must be a section of keys"),
        (
            "methods:\n  opsd:\n    distill: {coeff: 1}",
            "7: there is no key 'distill.coeff': did you mean 'distill.coef'?",
        ),
        ("methods: {opsd: {method: grpo}}", "5: there is no key 'method'"),
        ("methods: {opsd: {methods: {sdar: {seed: 1}}}}", "5: there is no key 'methods.sdar.seed'"),
        ("methods: {sdar: {distill: {coef: many}}}", "5: distill.coef is 'many', but must be a number"),
        (
            "methods: {sdar: {gate: {beta: 1, temperature: 1}}}",
            "5: gate.beta and gate.temperature are the same wish: set one of them",
        ),
    ],
)
def test_a_wrong_section_is_one_sentence_whatever_the_method(
    recipe: Path, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.read_text() + text + "\n")
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert f"{file}:{says}" in str(caught.value) or says in str(caught.value)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("grpo: {distill: {coef: 1}}", "distill.coef has no effect with method=grpo"),
        ("rlsd: {distill: {coef: 1}}", "distill.coef has no effect with method=rlsd"),
        ("grpo_opsd: {gate: {beta: 1}}", "gate.beta has no effect with method=grpo_opsd"),
    ],
)
def test_a_section_with_a_key_that_its_method_does_not_read_is_refused(
    recipe: Path, tmp_path: Path, section: str, says: str
) -> None:
    """Also where the method is chosen behind it, on the command line: the section was written for it."""
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.read_text() + f"methods: {{{section}}}\n")
    with pytest.raises(RecipeError, match=rf"mine\.yaml:5: {says}"):
        load(file, method=section.partition(":")[0])
    assert load(file).recipe.method == "sdar"


def test_sections_are_no_part_of_the_recipe(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.read_text() + "methods: {opsd: {distill: {coef: 0.5}}}\n")
    assert load(file).recipe == load(recipe).recipe
    assert "methods" not in Recipe.model_fields


def test_a_preset_is_read_once_and_again_when_it_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    read = methods.read_file
    monkeypatch.setattr(methods, "read_file", lambda path: reads.append(path) or read(path))
    preset = tmp_path / "sdar.yaml"
    for coef in (0.5, 0.25):
        preset.write_text(f"distill: {{coef: {coef}}}\n")
        os.utime(preset, ns=(0, int(coef * 100)))
        for _ in range(3):
            (layer,) = methods.with_methods([], "sdar", tmp_path)
            assert layer.values == {"distill": {"coef": coef}}
    assert reads == [preset, preset]
