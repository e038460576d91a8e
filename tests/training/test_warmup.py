"""The warm-up: what it shows, what it never shows, and that it learns."""

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from counted_tasks import CountedTasks

from sdar_cli.environments import build_environment
from sdar_cli.errors import ModelError, RecipeError, RunFailed
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.tiny import build_tokenizer, create, skill_texts
from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.context import Context
from sdar_cli.skills import bank_for
from sdar_cli.training import warmup, warmup_examples
from sdar_cli.training.demonstrations import demonstrate
from sdar_cli.training.warmup import run_warmup
from sdar_cli.training.warmup_examples import (
    Example,
    demonstrations,
    make_examples,
    reading_order,
    rulebook_seeds,
)
from sdar_envs.household.rulebook import Rulebook


def recipe(**changes) -> Recipe:
    values: dict = {
        "name": "t",
        "seed": 3,
        "model": {"tiny": {"layers": 2, "width": 32, "heads": 4, "mlp": 64}},
        "environment": {
            "name": "household",
            "options": {"show_admissible": False, "things": 12, "rulebook": 4},
        },
        "rollout": {"history": 1, "max_prompt_tokens": 256},
        "warmup": {"demonstrations": 24, "batch": 16, "skills_share": 0.5},
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
    return Recipe.model_validate(values)


def tokenizer_of(chosen: Recipe):
    environment = build_environment(chosen.environment)
    texts = [*environment.vocabulary(), *skill_texts(bank_for(chosen.skills, environment))]
    return environment, build_tokenizer(texts)


def test_the_runs_rulebook_is_never_demonstrated(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = build_environment(recipe().environment)
    seeds = rulebook_seeds(environment, 500, seed=0)
    assert len(set(seeds)) > 490
    assert environment.rulebook not in [Rulebook.draw(seed) for seed in seeds]

    draws = iter([4, 10, 11, 12])  # the run's seed; a rulebook that happens to equal the run's; two others

    class Draws(random.Random):
        def randrange(self, stop: int) -> int:
            return next(draws)

    true_draw = Rulebook.draw
    monkeypatch.setattr(warmup_examples, "random", SimpleNamespace(Random=Draws))
    monkeypatch.setattr(Rulebook, "draw", lambda seed: environment.rulebook if seed == 10 else true_draw(seed))
    assert rulebook_seeds(environment, 2, seed=0) == [11, 12]


def test_every_demonstration_has_its_own_rules_and_its_skills_state_them() -> None:
    chosen = recipe()
    environment = build_environment(chosen.environment)
    shown = list(demonstrations(chosen, environment))
    assert len(shown) == 24
    for played, block in shown:
        use = next(past.action for past in played.exchanges if past.action.split()[0] == played.task.goal.split()[0])
        verb, *_, station = use.split()
        assert f"You {verb} " in block and f"{use.split()[2]} the {station}." in block
        assert played.last.text.endswith("All is done.")
    assert list(demonstrations(chosen, environment)) == shown


def test_without_shuffling_the_fixed_bank_is_shown() -> None:
    chosen = recipe(warmup={"shuffle_rulebooks": False, "demonstrations": 6})
    environment = build_environment(chosen.environment)
    for played, block in demonstrations(chosen, environment):
        verb = played.task.goal.split()[0]
        assert environment.rulebook.stations[verb] in block


@pytest.mark.parametrize("count", [6, 48])
@pytest.mark.parametrize("shuffle_rulebooks", [False, True])
def test_tasks_are_drawn_as_ever_and_no_other_is_made(
    count: int, shuffle_rulebooks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(warmup={"shuffle_rulebooks": shuffle_rulebooks, "demonstrations": 10})
    environment = build_environment(chosen.environment)
    tasks = environment.tasks("train")[:count]
    shuffled = list(tasks)
    random.Random("warm-up tasks 3").shuffle(shuffled)
    counted = CountedTasks(tasks)
    monkeypatch.setattr(environment, "tasks", lambda split: counted)
    shown = [played.task for played, _ in demonstrations(chosen, environment)]
    assert shown == [shuffled[index % count] for index in range(10)]
    assert counted.made == [task.id for task in shuffled[:10]]


def test_examples_are_the_rollouts_own_prompts_with_and_without_skills() -> None:
    chosen = recipe()
    environment, tokenizer = tokenizer_of(chosen)
    shown, plain, played = make_examples(chosen, environment, tokenizer)
    assert played == 24 and shown and plain
    skills = tokenizer.convert_tokens_to_ids("Skills")
    assert all(skills in example.prompt_ids for example in shown)
    assert not any(skills in example.prompt_ids for example in plain)
    for example in [*shown, *plain]:
        assert example.response_ids[-1] == tokenizer.eos_token_id
        assert tokenizer.unk_token_id not in example.prompt_ids + example.response_ids
        assert environment.parse(tokenizer.decode(example.response_ids, skip_special_tokens=True)).text

    task = environment.tasks("train")[0]
    demonstration = demonstrate(environment, task)
    context = Context(environment, tokenizer, "window", 1, 256, "user", {}, False, False)
    dialogue = context.open(task, demonstration.first, "")
    first = context.prompt(dialogue)
    assert tokenizer.decode(first.ids).startswith("<|im_start|> user Task :")


@pytest.mark.parametrize(("share", "empty"), [(1.0, "plain"), (0.0, "shown")])
def test_the_share_with_skills_is_kept(share: float, empty: str) -> None:
    chosen = recipe(warmup={"skills_share": share})
    shown, plain, _ = make_examples(chosen, *tokenizer_of(chosen))
    assert {"shown": shown, "plain": plain}[empty] == []


def test_prompts_that_cannot_fit_are_one_sentence() -> None:
    chosen = recipe(rollout={"max_prompt_tokens": 12})
    with pytest.raises(RecipeError, match=r"exceed rollout\.max_prompt_tokens=12: raise it"):
        make_examples(chosen, *tokenizer_of(chosen))


def test_reading_order_visits_every_example_once_an_epoch_in_batches_of_like_length() -> None:
    examples = [Example([0] * (index * 7 % 60), [1]) for index in range(500)]
    order = reading_order(examples, epochs=2.5, batch=8, seed=0)
    assert len(order) == 1250
    assert sorted(order[:500]) == sorted(order[500:1000]) == list(range(500))
    assert order[:500] != order[500:1000]
    spans = [
        max(examples[i].length for i in order[start : start + 8])
        - min(examples[i].length for i in order[start : start + 8])
        for start in range(0, 496, 8)
    ]
    assert sum(spans) / len(spans) < 8  # unsorted: about 46
    firsts = [examples[order[start]].length for start in range(0, 496, 8)]
    assert firsts != sorted(firsts)
    assert order == reading_order(examples, epochs=2.5, batch=8, seed=0) != reading_order(examples, 2.5, 8, seed=1)


def _run(folder: Path, **changes):
    chosen = recipe(**changes)
    environment = build_environment(chosen.environment)
    if not (folder / "base").exists():
        create(chosen, environment, bank_for(chosen.skills, environment), folder / "base")
    said: list = []
    report = run_warmup(chosen, environment, folder / "base", folder / "out", lambda *seen: said.append(seen))
    return report, said


def test_a_warm_up_is_repeatable_learns_and_leaves_the_global_state(tmp_path: Path, capsys) -> None:
    changes = {"warmup": {"demonstrations": 40, "epochs": 4.0, "learning_rate": 0.005}}
    before = torch.get_rng_state()
    report, said = _run(tmp_path, **changes)
    assert torch.equal(torch.get_rng_state(), before)
    assert "loss" not in capsys.readouterr().out
    first = {name: weights.clone() for name, weights in load_model(str(report.folder)).named_parameters()}
    again, _ = _run(tmp_path, **changes)
    for name, weights in load_model(str(again.folder)).named_parameters():
        assert torch.equal(weights, first[name]), name
    assert again.log == report.log
    assert report.log[-1]["loss"] < 0.5 * report.log[0]["loss"]
    assert [done for done, _, _ in said] == sorted(done for done, _, _ in said)
    assert said[-1][1] == report.updates == -(-report.examples * 4 // 16)
    assert report.demonstrations == 40 and report.skipped == 0
    assert report.prompt_tokens_with_skills > report.prompt_tokens_without_skills + 15
    assert load_tokenizer(str(report.folder)).chat_template


def test_a_tokenizer_with_tokens_that_the_model_lacks(tmp_path: Path) -> None:
    """It would be an index out of range in the first forward pass, which on a GPU is no sentence at all."""
    chosen = recipe(warmup={"demonstrations": 2})
    environment = build_environment(chosen.environment)
    base = create(chosen, environment, bank_for(chosen.skills, environment), tmp_path / "base").folder
    tokenizer = load_tokenizer(str(base))
    tokenizer.add_tokens([f"unheard-{number}" for number in range(200)])
    tokenizer.save_pretrained(base)
    with pytest.raises(ModelError, match=r"has \d+ tokens and the model \d+: give both from one source"):
        run_warmup(chosen, environment, base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_response_tokens_are_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer's loss is the mean over response tokens: prompt tokens have none."""
    seen: list = []
    original = warmup._train

    def spy(chosen, model, tokenizer, examples, progress):
        seen.extend(examples)
        return original(chosen, model, tokenizer, examples, progress)

    monkeypatch.setattr(warmup, "_train", spy)
    report, _ = _run(tmp_path, warmup={"demonstrations": 2, "batch": 64, "skills_share": 1.0, "learning_rate": 1e-9})
    model = load_model(str(tmp_path / "base"))
    loss = tokens = 0.0
    for example in seen:
        ids = torch.tensor([example.prompt_ids + example.response_ids])
        with torch.no_grad():
            logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        start = len(example.prompt_ids)
        loss -= sum(logps[position - 1, ids[0, position]] for position in range(start, ids.shape[1]))
        tokens += len(example.response_ids)
    assert report.updates == 1
    assert report.log[0]["loss"] == pytest.approx(float(loss) / tokens, rel=1e-3)


def test_no_warm_up_and_no_winning_expert_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Recipe.model_validate({"name": "t", "model": {"path": "x"}, "environment": {"name": "household"}})
    environment = build_environment(chosen.environment)
    with pytest.raises(RecipeError, match="no warm-up: add a warmup section"):
        list(demonstrations(chosen, environment))
    losing = recipe(warmup={"shuffle_rulebooks": False})
    _, tokenizer = tokenizer_of(losing)
    monkeypatch.setattr(type(environment), "expert", lambda self, task: ["look"])
    with pytest.raises(RunFailed, match="won none of 24 demonstrations"):
        make_examples(losing, environment, tokenizer)
    monkeypatch.setattr(type(environment), "expert", lambda self, task: None)
    with pytest.raises(RecipeError, match="no expert to demonstrate"):
        make_examples(losing, environment, tokenizer)
