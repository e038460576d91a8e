"""What cannot go together is refused at load, with the key, the value and the remedy; neighbours that can, load.

Which method reads what is written down here once more, from the methods' formulas.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.dump import dump
from sdar_cli.recipe.load import IDLE, ResolvedRecipe, load_recipe
from sdar_cli.recipe.schema import Recipe

TERM = {"distill.coef", "distill.schedule.to", "distill.schedule.steps"}
FORM = {"distill.form", "distill.divergence"}
GATE = {"gate.kind", "gate.beta", "gate.temperature", "gate.schedule.to", "gate.detach", "gate.normalise"}
TEACHER = {"teacher.kind", "teacher.ema_decay"}
MU = {"credit.mu", "credit.schedule.to", "credit.clip"}
CLIP = {"policy.clip", "policy.dual_clip"}
READS: dict[str, set[str]] = {
    "grpo": CLIP | {"policy.advantage"},
    "sdar": CLIP | {"policy.advantage"} | TEACHER | TERM | FORM | GATE,
    "opsd": TEACHER | TERM | FORM | GATE,
    "grpo_opsd": CLIP | {"policy.advantage"} | TEACHER | TERM | FORM,
    "skill_grpo": CLIP | {"policy.advantage"},
    "rlsd": CLIP | {"policy.advantage"} | TEACHER | MU,
    "skill_sd": CLIP | {"policy.advantage"} | TEACHER | TERM,
    "agent_opsd": CLIP | TEACHER | MU | {"credit.gamma"},
    "rloo": set(),
    "reinforce": set(),
    "ppo_kl": CLIP,
}
FORMS = {"sdar": "gated", "opsd": "signed", "grpo_opsd": "signed"}
"""A form that each method with forms knows."""

SETS: dict[str, tuple[list[str], object]] = {
    "distill.coef": (["distill.coef=0.3"], 0.3),
    "distill.schedule.to": (["distill.schedule={to: 0.1, steps: 5}"], 0.1),
    "distill.schedule.steps": (["distill.schedule={to: 0.1, steps: 5}"], 5),
    "distill.form": (["distill.form=FORM"], "FORM"),
    "distill.divergence": (["distill.divergence=jsd"], "jsd"),
    "gate.kind": (["gate.kind=entropy"], "entropy"),
    "gate.beta": (["gate.beta=3.5"], 3.5),
    "gate.temperature": (["gate.temperature=0.25"], 4.0),
    "gate.schedule.to": (["gate.schedule={to: 2, steps: 9}"], 2),
    "gate.detach": (["gate.detach=false"], False),
    "gate.normalise": (["gate.normalise=turn_mean"], "turn_mean"),
    "teacher.kind": (["teacher.kind=frozen"], "frozen"),
    "teacher.ema_decay": (["teacher.kind=ema", "teacher.ema_decay=0.5"], 0.5),
    "credit.mu": (["credit.mu=0.25"], 0.25),
    "credit.schedule.to": (["credit.schedule={to: 0.125, steps: 7}"], 0.125),
    "credit.clip": (["credit.clip=0.3"], 0.3),
    "credit.gamma": (["credit.gamma=0.5"], 0.5),
    "policy.clip": (["policy.clip=0.1"], 0.1),
    "policy.dual_clip": (["policy.dual_clip=2.5"], 2.5),
    "policy.advantage": (["policy.advantage=turn"], "turn"),
}


def value_of(recipe: Recipe, dotted: str) -> object:
    section, _, name = dotted.replace("temperature", "beta").partition(".")
    found = getattr(recipe, section)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def load(recipe: Path, *overrides: str, **options: str) -> ResolvedRecipe:
    given = {"method": ("--method", options["method"])} if "method" in options else {}
    return load_recipe(str(recipe), overrides=overrides, options=given)


def refusal(recipe: Path, *overrides: str, **options: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(recipe, *overrides, **options)
    return str(caught.value)


@pytest.mark.parametrize("key", SETS)
@pytest.mark.parametrize("method", READS)
def test_a_key_counts_or_is_refused(recipe: Path, method: str, key: str) -> None:
    typed = [word.replace("FORM", FORMS.get(method, "signed")) for word in SETS[key][0]]
    value = str(SETS[key][1]).replace("FORM", FORMS.get(method, "signed")) if key == "distill.form" else SETS[key][1]
    if key in READS[method]:
        found = load(recipe, *typed, method=method).recipe
        assert value_of(found, key) == value
        file = recipe.with_name("dumped_again.yaml")
        file.write_text(dump(found))
        assert load(file).recipe == found
        return
    said = refusal(recipe, *typed, method=method)
    assert f"method={method}" in said and ("remove it" in said or "set policy.advantage=trajectory" in said)
    if "set policy.advantage=trajectory" not in said:
        sentence = next(line for line in said.splitlines() if f"{key} has no effect with" in line)
        offered = sentence.rpartition("choose method=")[2].replace(" or ", ", ").split(", ")
        assert set(offered) == {name for name, read in READS.items() if key in read}
        assert sentence.startswith(f"the override {typed[-1]}: ")


@pytest.mark.parametrize("method", ["rloo", "reinforce", "ppo_kl", "agent_opsd"])
def test_turn_statistics_where_the_method_has_a_rule_of_its_own(recipe: Path, method: str) -> None:
    said = refusal(recipe, "policy.advantage=turn", method=method)
    assert f"policy.advantage=turn does not go with method={method}" in said
    assert said.endswith("set policy.advantage=trajectory")


@pytest.mark.parametrize("words", [["method=grpo", "distill.coef=0.5"], ["distill.coef=0.5", "method=grpo"]])
def test_the_order_of_what_was_typed_does_not_matter(recipe: Path, words: list[str]) -> None:
    assert "distill.coef has no effect with method=grpo" in refusal(recipe, *words)


def test_what_a_recipe_says_does_not_stand_in_the_way_of_another_method(recipe: Path, tmp_path: Path) -> None:
    """And it is not kept: equal runs have equal recipes."""
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.read_text() + "distill: {coef: 0.7}\ngate: {kind: entropy}\nteacher: {kind: frozen}\n")
    assert load(file).recipe.distill.coef == 0.7
    plain, mine = load(recipe, method="grpo"), load(file, method="grpo")
    assert mine.recipe == plain.recipe
    assert mine.origins["distill.coef"] == mine.origins["gate.kind"] == mine.origins["teacher.kind"] == IDLE


def test_within_one_file_it_is_refused_with_its_line(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.read_text() + "method: grpo\ndistill:\n  coef: 0.7\n")
    assert refusal(file) == (
        f"{file}:7: distill.coef has no effect with method=grpo: remove it, or choose method=sdar, opsd, grpo_opsd "
        "or skill_sd"
    )


def test_an_overlay_that_sets_a_key_after_the_method_is_refused(recipe: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.yaml"
    overlay.write_text("credit: {mu: 0.1}\n")
    with pytest.raises(RecipeError, match=r"o\.yaml:1: credit\.mu has no effect with method=sdar"):
        load_recipe(str(recipe), [overlay])
    assert load_recipe(str(recipe), [overlay], ["method=rlsd"]).recipe.credit.mu == 0.1


def test_every_idle_key_has_its_own_sentence(recipe: Path) -> None:
    said = refusal(recipe, "distill.coef=0.5", "credit.mu=0.5", "policy.clip=0.3", method="reinforce").splitlines()
    assert len(said) == 3 and all("with method=reinforce" in line for line in said)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["gate.kind=none", "gate.beta=3"],
            "gate.beta has no effect with gate.kind=none: remove it, or choose another gate",
        ),
        (["gate.kind=none", "gate.temperature=3"], "gate.temperature has no effect with gate.kind=none"),
        (["gate.kind=none", "gate.detach=false"], "gate.detach has no effect with gate.kind=none"),
        (["gate.kind=none", "gate.schedule={to: 1, steps: 2}"], "gate.schedule.to has no effect with gate.kind=none"),
        (
            ["gate.kind=entropy", "gate.normalise=zscore"],
            "gate.normalise has no effect with gate.kind=entropy, which does not see the gap: remove it, or set "
            "gate.kind=gap",
        ),
        (["gate.kind=none", "gate.normalise=turn_mean"], "gate.normalise has no effect with gate.kind=none"),
        (
            ["method=opsd", "distill.form=signed", "gate.beta=2"],
            "gate.beta has no effect with distill.form=signed, which has no gate: remove it, or set distill.form=gated",
        ),
        (["method=opsd", "distill.form=signed", "gate.kind=entropy"], "gate.kind has no effect with distill.form="),
        (
            ["teacher.ema_decay=0.9"],
            "teacher.ema_decay has no effect with teacher.kind=live: remove it, or set teacher.kind=ema",
        ),
        (
            ["skills.ucb.kappa=2"],
            "skills.ucb.kappa has no effect with skills.retrieval=task_type: remove it, or choose",
        ),
        (
            ["skills.top_k=5"],
            "skills.top_k has no effect with skills.retrieval=task_type: remove it, or choose keyword",
        ),
        (["skills.top_k=5", "skills.retrieval=full"], "skills.top_k has no effect with skills.retrieval=full"),
        (
            ["distill.form=uniform"],
            "distill.form=uniform does not go with method=sdar, which is gated: remove it, or choose method=grpo_opsd",
        ),
        (
            ["distill.form=signed"],
            "distill.form=signed does not go with method=sdar, which is gated: remove it, or choose method=opsd or "
            "grpo_opsd",
        ),
        (
            ["method=grpo_opsd", "distill.form=gated"],
            "distill.form=gated does not go with method=grpo_opsd, which is uniform or signed: remove it, or choose "
            "method=sdar or opsd",
        ),
        (
            ["method=opsd", "distill.form=signed", "distill.divergence=reverse"],
            "distill.form=signed is about the sampled token and distill.divergence=reverse is not: set "
            "distill.divergence=sampled, or another form",
        ),
        (
            ["gate.normalise=zscore", "distill.divergence=jsd"],
            "distill.divergence=jsd scores the teacher within it: set gate.normalise=turn_mean or none",
        ),
        (
            ["method=rlsd", "credit.schedule={to: 1.5, steps: 3}"],
            "credit.schedule.to=1.5 is no share: set a number of at most 1",
        ),
        (
            ["method=skill_grpo", "skills.retrieval=none"],
            "a policy that trains with skills has nothing to read with skills.retrieval=none",
        ),
        (["method=rlsd", "skills.retrieval=none"], "a teacher has nothing to read with skills.retrieval=none"),
        (
            ["method=opsd", "rollout.invalid_action_penalty=0.2"],
            "rollout.invalid_action_penalty has no effect with method=opsd, which has no advantages: remove it, or",
        ),
        (
            ["method=grpo", "skills.corrupt=0.5"],
            "skills.corrupt has no effect with method=grpo, which reads no skills while training: remove it, or choose "
            "method=sdar, opsd, grpo_opsd, rlsd, skill_sd or agent_opsd",
        ),
        (
            ["policy.dual_clip=1.2"],
            "policy.dual_clip=1.2 would clip good tokens too, within policy.clip=0.2: set it above 1.2, or to null",
        ),
        (
            ["policy.clip=2.5"],
            "policy.dual_clip=3.0 would clip good tokens too, within policy.clip=2.5: set it above 3.5",
        ),
        (["rollout.record=a", "rollout.replay=b"], "a replay needs no recording: remove rollout.record or"),
    ],
)
def test_a_combination_that_cannot_work_is_one_sentence(recipe: Path, overrides: list[str], says: str) -> None:
    lines = refusal(recipe, *overrides).splitlines()
    assert any(says in line for line in lines)
    assert len(lines) <= 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["gate.kind=none"],
        ["gate.kind=entropy", "gate.beta=3"],
        ["gate.kind=soft_or", "gate.normalise=zscore"],
        ["gate.kind=none", "gate.normalise=none"],
        ["method=opsd", "distill.form=gated", "gate.kind=entropy"],
        ["method=opsd", "distill.form=signed"],
        ["method=grpo_opsd", "distill.form=uniform", "distill.divergence=forward"],
        ["gate.normalise=turn_mean", "distill.divergence=jsd"],
        ["teacher.kind=ema", "teacher.ema_decay=0.9"],
        ["skills.retrieval=ucb", "skills.ucb.kappa=2", "skills.top_k=5"],
        ["skills.retrieval=keyword", "skills.top_k=5"],
        ["distill.coef=0", "skills.retrieval=none"],
        ["method=grpo", "skills.retrieval=none"],
        ["method=rlsd", "credit.mu=0", "skills.retrieval=none"],
        ["method=rlsd", "credit.schedule={to: 1, steps: 3}"],
        ["method=skill_grpo", "skills.corrupt=0.5"],
        ["method=grpo", "skills.corrupt=0"],
        ["skills.corrupt=1"],
        ["policy.clip=2.5", "policy.dual_clip=null"],
        ["policy.dual_clip=1.21"],
        ["rollout.record=a"],
        ["rollout.replay=b"],
        ["distill.coef=0", "distill.schedule={to: 0.5, steps: 10}"],
    ],
)
def test_what_can_go_together_loads(recipe: Path, overrides: list[str]) -> None:
    assert load(recipe, *overrides).recipe


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        ([], True),
        (["distill.coef=0"], False),
        (["distill.coef=0", "distill.schedule={to: 0.5, steps: 10}"], True),
        (["distill.schedule={to: 0, steps: 1}"], True),
        (["method=grpo"], False),
        (["method=skill_grpo"], False),
        (["method=rlsd"], True),
        (["method=rlsd", "credit={mu: 0, schedule: null}"], False),
        (["method=agent_opsd", "credit.mu=0"], False),
        (["method=rloo"], False),
    ],
)
def test_whether_a_teacher_is_needed(recipe: Path, overrides: list[str], needed: bool) -> None:
    assert load(recipe, *overrides).recipe.needs_teacher is needed


def test_a_windows_turns_are_not_read_in_a_conversation() -> None:
    """They keep their value all the same, as evaluations are paired by it; a tiny model's words are made with it."""
    own = ["model.path=some/model", "model.tiny=null", "rollout.history=3"]
    full = load_recipe("quickstart", overrides=[*own, "rollout.context=full"])
    assert full.origins["rollout.history"] == IDLE and full.recipe.rollout.history == 3
    assert "history: 3" in dump(full.recipe)
    for read in ([*own, "rollout.context=window"], ["rollout.history=3", "rollout.context=full"]):
        found = load_recipe("quickstart", overrides=read)
        assert found.origins["rollout.history"] == "the override rollout.history=3"
