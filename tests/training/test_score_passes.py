"""The scorer: what runs on the same weights is one pass over both kinds of prompts, and each name has its weights."""

from __future__ import annotations

import pytest
import torch
from tiny_training import WORDS, recipe, trainer

from sdar_cli.models.load import add_lora, load_model
from sdar_cli.recipe.schema import Lora
from sdar_cli.training import prefix_pass
from sdar_cli.training.prefix_pass import Runner
from sdar_cli.training.rows import Row

pytestmark = pytest.mark.train

TEMPLATE, SKILLS = list(range(4, 34)), list(range(10, 40))


def rows() -> list[Row]:
    """Groups of four on three tasks: prompts long enough for beginnings of their own."""
    draw = torch.Generator().manual_seed(0)

    def tokens(low: int, high: int) -> list[int]:
        size = int(torch.randint(low, high, (1,), generator=draw))
        return torch.randint(4, len(WORDS), (size,), generator=draw).tolist()

    out = []
    for episode in range(12):
        if episode % 4 == 0:
            task = tokens(20, 30)
        prompt, said = [*TEMPLATE, *task, *tokens(1, 5)], tokens(1, 9)
        taught = [*TEMPLATE, *SKILLS, *prompt[len(TEMPLATE) :]]
        mask = [1] * len(said)
        if len(said) > 3:
            mask[1] = 0  # a word of the environment, as full context has them
        out.append(Row(episode, prompt, taught, said, mask, [0.0] * len(said), [0] * len(said)))
    return out


def alone(model, row: Row, *, teacher: bool) -> torch.Tensor:
    prompt = row.teacher_prompt_ids if teacher else row.prompt_ids
    with torch.no_grad():
        logps = model(input_ids=torch.tensor([prompt + row.completion_ids])).logits[0].log_softmax(-1)
    start = len(prompt) - 1
    found = torch.stack([logps[start + i, token] for i, token in enumerate(row.completion_ids)])
    return found * torch.tensor(row.mask)


def moved(made) -> None:
    """Other weights than those RL starts from; an average that follows them half-way."""
    with torch.no_grad():
        for parameter in made.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    if made.average is not None:
        made.average.update()


def watched(monkeypatch) -> list[tuple[int, int]]:
    """(targets, levels of shared beginnings) of every pass."""
    seen: list[tuple[int, int]] = []
    inner = Runner._log_probs

    def log_probs(self, targets):
        ((_, planned),) = prefix_pass._plans(targets, self.budget)
        seen.append((len(targets), len(planned.levels)))
        return inner(self, targets)

    monkeypatch.setattr(Runner, "_log_probs", log_probs)
    return seen


@pytest.mark.parametrize("kind", ["live", "frozen", "ema"])
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_each_name_has_its_weights(base, tmp_path, monkeypatch, kind, lora):
    """Teacher, reference and rollout-time student, of prompts whose beginnings are shared."""
    changes: dict = {"method": "rlsd", "teacher": {"kind": kind, "ema_decay": 0.5}}
    model = None
    if lora:
        changes["model"] = {"path": "unused", "lora": Lora(rank=2, alpha=4).model_dump()}
        model = add_lora(load_model(str(base)), Lora(rank=2, alpha=4), seed=0)
    made, _ = trainer(base, tmp_path, recipe(**changes), model=model)
    moved(made)
    before = {name: value.clone() for name, value in made.model.named_parameters()}
    seen = watched(monkeypatch)
    own = rows()
    scores = made.scorer.score(own, made.objective, made.settings, several_updates=True)
    start = load_model(str(base))
    taught_by = {"live": made.model, "frozen": start, "ema": made.model}[kind]
    for place, row in enumerate(own):
        close = {"rtol": 1e-4, "atol": 2e-5}
        torch.testing.assert_close(scores["ref_per_token_logps"][place], alone(start, row, teacher=False), **close)
        torch.testing.assert_close(scores["old_logps"][place], alone(made.model, row, teacher=False), **close)
        if kind == "ema":
            with made.average.in_place():
                expected = alone(made.model, row, teacher=True)
        else:
            expected = alone(taught_by, row, teacher=True)
        torch.testing.assert_close(scores["teacher_logps"][place], expected, **close)
    together = {"live": [24, 12], "frozen": [24, 12], "ema": [12, 12, 12]}[kind]
    assert sorted((n for n, _ in seen), reverse=True) == together
    assert all(levels >= 1 for n, levels in seen if n == 24), "beginnings were shared"
    assert all(torch.equal(value, before[name]) for name, value in made.model.named_parameters())
    assert set(scores) == {"teacher_logps", "ref_per_token_logps", "old_logps", "old_per_token_logps"}


def test_the_seconds_of_a_common_pass_are_shared_out(base, tmp_path):
    made, _ = trainer(base, tmp_path, recipe(method="rlsd", policy={"kl_coef": 0.0}))
    made.scorer.score(rows(), made.objective, made.settings, several_updates=True)
    seconds = made.scorer.timings()
    assert seconds["time/teacher"] > seconds["time/scoring"] > 0, "the teacher's prompts are the longer ones"
    made.scorer.score([], made.objective, made.settings, several_updates=True)
    assert made.scorer.seconds_total() < 0.5


def test_a_model_whose_cache_forgets_is_scored_all_the_same(tmp_path, monkeypatch):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from sdar_cli.models.tiny import build_tokenizer

    tokenizer = build_tokenizer([" ".join(WORDS)])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
    )
    folder = tmp_path / "window"
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    made, _ = trainer(folder, tmp_path / "out", recipe())
    assert not made.scorer._shares
    own = rows()
    scores = made.scorer.score(own, made.objective, made.settings, several_updates=False)
    for place, row in enumerate(own):
        expected = alone(made.model, row, teacher=True)
        torch.testing.assert_close(scores["teacher_logps"][place], expected, rtol=1e-4, atol=2e-5)
    made.train()
    assert made.state.global_step == 3
