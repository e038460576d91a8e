"""Gap and gate, summarised: against NumPy over all tokens, however they are cut into micro-batches and ranks."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdar_cli.training.signals import MAX_TURNS_LOGGED, Partial, Signals


@dataclass
class Term:
    gap: Tensor
    gate: Tensor | None


@dataclass
class MicroBatch:
    """Shapes (B, T)."""

    gap: Tensor
    gate: Tensor | None
    mask: Tensor
    turns: Tensor
    episodes: list[int]

    def add_to(self, signals: Signals) -> None:
        signals.add(Term(self.gap, self.gate), self.mask, self.turns, self.episodes)


def drawn(seed: int, rows: int, *, gated: bool = True, scale: float = 1.0, width: int = 9) -> MicroBatch:
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, width)
    gap = scale * torch.randn(shape, generator=generator) ** 3
    return MicroBatch(
        gap,
        (5 * gap).sigmoid() if gated else None,
        torch.rand(shape, generator=generator) < 0.7,
        torch.randint(0, 30, shape, generator=generator).sort(dim=1).values,
        torch.randint(0, 4, (rows,), generator=generator).tolist(),
    )


def gathered(batches: list[list[MicroBatch]]) -> list[dict[str, float]]:
    """The metrics that each rank sees, its objects sent as bytes."""
    ranks = []
    for own in batches:
        ranks.append(Signals())
        for batch in own:
            batch.add_to(ranks[-1])
    sent = [pickle.dumps(rank.partial()) for rank in ranks]

    def gather(own: list[Partial]) -> list[Partial]:
        assert len(own) == 1
        return [pickle.loads(content) for content in sent]

    return [rank.metrics(gather) for rank in ranks]


def expected(batches: list[MicroBatch]) -> dict[str, float]:
    """The same numbers, written down from all tokens at once."""
    masks = [batch.mask.numpy() for batch in batches]
    gap = np.concatenate([b.gap.numpy()[m] for b, m in zip(batches, masks, strict=True)]).astype(float)
    turn = np.concatenate([b.turns.numpy()[m] for b, m in zip(batches, masks, strict=True)])
    out = {"gap/mean": gap.mean(), "gap/std": gap.std(), "gap/negative": (gap < 0).mean()}
    for share in (10, 50, 90):
        out[f"gap/p{share}"] = np.quantile(gap, share / 100, method="inverted_cdf")
    signals = [("gap", gap, "negative", gap < 0)]
    if batches[0].gate is not None:
        gate = np.concatenate([b.gate.numpy()[m] for b, m in zip(batches, masks, strict=True)]).astype(float)
        out |= {"gate/mean": gate.mean(), "gate/active": (gate > 0.5).mean()}
        out["gate/saturated"] = ((gate < 0.01) | (gate > 0.99)).mean()
        counts, _ = np.histogram(gate, bins=10, range=(0, 1))
        out |= {f"gate/bin_{place}": count / len(gate) for place, count in enumerate(counts)}
        signals.append(("gate", gate, "active", gate > 0.5))
    for index in np.unique(np.minimum(turn, MAX_TURNS_LOGGED)):
        own = np.minimum(turn, MAX_TURNS_LOGGED) == index
        for name, values, share_name, flags in signals:
            out[f"{name}/turn_{index:02d}/mean"] = values[own].mean()
            out[f"{name}/turn_{index:02d}/{share_name}"] = flags[own].mean()
    return out


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 6)), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([1e-6, 0.01, 1.0, 300.0]),
)
@settings(max_examples=60, deadline=None)
def test_metrics_are_those_of_all_tokens(parts: list[tuple[int, int]], gated: bool, scale: float) -> None:
    batches = [drawn(seed, rows, gated=gated, scale=scale) for seed, rows in parts]
    batches[0].mask[0, 0] = True
    (ours,) = gathered([batches])
    wanted = expected(batches)
    assert set(ours) == set(wanted)
    for name, value in wanted.items():
        quantile = name in ("gap/p10", "gap/p50", "gap/p90")
        tolerance = {"rel": 0.0, "abs": 0.0051 * abs(value) + 6e-7} if quantile else {"rel": 1e-6, "abs": 1e-9 * scale}
        assert ours[name] == pytest.approx(value, **tolerance), name


@given(st.integers(0, 10**6), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_ranks_agree_and_give_what_one_process_gives(seed: int, cut: int) -> None:
    batches = [drawn(seed + number, 3) for number in range(5)]
    batches[0].mask[0, 0] = True
    (alone,) = gathered([batches])
    for metrics in gathered([batches[:cut], batches[cut:], []]):
        assert metrics.keys() == alone.keys()
        assert metrics == pytest.approx(alone, rel=1e-12, abs=1e-15)


def test_names_that_were_there_before_are_still_there() -> None:
    (metrics,) = gathered([[drawn(1, 8)]])
    old = {"gap/mean", "gap/std", "gap/negative", "gate/mean", "gate/active"}
    old |= {"gap/turn_00/mean", "gap/turn_00/negative", "gate/turn_00/mean", "gate/turn_00/active"}
    new = {"gate/saturated", "gap/p10", "gap/p50", "gap/p90", *(f"gate/bin_{place}" for place in range(10))}
    assert old | new <= metrics.keys()
    assert all(isinstance(value, float) for value in metrics.values())


def test_late_turns_share_one_metric() -> None:
    batch = MicroBatch(torch.tensor([[1.0, 3.0, 9.0]]), None, torch.ones(1, 3), torch.tensor([[19, 20, 31]]), [0])
    (metrics,) = gathered([[batch]])
    assert metrics["gap/turn_19/mean"] == 1.0 and metrics["gap/turn_20/mean"] == 6.0
    assert not [name for name in metrics if "turn_31" in name]


def test_bins_and_borders_of_the_gate() -> None:
    gate = torch.tensor([[0.0, 0.009, 0.011, 0.05, 0.1, 0.5, 0.51, 0.989, 0.991, 1.0]])
    ones = torch.ones(1, 10)
    (metrics,) = gathered([[MicroBatch(torch.zeros(1, 10), gate, ones, torch.zeros(1, 10, dtype=torch.long), [0])]])
    bins = [round(10 * metrics[f"gate/bin_{place}"]) for place in range(10)]
    assert bins == [4, 1, 0, 0, 0, 2, 0, 0, 0, 3], "g = 1 is in the last bin, a border in the upper one"
    assert metrics["gate/saturated"] == pytest.approx(0.4), "0 and 0.009; 0.991 and 1"
    assert metrics["gate/active"] == pytest.approx(0.4), "strictly above a half"


def test_a_gap_of_zero_has_quantiles_of_zero() -> None:
    batch = MicroBatch(torch.zeros(2, 4), None, torch.ones(2, 4), torch.zeros(2, 4, dtype=torch.long), [0, 1])
    (metrics,) = gathered([[batch]])
    assert [metrics[f"gap/p{share}"] for share in (10, 50, 90)] == [0.0, 0.0, 0.0]
    assert metrics["gap/std"] == 0.0 and metrics["gap/negative"] == 0.0


def test_the_floor_of_a_log_probability_is_within_reach() -> None:
    gap = torch.tensor([[-1e4, 1e4, -1e4, 1e4]])
    batch = MicroBatch(gap, None, torch.ones(1, 4), torch.zeros(1, 4, dtype=torch.long), [0])
    (metrics,) = gathered([[batch]])
    assert metrics["gap/p10"] == pytest.approx(-1e4, rel=0.0051) and metrics["gap/p90"] == pytest.approx(
        1e4, rel=0.0051
    )
    assert metrics["gap/std"] == pytest.approx(1e4)


def test_without_tokens_there_is_nothing() -> None:
    batch = drawn(3, 4)
    batch.mask[:] = False
    signals = Signals()
    batch.add_to(signals)
    assert not signals and signals.metrics() == {} and signals.by_turn() == {}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_shows_in_the_mean_and_breaks_nothing(bad: float) -> None:
    batch = drawn(4, 4)
    batch.mask[0, 0] = True
    batch.gap[0, 0] = bad
    batch.gate[0, 0] = float("nan")
    (metrics,) = gathered([[batch]])
    assert not np.isfinite(metrics["gap/mean"]) and np.isnan(metrics["gate/mean"])
    assert np.isfinite(metrics["gap/p50"]) and sum(metrics[f"gate/bin_{n}"] for n in range(10)) < 1


def test_masked_tokens_are_not_seen() -> None:
    batch = drawn(5, 4)
    batch.mask[0, 0] = True
    (before,) = gathered([[batch]])
    batch.gap[~batch.mask] = float("nan")
    batch.turns[~batch.mask] = -1
    (after,) = gathered([[batch]])
    assert after == before


@pytest.mark.parametrize("gated", [True, False])
def test_traces_get_the_mean_of_each_turn_of_each_episode(gated: bool) -> None:
    batches = [drawn(seed, 5, gated=gated) for seed in range(4)]
    signals = Signals()
    for batch in batches:
        batch.add_to(signals)
    tokens: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for batch in batches:
        for row, column in batch.mask.nonzero().tolist():
            gate = batch.gate[row, column].item() if batch.gate is not None else 0.0
            key = (batch.episodes[row], batch.turns[row, column].item())
            tokens.setdefault(key, []).append((batch.gap[row, column].item(), gate))
    ours = signals.by_turn()
    assert ours.keys() == tokens.keys()
    for key, values in tokens.items():
        gap, gate = np.mean(values, axis=0)
        wanted = {"gap_mean": gap, "gate_mean": gate} if gated else {"gap_mean": gap}
        assert ours[key] == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_what_ranks_send_does_not_grow_with_the_tokens() -> None:
    signals = Signals()
    drawn(0, 4).add_to(signals)
    before = len(pickle.dumps(signals.partial()))
    for seed in range(20):
        drawn(seed, 64).add_to(signals)
    assert len(pickle.dumps(signals.partial())) == before < 100_000
