"""SDARTrainer on replayed rollouts: teachers, updates, micro-batches, metrics, checkpoints."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
from tiny_training import SKILLS_IDS, Replay, episodes, exact_head, recipe, trainer, weights

from sdar_cli.models.load import add_lora, load_model, load_tokenizer
from sdar_cli.objectives.objective import Objective
from sdar_cli.recipe.schema import Lora
from sdar_cli.rollout.episode import StopReason
from sdar_cli.training.failure import NotFinite
from sdar_cli.training.rows import make_rows

pytestmark = pytest.mark.train

STEP_METRICS = (
    "gap/mean",
    "gap/std",
    "gap/negative",
    "gap/turn_00/mean",
    "gate/mean",
    "gate/active",
    "gate/turn_02/mean",
    "loss/total",
    "loss/policy",
    "loss/distill",
    "policy/kl",
    "policy/entropy",
    "policy/clip_ratio",
    "rollout/success",
    "rollout/return",
    "rollout/turns",
    "rollout/response_tokens",
    "rollout/invalid_action_rate",
    "rollout/zero_variance_groups",
    "teacher/task_skill_fraction",
    "teacher/active",
    "distill/coef",
    "gate/beta",
    "time/generation",
    "time/environment",
    "time/teacher",
    "time/scoring",
    "time/training",
    "optim/grad_norm",
    "optim/updates",
    "optim/rows",
    "optim/padding",
)


def rows_of(made, step=0):
    return make_rows(episodes(step, len(made._tokenizer)), "window")


def scores_of(made, rows=None, *, several_updates=False):
    rows = rows_of(made) if rows is None else rows
    return made.scorer.score(rows, made.objective, made.settings, several_updates=several_updates)


def reference_logps(model, row, prompt):
    """Log-probs of a row's completion by an ordinary forward pass without padding."""
    ids = torch.tensor([prompt + row.completion_ids])
    with torch.no_grad():
        logps = model(input_ids=ids).logits[0].log_softmax(-1)
    start = len(prompt)
    return torch.stack([logps[start + i - 1, token] for i, token in enumerate(row.completion_ids)])


def test_scores_are_those_of_an_unpadded_forward(base, tmp_path):
    """The teacher's prompt differs by the skills alone, and padding changes nothing."""
    made, _ = trainer(base, tmp_path, recipe(method="rlsd", optimiser={"tokens_per_microbatch": 60}))
    rows = rows_of(made)
    scores = scores_of(made, rows, several_updates=True)
    plain = load_model(str(base))
    assert set(scores) == {"teacher_logps", "old_logps", "ref_per_token_logps", "old_per_token_logps"}
    for index, row in enumerate(rows):
        assert row.teacher_prompt_ids == SKILLS_IDS + row.prompt_ids
        teacher = reference_logps(plain, row, row.teacher_prompt_ids)
        student = reference_logps(plain, row, row.prompt_ids)
        torch.testing.assert_close(scores["teacher_logps"][index], teacher, rtol=1e-4, atol=1e-5)
        for name in ("old_logps", "old_per_token_logps", "ref_per_token_logps"):
            torch.testing.assert_close(scores[name][index], student, rtol=1e-4, atol=1e-5)


def test_without_rows_the_names_of_the_scores_are_the_same(base, tmp_path):
    """A rank without rows must give its loss what the others give theirs."""
    made, _ = trainer(base, tmp_path, recipe(method="rlsd"))
    some, none = scores_of(made, several_updates=True), scores_of(made, [], several_updates=True)
    assert none.keys() == some.keys() and all(values == [] for values in none.values())


