"""SDARTrainer on replayed rollouts: teachers, updates, micro-batches, metrics, checkpoints."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
from tiny_training import SKILLS_IDS, episodes, recipe, trainer, weights

from sdar_cli.models.load import add_lora, load_model, load_tokenizer
from sdar_cli.recipe.schema import Lora
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
    "time/generation",
    "time/environment",
    "time/teacher",
    "time/scoring",
    "time/training",
    "optim/grad_norm",
)

ABOUT = {"context": "window", "penalty": 0.1, "statistics": "trajectory"}


def rows_of(made, step=0):
    return make_rows(episodes(step, len(made._tokenizer)), **ABOUT)


def reference_logps(model, row, prompt):
    """Log-probs of a row's completion by an ordinary forward pass without padding."""
    ids = torch.tensor([prompt + row.completion_ids])
    with torch.no_grad():
        logps = model(input_ids=ids).logits[0].log_softmax(-1)
    start = len(prompt)
    return torch.stack([logps[start + i - 1, token] for i, token in enumerate(row.completion_ids)])


def test_scores_are_those_of_an_unpadded_forward(base, tmp_path):
    """The teacher's prompt differs by the skills alone, and padding changes nothing."""
    made, _ = trainer(base, tmp_path, recipe(optimiser={"tokens_per_microbatch": 60}))
    rows = rows_of(made)
    scores = made.scorer.score(rows, several_updates=True)
    plain = load_model(str(base))
    assert set(scores) == {"teacher_logps", "ref_per_token_logps", "old_per_token_logps"}
    for index, row in enumerate(rows):
        assert row.teacher_prompt_ids == SKILLS_IDS + row.prompt_ids
        teacher = reference_logps(plain, row, row.teacher_prompt_ids)
        student = reference_logps(plain, row, row.prompt_ids)
        torch.testing.assert_close(scores["teacher_logps"][index], teacher, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scores["old_per_token_logps"][index], student, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scores["ref_per_token_logps"][index], student, rtol=1e-4, atol=1e-5)


def test_only_the_passes_that_are_needed_run(base, tmp_path):
    made, _ = trainer(base, tmp_path, recipe(method="grpo", policy={"kl_coef": 0.0}))
    assert made.scorer.score(rows_of(made), several_updates=False) == {}


