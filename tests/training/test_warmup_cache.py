"""A warm-up is found again only while all that shaped it is the same."""

from sdar_cli.environments import build_environment
from sdar_cli.recipe.load import load_recipe
from sdar_cli.skills.bank import bank_for
from sdar_cli.training.warmup_cache import warmup_key


def key(*overrides):
    recipe = load_recipe("quickstart", [], list(overrides)).recipe
    environment = build_environment(recipe.environment)
    return warmup_key(recipe, environment, bank_for(recipe.skills, environment))


def test_what_does_not_shape_the_base_shares_it():
    assert key() == key("method=grpo", "train.steps=3", "warmup.required_success=0")
    assert key() == key("distill.coef=0.3", "gate.kind=none", "teacher.kind=ema", "skills.corrupt=0.5")


def test_what_shapes_the_base_does_not():
    changes = (
        "seed=1",
        "warmup.demonstrations=10",
        "model.tiny.width=32",
        "environment.options.rulebook=1",
        "environment.options.show_admissible=true",
        "rollout.history=2",
        "skills.placement=system",
    )
    assert len({key(), *(key(change) for change in changes)}) == len(changes) + 1
