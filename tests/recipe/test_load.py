from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.load import DEFAULT, MAX_EXTENDS, load_recipe


def test_values_and_origins(recipe: Path) -> None:
    resolved = load_recipe(str(recipe), overrides=["gate.beta=2", "optimiser.learning_rate=1e-5"])
    assert resolved.recipe.gate.beta == 2.0
    assert resolved.recipe.optimiser.learning_rate == 1e-5
    assert resolved.recipe.model.tiny is not None and resolved.recipe.model.tiny.layers == 1
    assert resolved.origins["gate.beta"] == "the override gate.beta=2"
    assert resolved.origins["model.tiny.layers"] == f"{recipe}:2"
    assert resolved.origins["model.tiny.width"] == DEFAULT
    assert resolved.origins["environment.name"] == f"{recipe}:3"
    assert resolved.source == recipe


def test_overlays_then_options_then_overrides(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "over.yaml"
    overlay.write_text("seed: 1\ntrain: {steps: 7}\nrollout: {group: 2}\n")
    resolved = load_recipe(str(recipe), [overlay], ["train.steps=9"], {"seed": ("--seed", 5)})
    found = resolved.recipe
    assert (found.seed, found.train.steps, found.rollout.group) == (5, 9, 2)
    assert resolved.origins["seed"] == "--seed"
    assert resolved.origins["rollout.group"] == f"{overlay}:3"


def test_extends_goes_up_a_chain(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "middle.yaml").write_text(f"extends: {recipe}\nname: middle\ntrain: {{steps: 3}}\n")
    (tmp_path / "sub").mkdir()
    last = tmp_path / "sub" / "last.yaml"
    last.write_text("extends: ../middle.yaml\ntrain: {checkpoint_every: 2}\n")
    resolved = load_recipe(str(last))
    assert resolved.recipe.name == "middle"
    assert (resolved.recipe.train.steps, resolved.recipe.train.checkpoint_every) == (3, 2)
    assert resolved.origins["train.steps"] == f"{tmp_path / 'middle.yaml'}:3"


def test_a_recipe_without_a_name_has_its_file_s(recipe: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(recipe.read_text().replace("name: small\n", ""))
    assert load_recipe(str(mine)).recipe.name == "mine"


def test_circles_and_long_chains_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("extends: two.yaml\n")
    two.write_text("extends: one.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(str(one))
    for number in range(MAX_EXTENDS + 1):
        (tmp_path / f"r{number}.yaml").write_text(f"extends: r{number + 1}.yaml\n")
    with pytest.raises(RecipeError, match="shorten the chain"):
        load_recipe(str(tmp_path / "r0.yaml"))


@pytest.mark.parametrize("value", ["[a, b]", "''", "3", "nowhere.yaml", "quickstrat"])
def test_extends_names_what_it_cannot_find(tmp_path: Path, value: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"name: x\nextends: {value}\n")
    with pytest.raises(RecipeError, match=r"x\.yaml:2: "):
        load_recipe(str(file))


def test_null_drops_a_section_and_a_later_layer_brings_it_back(recipe: Path) -> None:
    resolved = load_recipe(str(recipe), overrides=["warmup=null", "init_from=somewhere"])
    assert resolved.recipe.warmup is None
    again = load_recipe(str(recipe), overrides=["warmup=null", "warmup.batch=8"]).recipe.warmup
    assert again is not None
    assert (again.batch, again.epochs) == (8, 1.0), "the recipe's own epochs went with the section"


def test_temperature_is_the_inverse_of_beta_and_the_later_layer_wins(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("gate: {temperature: 0.2}\n")
    resolved = load_recipe(str(recipe), [overlay])
    assert resolved.recipe.gate.beta == 5.0
    assert resolved.origins["gate.beta"] == f"{overlay}:1 (as gate.temperature)"
    assert load_recipe(str(recipe), [overlay], ["gate.beta=3"]).recipe.gate.beta == 3.0
    overlay.write_text("gate: {beta: 7}\n")
    assert load_recipe(str(recipe), [overlay], ["gate.temperature=0.5"]).recipe.gate.beta == 2.0


def test_temperature_and_beta_in_one_layer_are_refused(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("gate:\n  beta: 5\n  temperature: 0.2\n")
    with pytest.raises(RecipeError, match="the same wish"):
        load_recipe(str(recipe), [overlay])
    with pytest.raises(RecipeError, match="the same wish"):
        load_recipe(str(recipe), overrides=["gate.temperature=0.2", "gate.beta=5"])
    with pytest.raises(RecipeError, match="the same wish"):
        load_recipe(str(recipe), overrides=["gate={temperature: 0.2, beta: 5}"])


def test_another_environment_drops_the_options_of_the_one_before(recipe: Path, toy: Path) -> None:
    options = ["environment.options.size=9"]
    same = load_recipe(str(recipe), overrides=[*options, f"environment={toy}:Toy"]).recipe
    assert same.environment.options == {"size": 9}
    other = load_recipe(str(recipe), overrides=[*options, "environment=household"], check_environment=False)
    assert other.recipe.environment.options == {}


def test_a_model_option_clears_tiny_and_warm_up_unless_asked_for(recipe: Path) -> None:
    options = {"model.path": ("--model", "a/b")}
    found = load_recipe(str(recipe), options=options).recipe
    assert (found.model.path, found.model.tiny, found.warmup) == ("a/b", None, None)
    kept = load_recipe(str(recipe), overrides=["warmup.batch=8"], options=options).recipe.warmup
    assert kept is not None and (kept.batch, kept.epochs) == (8, 2.0)
    from_run = load_recipe(str(recipe), options={"init_from": ("--init-from", "latest")}).recipe
    assert from_run.warmup is None and from_run.model.tiny is not None


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("gate.bata=5", "the override gate.bata=5: there is no key 'gate.bata': did you mean 'gate.beta'?"),
        ("beta=5", "there is no key 'beta': did you mean 'gate.beta'?"),
        ("optimizer.learning_rate=1", "did you mean 'optimiser'?"),
        ("zzzzz=1", "there is no key 'zzzzz': choose from credit, description, "),
        ("gate.beta=x", "gate.beta is 'x', but must be a number: correct the value"),
        ("gate.beta=-1", "gate.beta is -1, but must be a number of at least 0"),
        ("gate.beta=.inf", "gate.beta is inf, but must be a finite number"),
        ("gate.temperature=0", "gate.temperature must be a number above 0, not 0"),
        ("gate.kind=gab", "gate.kind is 'gab', but must be 'gap', 'entropy', 'soft_or' or 'none': did you mean 'gap'?"),
        ("gate=null", "gate is null, but must be a section with keys"),
        ("gate=5", "gate is 5, but must be a section with keys"),
        ("rollout.tasks=1.5", "rollout.tasks is 1.5, but must be a whole number"),
        ("rollout.tasks=true", "rollout.tasks is true, but must be a whole number"),
        ("rollout.tasks=0", "rollout.tasks is 0, but must be a number above 0"),
        ("engine.gpu_memory=2", "engine.gpu_memory is 2, but must be a number of at most 1"),
        ("model.lora.targets=3", "model.lora.targets is 3, but must be 'all-linear' or a list"),
        ("model.gradient_checkpointing=maybe", "must be true or false"),
        ("name=3", "name is 3, but must be text"),
        ("seed=-1", "seed is -1, but must be a number of at least 0"),
        ("environment.name=3", "environment.name is 3, but must be text"),
        ("environment=houshold", "there is no environment 'houshold': did you mean 'household'?"),
        ("environment.options.sise=1", "did you mean 'environment.options.size'?"),
        ("environment.options.size=x", "environment.options.size is 'x', but must be a whole number"),
        ("environment.options.size=0", "environment.options.size is 0, but must be a number above 0"),
        ("model.path=x", "model.path and model.tiny exclude each other"),
        ("warmup=null", "a random model cannot act"),
        ("init_from=x", "init_from brings its own weights: set warmup=null"),
        ("skills.retrieval=none", "a teacher has nothing to read with skills.retrieval=none: choose another retrieval"),
        ("method=gpro", "method is 'gpro', but must be 'grpo', 'sdar', 'opsd', "),
        ("method=gpro", "did you mean 'grpo'?"),
        ("distill.coef=-1", "distill.coef is -1, but must be a number of at least 0"),
        ("distill.coef=.nan", "distill.coef is nan, but must be a finite number"),
        ("distill.divergence=forwards", "did you mean 'forward'?"),
        ("teacher.kind=frosen", "did you mean 'frozen'?"),
        ("gate.normalise=z_score", "did you mean 'zscore'?"),
        ("distill.schedule=3", "distill.schedule is 3, but must be a section with keys"),
        ("distill.schedule={to: 1}", "the key 'distill.schedule.steps' is missing"),
        ("distill.schedule={to: -1, steps: 3}", "distill.schedule.to is -1, but must be a number of at least 0"),
        ("distill.schedule={to: 0, steps: 0}", "distill.schedule.steps is 0, but must be a number above 0"),
        ("distill.schedule={to: 0, steps: 3, shape: cosinus}", "did you mean 'cosine'?"),
        ("rollout.replay={a: 1}", "rollout.replay is {'a': 1}, but must be text"),
        ("model.lora={targets: [q_proj, lm_head]}", "model.lora.targets names lm_head"),
        ("train.steps", "has no value: write key=value"),
        ("=5", "has no readable key"),
        ("a..b=5", "has no readable key"),
        ("name=[", "is not valid YAML"),
        ("extends=quickstart", "cannot change what a recipe extends"),
    ],
)
def test_a_wrong_override_is_one_sentence(recipe: Path, override: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(recipe), overrides=[override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_in_files_name_file_and_line(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("seed: 1\ntrain:\n  stepz: 5\n  steps: many\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(recipe), [overlay])
    lines = str(caught.value).splitlines()
    assert f"{overlay}:3: there is no key 'train.stepz': did you mean 'train.steps'?" in lines
    assert f"{overlay}:4: train.steps is 'many', but must be a whole number: correct the value" in lines
    assert len(lines) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words\n"])
def test_files_that_are_no_recipe(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=r"x\.yaml"):
        load_recipe(str(file))


def test_an_overlay_may_be_empty_but_cannot_extend(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("# nothing yet\n")
    assert load_recipe(str(recipe), [overlay]).recipe == load_recipe(str(recipe)).recipe
    overlay.write_text("extends: quickstart\n")
    with pytest.raises(RecipeError, match="is an overlay"):
        load_recipe(str(recipe), [overlay])


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("quickstrat", "there is no recipe 'quickstrat': did you mean 'quickstart'?"),
        ("xyzzy", "choose one from `sdar recipes ls`"),
        ("", "is no recipe"),
        ("a\0b", "is no recipe"),
        ("~nobody/x.yaml", "does not exist"),
        ("x" * 300, "there is no recipe"),
        ("nowhere/x.yaml", "does not exist"),
        ("../base/paper", "there is no recipe"),
        ("/", "the recipe / is a folder, not a file: "),
        ("/dev/zero", "the recipe /dev/zero is a device, not a file: "),
        ("/dev/null/x.yaml", "does not exist"),
    ],
)
def test_unknown_references(reference: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(reference)
    assert says in str(caught.value)