def test_an_episode_without_the_teachers_prompt_is_refused(base, tmp_path):
    from sdar_cli.errors import UserError

    made, _ = trainer(base, tmp_path, recipe())
    rows = rows_of(made)
    rows[3].teacher_prompt_ids = None
    with pytest.raises(UserError, match=r"lacks the teacher's prompt of a turn: record the rollouts again"):
        scores_of(made, rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": {"normalise": "zscore"}, "distill": {"coef": 0.5}},
        {"distill": {"coef": 0.5, "divergence": "jsd"}, "gate": {"detach": False}},
        {"method": "rlsd", "optimiser": {"rows_per_update": 6}},
        {"rollout": {"context": "full"}, "distill": {"coef": 0.5}, "gate": {"normalise": "turn_mean"}},
    ],
    ids=["zscore", "jsd", "rlsd in several updates", "turn mean, full"],
)
def test_micro_batches_change_neither_the_update_nor_any_metric(base, tmp_path, monkeypatch, changes):
    """A budget of 40 padded tokens gives many micro-batches; means over tokens stay means over tokens."""
    exact_head(monkeypatch)

    def run(budget):
        chosen = recipe(**{**changes, "optimiser": {**changes.get("optimiser", {}), "tokens_per_microbatch": budget}})
        made, record = trainer(base, tmp_path / str(budget), chosen, double=True)
        made.train()
        return weights(made.model), record.steps, made

    one, few, coarse = run(10**6)
    many, fine, made = run(60 if "rollout" in changes else 40)
    assert len(coarse._tokens_seen) < len(made._tokens_seen) >= 5
    assert sum(coarse._tokens_seen) == sum(made._tokens_seen)
    for name, value in one.items():
        torch.testing.assert_close(many[name], value, rtol=1e-9, atol=1e-9)
    for a, b in zip(few, fine, strict=True):
        assert a.keys() == b.keys()
        names = [name for name in a if not name.startswith("time/") and name != "optim/padding"]
        assert {n: a[n] for n in names} == pytest.approx({n: b[n] for n in names}, rel=1e-6, abs=1e-9)