def test_gradient_of_the_whole_term(base, tmp_path):
    """Gradient with λ minus gradient without it is −λ/n · Σ g·∇logp, by an independent backward pass."""

    def gradient(coef):
        made, _ = trainer(base, tmp_path, recipe(distill={"coef": coef}))
        made.current_gradient_accumulation_steps = 1
        made.train_on_rows(made.model, rows_of(made))
        return made, {n: p.grad.clone() for n, p in made.model.named_parameters()}

    coef = 0.5
    made, with_term = gradient(coef)
    _, without = gradient(0.0)
    rows = rows_of(made)
    teacher = made.scorer.score(rows, several_updates=False)["teacher_logps"]
    model = load_model(str(base))
    total = 0.0
    for row, scored in zip(rows, teacher, strict=True):
        ids = torch.tensor([row.prompt_ids + row.completion_ids])
        logps = model(input_ids=ids).logits[0].log_softmax(-1)
        start = len(row.prompt_ids)
        own = torch.stack([logps[start + i - 1, token] for i, token in enumerate(row.completion_ids)])
        gate = torch.sigmoid(5.0 * (scored - own.detach()))
        total = total - coef * (gate * own).sum()
    (total / sum(row.response_tokens for row in rows)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(with_term[name] - without[name], parameter.grad, rtol=1e-3, atol=2e-5)


def test_micro_batches_do_not_change_the_update(base, tmp_path):
    """A budget of 40 padded tokens gives many micro-batches; weights agree within float tolerance."""
    one, a = trainer(base, tmp_path / "a", recipe(optimiser={"tokens_per_microbatch": 10**6}))
    many, b = trainer(base, tmp_path / "b", recipe(optimiser={"tokens_per_microbatch": 40}))
    rows = rows_of(one)
    assert len(one._updates(rows)[0]) == 1 and len(many._updates(rows)[0]) > 5
    one.train()
    many.train()
    for name, value in weights(one.model).items():
        torch.testing.assert_close(weights(many.model)[name], value, rtol=1e-3, atol=2e-4)
    assert a.steps[0]["loss/total"] == pytest.approx(b.steps[0]["loss/total"], rel=1e-5)
    assert a.steps[0]["gap/mean"] == pytest.approx(b.steps[0]["gap/mean"], rel=1e-5)


def test_no_forward_pass_runs_twice(base, tmp_path):
    """A step of one micro-batch: one pass each for student, teacher and reference, and no other."""
    made, _ = trainer(base, tmp_path, recipe(train={"steps": 1}))
    calls = []
    made.model.model.register_forward_hook(lambda *_: calls.append("policy"))
    made.ref_model.model.register_forward_hook(lambda *_: calls.append("reference"))
    made.train()
    assert sorted(calls) == ["policy", "policy", "reference"]


def test_several_updates_a_rollout(base, tmp_path):
    made, record = trainer(base, tmp_path, recipe(optimiser={"rows_per_update": 4}))
    rows = rows_of(made)
    updates = made._updates(rows)
    assert len(updates) == -(-len(rows) // 4) == 4
    assert sorted(i for update in updates for batch in update for i in batch) == list(range(len(rows)))
    made.train()
    assert made.state.global_step == 3 and record.steps[0]["optim/updates"] == 4
    assert record.steps[0]["policy/clip_ratio"] >= 0


def test_teacher_live_follows_the_weights_and_frozen_does_not(base, tmp_path):
    for kind, kl in (("live", 0.01), ("frozen", 0.01), ("frozen", 0.0)):
        frozen = load_model(str(base)) if kl == 0.0 else None
        made, _ = trainer(base, tmp_path, recipe(teacher={"kind": kind}, policy={"kl_coef": kl}))
        if frozen is not None:
            from sdar_cli.training.score import Scorer

            made.scorer = Scorer(made, frozen)
        rows = rows_of(made)
        before = made.scorer.score(rows, several_updates=False)["teacher_logps"]
        with torch.no_grad():
            for parameter in made.model.parameters():
                parameter.mul_(1.5)
        after = made.scorer.score(rows, several_updates=False)["teacher_logps"]
        same = all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
        assert same is (kind == "frozen"), (kind, kl)


def test_lora_needs_no_second_model(base, tmp_path):
    """Frozen teacher and reference are the base with the adapter off; only the adapter is trained."""
    lora = Lora(rank=2, alpha=4)
    model = add_lora(load_model(str(base)), lora, seed=0)
    chosen = recipe(teacher={"kind": "frozen"}, model={"path": "unused", "lora": lora.model_dump()})
    made, record = trainer(base, tmp_path, chosen, model=model)
    assert made.ref_model is None and made.scorer.frozen is None
    before = made.scorer.score(rows_of(made), several_updates=True)
    made.train()
    after = made.scorer.score(rows_of(made), several_updates=True)
    for name in ("teacher_logps", "ref_per_token_logps"):
        assert all(torch.equal(x, y) for x, y in zip(before[name], after[name], strict=True))
    moved = [x.ne(y).any() for x, y in zip(before["old_per_token_logps"], after["old_per_token_logps"], strict=True)]
    assert any(moved) and record.steps[-1]["policy/kl"] > 0
    trained = {n for n, p in made.model.named_parameters() if p.requires_grad}
    assert trained and all("lora" in name for name in trained)


def test_metrics_and_signals(base, tmp_path):
    made, record = trainer(base, tmp_path, recipe())
    made.train()
    (first, *_), signals = record.steps, record.signals[0]
    assert set(STEP_METRICS) <= set(first)
    assert first["loss/total"] == pytest.approx(first["loss/policy"] + first["loss/distill"])
    played = episodes(0, len(made._tokenizer))
    assert set(signals) == {(e, turn.index) for e, episode in enumerate(played) for turn in episode.turns}
    assert all(0 <= cell["gate_mean"] <= 1 for cell in signals.values())


def test_a_rollout_without_any_row_changes_nothing(base, tmp_path):
    made, record = trainer(base, tmp_path, recipe(), groups=0)
    before = weights(made.model)
    made.train()
    assert made.state.global_step == 3 and len(record.steps) == 3
    assert all(torch.equal(value, before[name]) for name, value in weights(made.model).items())


def test_entropy_bonus_lowers_the_loss_by_its_mean(base, tmp_path):
    plain, a = trainer(base, tmp_path / "a", recipe(method="grpo"))
    bonus, b = trainer(base, tmp_path / "b", recipe(method="grpo", policy={"kl_coef": 0.01, "entropy_coef": 0.1}))
    plain.train()
    bonus.train()
    drop = a.steps[0]["loss/total"] - b.steps[0]["loss/total"]
    assert drop == pytest.approx(0.1 * a.steps[0]["policy/entropy"], rel=1e-4)


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
    assert {"model.safetensors", "config.json", "tokenizer.json", "optimizer.pt", "trainer_state.json"} <= names
    assert "training_args.bin" not in names
    assert json.loads((kept / "sdar.json").read_text()) == {"step": 1, "retriever": {"n": 1}}
    load_tokenizer(str(kept))
    for name, value in weights(load_model(str(kept))).items():
        assert torch.equal(value, weights(made.model)[name]), name
