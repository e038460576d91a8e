"""Gaps and gates of transcripts: what training computes of the same tokens, and nothing of a training changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import episodes, recipe, trainer, weights

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.objectives.distillation import distillation
from sdar_cli.objectives.objective import Tokens
from sdar_cli.objectives.settings import Settings
from sdar_cli.rollout.episode import Episode, StopReason
from sdar_cli.training.transcript_scores import TokenScorer


def reference(model: Any, prompt: list[int], response: list[int], temperature: float) -> tuple[Any, Any]:
    """Log-probs (T,) and entropies divided by log V, of one unpadded sequence."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / temperature
    logps = logits.log_softmax(-1)
    entropy = -(logps.exp() * logps).sum(-1) / math.log(logits.size(-1))
    return logps[range(len(response)), response], entropy


def played(base: Path, **about: Any) -> list[Episode]:
    return episodes(0, len(load_tokenizer(str(base))), **about)


GATES: list[dict[str, Any]] = [
    {"kind": "gap", "beta": 5.0},
    {"kind": "entropy", "beta": 2.0},
    {"kind": "soft_or", "beta": 1.5},
    {"kind": "none"},
    {"kind": "gap", "beta": 5.0, "normalise": "zscore"},
    {"kind": "gap", "beta": 5.0, "normalise": "turn_mean"},
]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: "-".join(map(str, gate.values())))
def test_gap_and_gate_are_those_of_the_distillation_term(gate: dict[str, Any], base: Path) -> None:
    chosen = recipe(gate=gate, rollout={"sampling": {"temperature": 0.7}}, optimiser={"tokens_per_microbatch": 64})
    model = load_model(str(base))
    found = TokenScorer.of_model(chosen, load_model(str(base)), 0).score(played(base))
    settings = Settings.at(chosen, chosen.train.steps)
    turns = [(place, turn) for place, one in enumerate(played(base)) for turn in one.turns]
    assert set(found) == {(place, turn.index) for place, turn in turns}
    gaps = {}
    for place, turn in turns:
        student, entropy = reference(model, turn.prompt_ids, turn.response_ids, 0.7)
        teacher, _ = reference(model, turn.teacher_prompt_ids, turn.response_ids, 0.7)
        gaps[place, turn.index] = (student, teacher, entropy)
    every = torch.cat([teacher - student for student, teacher, _ in gaps.values()]).double()
    for key, (student, teacher, entropy) in gaps.items():
        tokens = Tokens(
            student[None],
            student[None],
            torch.ones(1, len(student)),
            torch.full((1, len(student)), key[1]),
            torch.zeros(1, len(student)),
            1.0,
            teacher[None],
            entropy[None],
            gap_mean=float(every.mean()),
            gap_std=float(every.std(correction=0)),
        )
        term = distillation(tokens, settings)
        assert found[key][0] == pytest.approx(term.gap[0].tolist(), abs=2e-5)
        assert found[key][1] == pytest.approx(term.gate[0].tolist(), abs=2e-4)


@pytest.mark.parametrize("context", ["window", "full"])
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_trainer_scores_as_the_bare_model_and_stays_as_it_was(
    context: str, lora: dict[str, Any] | None, base: Path, tmp_path: Path
) -> None:
    from sdar_cli.models.load import add_lora

    chosen = recipe(
        rollout={"context": context},
        model={"path": str(base), "lora": lora, "gradient_checkpointing": True},
    )
    model = load_model(str(base))
    if chosen.model.lora is not None:
        model = add_lora(model, chosen.model.lora, 0)
    made, _ = trainer(base, tmp_path, chosen, model)
    whole = played(base, context=context)
    if context == "full":
        for one in whole:
            for turn in one.turns[1:]:
                turn.teacher_prompt_ids = None
    bare = TokenScorer.of_model(chosen, load_model(str(base)), 0).score(whole)
    made.model.train()
    made.model.zero_grad()
    torch.manual_seed(7)
    before, state = weights(made.model), torch.random.get_rng_state()
    grads = [parameter.requires_grad for parameter in made.model.parameters()]
    scorer = TokenScorer.of_trainer(made)
    found = scorer.score(whole)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert made.model.training and [p.requires_grad for p in made.model.parameters()] == grads
    assert all(parameter.grad is None for parameter in made.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in weights(made.model).items())
    assert scorer.score(whole) == found
    assert set(found) == set(bare) == {(place, turn.index) for place, one in enumerate(whole) for turn in one.turns}
    for key, (gap, gate) in found.items():
        assert len(gap) == len(whole[key[0]].turns[key[1]].response_ids)
        assert gap == pytest.approx(bare[key][0], abs=1e-4) and gate == pytest.approx(bare[key][1], abs=1e-3)


def test_what_has_no_prompt_with_skills_or_broke_has_no_gap(base: Path) -> None:
    whole = played(base)
    whole[0].stop = StopReason.ENVIRONMENT_ERROR
    for turn in whole[1].turns:
        turn.teacher_prompt_ids = None
    whole[2].turns[0].response_ids = []
    found = TokenScorer.of_model(recipe(), load_model(str(base)), 0).score(whole)
    assert not [key for key in found if key[0] in (0, 1) or key == (2, 0)]
    assert TokenScorer.of_model(recipe(), load_model(str(base)), 0).score(whole[:2]) == {}


@pytest.mark.parametrize("method", ["sdar", "grpo", "opsd"])
def test_any_method_has_gaps_by_the_gate_at_the_end_of_its_schedule(method: str, base: Path) -> None:
    gate = {"kind": "gap", "beta": 1.0, "schedule": {"to": 8.0, "steps": 2}}
    chosen = recipe(method=method, gate=gate)
    scorer = TokenScorer.of_model(chosen, load_model(str(base)), 0)
    assert scorer.about() == {"temperature": 1.0, "gate": {"kind": "gap", "beta": 8.0, "normalise": "none"}}
    gap, drawn = next(iter(scorer.score(played(base)).values()))
    assert drawn == pytest.approx([1 / (1 + math.exp(-8 * value)) for value in gap], abs=1e-5)


def test_weights_that_diverged_give_no_number_and_no_error(base: Path) -> None:
    model = load_model(str(base))
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(math.nan)
    found = TokenScorer.of_model(recipe(), model, 0).score(played(base))
    assert all(math.isnan(value) for gap, _ in found.values() for value in gap)


def test_a_head_for_scoring_changes_no_play(base: Path) -> None:
    model = load_model(str(base))
    ids = torch.tensor([[4, 5, 6]])
    before = model(input_ids=ids).logits
    TokenScorer.of_model(replace_temperature(recipe()), model, 0)
    assert torch.equal(model(input_ids=ids).logits, before)


def replace_temperature(chosen: Any) -> Any:
    sampling = chosen.rollout.sampling.model_copy(update={"temperature": 0.3})
    return chosen.model_copy(update={"rollout": chosen.rollout.model_copy(update={"sampling": sampling})})