def test_several_updates_a_rollout(base, tmp_path):
    """The clip range of later updates is about the weights at rollout time."""
    made, record = trainer(base, tmp_path, recipe(optimiser={"rows_per_update": 4, "learning_rate": 0.05}))
    made.train()
    assert made.state.global_step == 3 and record.steps[0]["optim/updates"] == 4
    assert record.steps[0]["optim/rows"] == len(rows_of(made)) == 15
    assert record.steps[0]["policy/clip_ratio"] > 0
    assert int(next(iter(made.optimizer.optimizer.state.values()))["step"]) == sum(
        -(-len(rows_of(made, step)) // 4) for step in range(3)
    )


@pytest.mark.parametrize("divergence", ["sampled", "reverse"])
@pytest.mark.parametrize("kl", [0.01, 0.0])
def test_which_weights_teach(base, tmp_path, divergence, kl):
    """Live follows the weights, frozen never, ema by its share; with and without TRL's own reference."""

    def taught(kind, decay=0.5):
        chosen = recipe(
            teacher={"kind": kind, "ema_decay": decay},
            policy={"kl_coef": kl},
            distill={"divergence": divergence},
        )
        made, _ = trainer(base, tmp_path, chosen)

        def score():
            if divergence == "sampled":
                return scores_of(made)["teacher_logps"]
            made.current_gradient_accumulation_steps = 1
            inputs = made.update.inputs(rows_of(made), [0, 1], scores_of(made), torch.tensor(9.0))
            return list(made.full_vocabulary.score_teacher(inputs))

        before = score()
        with torch.no_grad():
            for parameter in made.model.parameters():
                parameter.mul_(1.5)
        if made.average is not None:
            made.average.update()
        return [torch.equal(x, y) for x, y in zip(before, score(), strict=True)]

    assert not any(taught("live")) and all(taught("frozen"))
    assert not any(taught("ema")) and all(taught("ema", decay=1.0))


def test_lora_needs_no_second_model(base, tmp_path):
    """Frozen teacher and reference are the base with the adapter off; only the adapter is trained."""
    lora = Lora(rank=2, alpha=4)
    model = add_lora(load_model(str(base)), lora, seed=0)
    chosen = recipe(teacher={"kind": "frozen"}, model={"path": "unused", "lora": lora.model_dump()})
    made, record = trainer(base, tmp_path, chosen, model=model)
    assert made.ref_model is None and made.scorer.frozen is None
    before = scores_of(made, several_updates=True)
    made.train()
    after = scores_of(made, several_updates=True)
    for name in ("teacher_logps", "ref_per_token_logps"):
        assert all(torch.equal(x, y) for x, y in zip(before[name], after[name], strict=True))
    assert any(x.ne(y).any() for x, y in zip(before["old_logps"], after["old_logps"], strict=True))
    assert record.steps[-1]["policy/kl"] > 0
    trained = {n for n, p in made.model.named_parameters() if p.requires_grad}
    assert trained and all("lora" in name for name in trained)


def test_lora_pays_its_kl_to_the_base(base, tmp_path):
    """``rloo`` with an adapter: the reference of its reward is the base with the adapter off."""
    lora = Lora(rank=2, alpha=4)
    model = add_lora(load_model(str(base)), lora, seed=0)
    chosen = recipe(method="rloo", model={"path": "unused", "lora": lora.model_dump()})
    made, _ = trainer(base, tmp_path, chosen, model=model)
    assert made.beta == 0.0 and made.scorer.frozen is None
    made.train()
    plain, scores = load_model(str(base)), scores_of(made)
    for row, scored in zip(rows_of(made), scores["ref_logps"], strict=True):
        torch.testing.assert_close(scored, reference_logps(plain, row, row.prompt_ids), rtol=1e-4, atol=1e-5)


def test_metrics_and_signals(base, tmp_path):
    made, record = trainer(base, tmp_path, recipe())
    made.train()
    (first, *_), signals = record.steps, record.signals[0]
    assert set(STEP_METRICS) <= set(first)
    assert first["loss/total"] == pytest.approx(first["loss/policy"] + first["loss/distill"])
    played = episodes(0, len(made._tokenizer))
    assert set(signals) == {(e, turn.index) for e, episode in enumerate(played) for turn in episode.turns}
    assert all(0 <= cell["gate_mean"] <= 1 for cell in signals.values())


@pytest.mark.parametrize("method", ["rlsd", "agent_opsd", "skill_sd", "opsd"])
def test_every_method_with_a_teacher_shows_its_gap(base, tmp_path, method):
    """At the first step all of them see the same one: of the weights at rollout time."""
    sdar, a = trainer(base, tmp_path / "a", recipe(train={"steps": 1}))
    other, b = trainer(base, tmp_path / "b", recipe(method=method, train={"steps": 1}))
    sdar.train()
    other.train()
    for name in ("gap/mean", "gap/std", "gap/negative", "gap/turn_01/mean"):
        assert a.steps[0][name] == pytest.approx(b.steps[0][name], rel=1e-5, abs=1e-7)
    assert ("gate/mean" in b.steps[0]) is (method == "opsd")


def test_a_rollout_without_any_row_changes_nothing(base, tmp_path):
    made, record = trainer(base, tmp_path, recipe(), groups=0)
    before = weights(made.model)
    made.train()
    assert made.state.global_step == 3 and len(record.steps) == 3
    assert record.steps[0]["optim/updates"] == record.steps[0]["optim/rows"] == record.steps[0]["loss/distill"] == 0.0
    assert all(torch.equal(value, before[name]) for name, value in weights(made.model).items())


class Odd(Replay):
    """Rollouts with what may go wrong: nothing said, an engine that broke, answers of one token."""

    def play(self, starts):
        played = super().play(starts)
        played[0].stop = StopReason.ENVIRONMENT_ERROR
        for turn in played[1].turns:
            turn.response_ids = []
        for turn in played[2].turns:
            turn.response_ids = turn.response_ids[:1]
        played[3].turns = []
        for episode in played[4:]:
            episode.reward, episode.won = 10.0, True
        return played


@pytest.mark.parametrize(
    "changes",
    [
        {"distill": {"coef": 0.5}},
        {"method": "rlsd"},
        {"method": "agent_opsd"},
        {"method": "skill_sd"},
        {"method": "rloo"},
        {"method": "reinforce"},
        {"method": "ppo_kl"},
        {"distill": {"coef": 0.5, "divergence": "reverse"}, "optimiser": {"rows_per_update": 4}},
        {"gate": {"normalise": "zscore"}, "optimiser": {"tokens_per_microbatch": 1}},
    ],
    ids=lambda changes: "-".join([changes.get("method", "sdar"), *changes]),
)
def test_odd_rollouts_train(base, tmp_path, changes):
    made, record = trainer(base, tmp_path, recipe(**changes), make_loop=lambda made: Odd(len(made._tokenizer)))
    made.train()
    assert made.state.global_step == 3
    for step in record.steps:
        assert all(abs(value) < 1e6 for value in step.values())
    assert all(torch.isfinite(value).all() for value in weights(made.model).values())


def test_entropy_bonus_lowers_the_loss_by_its_mean(base, tmp_path):
    plain, a = trainer(base, tmp_path / "a", recipe(method="grpo"))
    bonus, b = trainer(base, tmp_path / "b", recipe(method="grpo", policy={"kl_coef": 0.01, "entropy_coef": 0.1}))
    plain.train()
    bonus.train()
    drop = a.steps[0]["loss/total"] - b.steps[0]["loss/total"]
    assert drop == pytest.approx(0.1 * a.steps[0]["policy/entropy"], rel=1e-4)
    assert b.steps[0]["loss/entropy"] == pytest.approx(-drop, rel=1e-4)


def test_a_term_that_is_not_finite_stops_the_run_and_is_named(base, tmp_path, monkeypatch):
    made, record = trainer(base, tmp_path, recipe())
    term = made.objective.term

    def broken(tokens, settings):
        made_term = term(tokens, settings)
        object.__setattr__(made_term, "loss", made_term.loss * (float("nan") if made.state.global_step == 1 else 1.0))
        return made_term

    fields = {name: getattr(made.objective, name) for name in Objective.__slots__}
    made.objective = Objective(**fields | {"term": broken})
    with pytest.raises(NotFinite) as caught:
        made.train()
    assert (caught.value.step, caught.value.term) == (2, "distill") and len(record.steps) == 1
    assert made.inputs is not None and "teacher_logps" in made.inputs


def test_checkpoint_is_a_model_folder_without_pickled_arguments(base, tmp_path):
    kept = tmp_path / "kept"

    @contextmanager
    def saving(step):
        folder = tmp_path / "writing"
        folder.mkdir()
        yield folder
        folder.rename(kept)

    made, _ = trainer(base, tmp_path / "out", recipe(train={"steps": 1, "checkpoint_every": 1}))
    made.checkpoint, made.checkpoint_state = saving, lambda: {"retriever": {"n": 1}}
    made.train()
    names = {path.name for path in kept.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "training", "trainer_state.json"} <= names
    assert "training_args.bin" not in names and "ema.safetensors" not in names
    assert json.loads((kept / "sdar.json").read_text()) == {"step": 1, "retriever": {"n": 1}}
    load_tokenizer(str(kept))
    for name, value in weights(load_model(str(kept))).items():
        assert torch.equal(value, weights(made.model)[name]), name


def test_rollouts_grant_none_of_the_models_own_wishes(base, tmp_path):
    """Tokens are drawn from the policy whose log-probs are trained."""
    model = load_model(str(base))
    model.generation_config.update(min_p=0.9999, repetition_penalty=3.0, no_repeat_ngram_size=1)
    made, _ = trainer(base, tmp_path, recipe(), model)
    plain, _ = trainer(base, tmp_path, recipe())
    prompts = [[5, 6, 7]] * 16
    answers = []
    for one in (made, plain):
        torch.manual_seed(0)
        answers.append([answer.ids for answer in one.generate(prompts)])
    assert answers[0] == answers[1]
