"""Importance weights of another engine's samples, against the formula in float64."""

from __future__ import annotations

import math

import pytest
import torch

from sdar_cli.errors import UserError
from sdar_cli.training.correction import IMPORTANCE_CAP, importance_ratios, logp_difference
from sdar_cli.training.rows import Row

POLICY = [torch.tensor([-1.0, -2.0, -0.5]), torch.tensor([-3.0, -1.0])]
SAMPLER = [[-1.25, -2.0, -3.0], [-2.0, -1.0]]
MASKS = [[1, 1, 0], [1, 1]]


def rows(sampler=SAMPLER) -> list[Row]:
    return [
        Row(0, [1], None, [1] * len(mask), mask, [0.0] * len(mask), [0] * len(mask), own)
        for mask, own in zip(MASKS, sampler, strict=True)
    ]


def test_the_weight_is_policy_over_sampler_and_capped() -> None:
    made = importance_ratios(rows(), POLICY)
    for own, policy, sampler in zip(made, POLICY, SAMPLER, strict=True):
        for ratio, p, s in zip(own.tolist(), policy.tolist(), sampler, strict=True):
            assert ratio == pytest.approx(min(math.exp(p - s), IMPORTANCE_CAP), rel=1e-6)
    assert made[0][2] == IMPORTANCE_CAP


def test_equal_log_probs_weigh_one() -> None:
    made = importance_ratios(rows([p.tolist() for p in POLICY]), POLICY)
    assert all(torch.equal(own, torch.ones_like(own)) for own in made)


def test_differences_are_of_response_tokens_alone() -> None:
    told = logp_difference(rows(), POLICY)
    assert told == pytest.approx(
        {"sampling/logp_difference/mean": 1.25 / 4, "sampling/logp_difference/max": 1.0, "sampling/capped": 0.0}
    )
    told = logp_difference(rows([[-1.25, -3.0, 0.0], [-2.0, -1.0]]), POLICY)
    assert told["sampling/capped"] == 0.25 and told["sampling/logp_difference/max"] == 1.0


def test_over_ranks_tokens_count_alike() -> None:
    everyone = logp_difference(rows(), POLICY)
    parts: list = []
    for n in range(2):
        logp_difference(rows()[n : n + 1], POLICY[n : n + 1], lambda own: parts.extend(own) or own)
    assert logp_difference(rows()[:1], POLICY[:1], lambda own: parts) == pytest.approx(everyone)


def test_a_rank_without_rows() -> None:
    assert logp_difference([], []) == dict.fromkeys(logp_difference(rows(), POLICY), 0.0)


def test_rows_without_a_sampler() -> None:
    with pytest.raises(UserError, match=r"set engine\.kind=hf, as it was recorded$"):
        importance_ratios(rows([SAMPLER[0], None]), POLICY)
