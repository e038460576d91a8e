"""Forward passes without padding before or between tokens, their numbers, and how much padding is left."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import recipe, trainer

from sdar_cli.models.load import load_model
from sdar_cli.training.forward import Padding, Tight
from sdar_cli.training.rows import LONGEST, MICROBATCH_COST, STUDENT, TEACHER, Row, split_microbatches
from sdar_cli.training.updates import plan_updates

PAD = 0


def row(prompt: int, completion: int, skills: int = 0) -> Row:
    ids = list(range(10, 10 + prompt))
    return Row(
        0,
        ids,
        [9] * skills + ids,
        list(range(100, 100 + completion)),
        [1] * completion,
        [0.0] * completion,
        [0] * completion,
    )


def turns(seed: int, episodes: int, most: int = 50) -> list[Row]:
    """Lengths as ALFWorld's: a task, two turns of history, what may be done now; answers mostly short, some at the
    limit of 512; episodes that end anywhere between the third turn and the last."""
    draw = random.Random(seed)
    rows = []
    for _ in range(episodes):
        task, skills = draw.randint(380, 520), draw.randint(250, 500)
        for turn in range(min(most, max(3, int(draw.gammavariate(2.2, 10))))):
            history = sum(draw.randint(40, 180) for _ in range(min(turn, 2)))
            answer = min(512, max(8, int(draw.lognormvariate(4.5, 0.7))))
            rows.append(row(task + history + draw.randint(60, 420), answer, skills))
    return rows


def padding(rows: list[Row], batches: list[list[int]], tokens) -> float:
    """Of a pass over these micro-batches."""
    lengths = [[tokens(rows[i]) for i in batch] for batch in batches if batch]
    return 1 - sum(map(sum, lengths)) / sum(max(own) * len(own) for own in lengths)


@pytest.mark.parametrize("tokens", [STUDENT, TEACHER])
@pytest.mark.parametrize(
    ("episodes", "rows_per_update", "budget"),
    [(128, None, 16384), (128, 256, 16384), (16, None, 16384), (16, 32, 16384), (64, 64, 8192)],
    ids=["a step", "an update of 256 rows", "one of eight ranks", "its 32 rows of an update", "a small budget"],
)
def test_padding_is_under_a_tenth_on_lengths_as_alfworlds(episodes, rows_per_update, budget, tokens):
    for seed in range(3):
        rows = turns(seed, episodes)
        updates = plan_updates(
            rows,
            [(0, 0, i) for i in range(len(rows))],
            rows_per_update=rows_per_update,
            tokens_per_microbatch=budget,
            shuffle="0/0",
            tokens=tokens,
        )
        share = padding(rows, [batch for update in updates for batch in update], tokens)
        assert share < 0.1, f"seed {seed}: {share:.3f}"


lengths = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=40)


@given(lengths, st.integers(1, 400), st.sampled_from([STUDENT, TEACHER, LONGEST]))
def test_a_split_holds_every_row_once_within_the_budget(made, budget, tokens):
    rows = [row(*about) for about in made]
    batches = split_microbatches(rows, range(len(rows)), budget, tokens=tokens)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    for batch in batches:
        assert len(batch) == 1 or max(tokens(rows[i]) for i in batch) * len(batch) <= budget
    assert batches == split_microbatches(rows, range(len(rows)), budget, tokens=tokens)


@given(lengths, st.integers(1, 12))
@settings(max_examples=60)
def test_no_other_cut_of_the_sorted_rows_costs_less(made, count):
    """By trying all of them, on few rows."""
    rows = [row(prompt * 40, completion * 40) for prompt, completion, _ in made][:count]
    budget = 4000

    def cost(batches: list[list[int]]) -> float:
        width = [max(rows[i].student_tokens for i in batch) for batch in batches]
        if any(w * len(b) > budget and len(b) > 1 for w, b in zip(width, batches, strict=True)):
            return float("inf")
        return sum(w * len(b) + MICROBATCH_COST for w, b in zip(width, batches, strict=True))

    order = sorted(range(len(rows)), key=lambda i: (rows[i].student_tokens, i))
    bounds = [[0, *cuts, len(order)] for n in range(len(order)) for cuts in combinations(range(1, len(order)), n)]
    least = min(cost([order[a:b] for a, b in pairwise(own)]) for own in bounds)
    assert cost(split_microbatches(rows, order, budget, tokens=STUDENT)) == least


@given(lengths, st.data())
def test_rows_are_moved_and_their_values_go_back(made, data):
    """Ids of TRL's two-sided layout, each a token's own number; what is wanted is any part of the completions."""
    width, length = max(p for p, *_ in made), max(t for _, t, _ in made)
    ids, mask, number = [], [], 1
    for prompt, completion, _ in made:
        own = list(range(number, number + prompt + completion))
        number += len(own)
        ids.append([PAD] * (width - prompt) + own + [PAD] * (length - completion))
        mask.append([int(i != PAD) for i in ids[-1]])
    ids, mask = torch.tensor(ids), torch.tensor(mask)
    chosen = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(made) * length, max_size=len(made) * length)))
    wanted = mask[:, -length:] * chosen.view(len(made), length)
    tight = Tight.of(ids, mask, wanted)
    assert tight.slots == len(made) * max(p + t for p, t, _ in made) and tight.tokens == int(mask.sum())
    assert [own[real].tolist() for own, real in zip(tight.ids, tight.real, strict=True)] == [
        own[m.bool()].tolist() for own, m in zip(ids, mask, strict=True)
    ]
    assert not (~tight.real[:, :-1] & tight.real[:, 1:]).any(), "padding at the end alone"
    assert torch.equal(tight.spread(tight.ids[:, 1:]), ids[:, -length:] * wanted)
    states = tight.ids.unsqueeze(-1).expand(-1, -1, 2)
    assert torch.equal(tight.predicting(states)[:, 0] + 1, ids[:, -length:][wanted.bool()])


@pytest.mark.train
def test_log_probs_are_those_of_a_row_alone_and_nothing_else_is_scored(base, tmp_path):
    made, _ = trainer(base, tmp_path, recipe(method="grpo"))
    draw = torch.Generator().manual_seed(0)
    rows = [
        (torch.randint(4, 40, (p,), generator=draw), torch.randint(4, 40, (t,), generator=draw))
        for p, t in ((3, 9), (14, 2), (7, 7))
    ]
    ids, mask = torch.zeros(3, 23, dtype=torch.long), torch.zeros(3, 23, dtype=torch.long)
    for i, (prompt, completion) in enumerate(rows):
        ids[i, 14 - len(prompt) : 14 + len(completion)] = torch.cat([prompt, completion])
        mask[i, 14 - len(prompt) : 14 + len(completion)] = 1
    wanted = mask[:, -9:].clone()
    wanted[0, 4:6] = 0
    logps, entropy, _ = made.score_tokens(made.model, ids, mask, 9, wanted=wanted, compute_entropy=True)
    assert (made.padding.tokens, made.padding.slots) == (42, 48)
    plain = load_model(str(base))
    for i, (prompt, completion) in enumerate(rows):
        full = plain(input_ids=torch.cat([prompt, completion]).unsqueeze(0)).logits[0].log_softmax(-1)
        told = full[len(prompt) - 1 : -1]
        expected = told.gather(1, completion.unsqueeze(1)).squeeze(1)
        chosen = wanted[i, : len(completion)].bool()
        torch.testing.assert_close(logps[i, : len(completion)][chosen], expected[chosen], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            entropy[i, : len(completion)][chosen], -(told.exp() * told).sum(-1)[chosen], rtol=1e-4, atol=1e-5
        )
    assert not logps[wanted == 0].any() and not entropy[wanted == 0].any()


@pytest.mark.train
def test_attention_needs_no_mask_of_a_rows_square(base, tmp_path):
    """The kernels whose memory grows with a row's length are those without a mask."""
    made, record = trainer(base, tmp_path, recipe(train={"steps": 1}))
    seen = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def watched(*args, attn_mask=None, is_causal=False, **about):
        if torch.is_grad_enabled():
            seen.append((attn_mask, is_causal))
        return attention(*args, attn_mask=attn_mask, is_causal=is_causal, **about)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
        made.train()
    assert seen and all(mask is None and causal for mask, causal in seen)
    assert 0 < record.steps[0]["optim/padding"] < 0.5


def test_padding_adds_up_over_ranks():
    mine, theirs = Padding(), Padding()
    mine.add(90, 100)
    theirs.add(10, 100)
    assert mine.share() == pytest.approx(0.1)
    assert mine.share(lambda own: [*own, (theirs.tokens, theirs.slots)]) == pytest.approx(0.5)
    assert Padding().share() == 0.0
