"""Every method's whole loss, written once more from the formulas of the method's page, in float64.

Nothing of ``sdar_cli.objectives`` or ``sdar_cli.training`` is used: rows are built from episodes, log-probs by
ordinary forward passes without padding, and every sum runs over a plain list of tokens.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Token:
    """A response token: log-probs are scalars of float64, distributions (V,) are log-probs too."""

    episode: int
    turn: int
    row: int
    student: Tensor
    old: float
    teacher: float
    reference: float
    distribution: Tensor
    taught: Tensor
    advantage: float = 0.0


@dataclass
class Models:
    """Weights: as they are, as they were at rollout time, the reference's, the teacher's."""

    student: torch.nn.Module
    old: torch.nn.Module
    reference: torch.nn.Module
    teacher: torch.nn.Module


@dataclass
class Row:
    episode: int
    prompt: list[int]
    teacher_prompt: list[int]
    completion: list[int]
    turns: list[int | None] = field(default_factory=list)
    """Of every completion token; None where the environment wrote it."""


def rows_of(episodes, context: str) -> list[Row]:
    out = []
    for number, episode in enumerate(episodes):
        if context == "window":
            for turn in episode.turns:
                out.append(Row(number, turn.prompt_ids, turn.teacher_prompt_ids, turn.response_ids))
                out[-1].turns = [turn.index] * len(turn.response_ids)
            continue
        first = episode.turns[0]
        row = Row(number, first.prompt_ids, first.teacher_prompt_ids, [])
        for turn in episode.turns:
            between = turn.prompt_ids[len(first.prompt_ids) + len(row.completion) :]
            row.completion += between + turn.response_ids
            row.turns += [None] * len(between) + [turn.index] * len(turn.response_ids)
        out.append(row)
    return out


def distributions(model, prompt: list[int], completion: list[int], temperature: float) -> Tensor:
    """Log-probs (T, V) at the completion's tokens."""
    logits = model(input_ids=torch.tensor([prompt + completion])).logits[0]
    start = len(prompt) - 1
    return (logits[start : start + len(completion)] / temperature).log_softmax(-1)


def tokens_of(rows: list[Row], models: Models, temperature: float) -> list[Token]:
    out = []
    for number, row in enumerate(rows):
        student = distributions(models.student, row.prompt, row.completion, temperature)
        with torch.no_grad():
            old = distributions(models.old, row.prompt, row.completion, temperature)
            reference = distributions(models.reference, row.prompt, row.completion, temperature)
            teacher = distributions(models.teacher, row.teacher_prompt, row.completion, temperature)
        for i, (word, turn) in enumerate(zip(row.completion, row.turns, strict=True)):
            if turn is not None:
                logps = [source[i, word].item() for source in (old, teacher, reference)]
                out.append(Token(row.episode, turn, number, student[i, word], *logps, student[i], teacher[i]))
    return out


def standardised(returns: list[float]) -> np.ndarray:
    values = np.array(returns, dtype=float)
    if len(values) < 2 or np.ptp(values) == 0:
        return np.zeros(len(values))
    return (values - values.mean()) / (values.std(ddof=1) + 1e-4)


def loss_of(recipe, episodes, models: Models) -> tuple[Tensor, dict[str, float]]:
    """The loss of one update over all episodes with its gradient in ``models.student``, and its parts."""
    tokens = tokens_of(rows_of(episodes, recipe.rollout.context), models, recipe.rollout.sampling.temperature)
    _credit(recipe, episodes, tokens)
    n, policy = len(tokens), recipe.policy
    parts = {name: torch.zeros((), dtype=torch.float64) for name in ("policy", "distill", "entropy")}
    for token in tokens:
        parts["policy"] = parts["policy"] + _policy(recipe, token) / n
        entropy = -(token.distribution.exp() * token.distribution).sum()
        parts["entropy"] = parts["entropy"] - policy.entropy_coef * entropy / n
    for token, weight in zip(tokens, _distillation(recipe, tokens), strict=True):
        del token
        parts["distill"] = parts["distill"] + weight / n
    return sum(parts.values()), {name: value.item() for name, value in parts.items()}


def _policy(recipe, token: Token) -> Tensor:
    policy, method, a = recipe.policy, recipe.method, token.advantage
    if method == "opsd":
        loss = 0.0 * token.student
    elif method in ("rloo", "reinforce"):
        loss = -a * (token.student - token.student.detach()).exp()
    else:
        ratio = (token.student - token.old).exp()
        clipped = ratio.clamp(1 - policy.clip, 1 + policy.clip)
        if a < 0 and policy.dual_clip is not None:
            loss = -torch.max(torch.min(ratio * a, clipped * a), torch.tensor(policy.dual_clip * a).double())
        else:
            loss = -torch.min(ratio * a, clipped * a)
    if method not in ("rloo", "ppo_kl"):
        x = token.reference - token.student
        loss = loss + policy.kl_coef * (x.exp() - 1 - x)
    return loss


def _credit(recipe, episodes, tokens: list[Token]) -> None:
    """Write every token's advantage."""
    method, kl_coef, penalty = recipe.method, recipe.policy.kl_coef, recipe.rollout.invalid_action_penalty
    by_episode = defaultdict(list)
    for token in tokens:
        by_episode[token.episode].append(token)
    fine = {(e, t.index): penalty * (t.invalid is not None) for e, p in enumerate(episodes) for t in p.turns}
    groups = defaultdict(list)
    for e, episode in enumerate(episodes):
        groups[episode.group].append(e)
    if method == "reinforce":
        groups = {0: list(range(len(episodes)))}
    for members in groups.values():
        if method in ("rloo", "ppo_kl"):
            price = {e: [kl_coef * (t.old - t.reference) for t in by_episode[e]] for e in members}
            whole = {e: episodes[e].reward - sum(price[e]) for e in members}
            for e in members:
                others = [whole[other] for other in members if other != e]
                for i, token in enumerate(by_episode[e]):
                    if method == "rloo":
                        own = whole[e] - (sum(others) / len(others)) if others else 0.0
                    else:
                        own = episodes[e].reward - sum(price[e][i:]) - sum(whole.values()) / len(whole)
                    token.advantage = own - fine[e, token.turn]
            continue
        if recipe.policy.advantage == "turn":
            scores = [(e, t.index, episodes[e].reward - fine[e, t.index]) for e in members for t in episodes[e].turns]
            for (e, k, _), a in zip(scores, standardised([score for *_, score in scores]), strict=True):
                for token in by_episode[e]:
                    if token.turn == k:
                        token.advantage = a
            continue
        shared = dict(zip(members, standardised([episodes[e].reward for e in members]), strict=True))
        weights = _turn_weights(recipe, episodes, members, shared, by_episode)
        for e in members:
            for token in by_episode[e]:
                token.advantage = shared[e] * weights[e, token.turn] - fine[e, token.turn]
    if method == "rlsd":
        mu, epsilon = recipe.credit.mu, recipe.credit.clip
        for token in tokens:
            a = token.advantage
            moved = math.exp(np.sign(a) * (token.teacher - token.old))
            token.advantage = a * ((1 - mu) + mu * min(max(moved, 1 - epsilon), 1 + epsilon))


def _turn_weights(recipe, episodes, members, shared, by_episode) -> dict[tuple[int, int], float]:
    """AgentOPSD's factor of every turn; 1 under any other method."""
    turns = [(e, turn.index) for e in members for turn in episodes[e].turns]
    if recipe.method != "agent_opsd":
        return dict.fromkeys(turns, 1.0)
    mu, b, gamma, size = recipe.credit.mu, recipe.credit.clip, recipe.credit.gamma, len(members)
    start = min(max(sum(episodes[e].won for e in members) / size, 1 / (2 * size)), 1 - 1 / (2 * size))
    moves = []
    for e in members:
        carried, before = 0.0, start
        for turn in episodes[e].turns:
            evidence = sum(t.teacher - t.old for t in by_episode[e] if t.turn == turn.index)
            carried = gamma * carried + evidence
            belief = 1 / (1 + math.exp(-(math.log(start / (1 - start)) + carried)))
            moves.append(np.sign(shared[e]) * (belief - before))
            before = belief
    z = (np.array(moves) - np.mean(moves)) / np.std(moves) if np.std(moves) > 1e-12 else np.zeros(len(moves))
    return {turn: (1 - mu) + mu * min(max(1 + b * score, 1 - b), 1 + b) for turn, score in zip(turns, z, strict=True)}


def _distillation(recipe, tokens: list[Token]) -> list[Tensor]:
    """The term of every token, λ included."""
    method, coef = recipe.method, recipe.distill.coef
    if method == "skill_sd":
        return [coef * (t.student - t.old).exp() * _k3(t.teacher - t.student) for t in tokens]
    if method not in ("sdar", "opsd", "grpo_opsd"):
        return [torch.zeros(()).double() for _ in tokens]
    form = recipe.distill.form or {"grpo_opsd": "uniform"}.get(method, "gated")
    if form == "signed":
        return [-coef * (t.teacher - t.student.item()) * t.student for t in tokens]
    gates = [torch.tensor(0.5).double()] * len(tokens) if form == "uniform" else _gates(recipe.gate, tokens)
    measures = {
        "sampled": lambda t: t.teacher - t.student,
        "reverse": lambda t: _kl(t.distribution, t.taught),
        "forward": lambda t: _kl(t.taught, t.distribution),
        "jsd": _jsd,
    }
    return [coef * g * measures[recipe.distill.divergence](t) for g, t in zip(gates, tokens, strict=True)]


def _k3(x: Tensor) -> Tensor:
    return x.exp() - 1 - x


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (p.exp() * (p - q)).sum()


def _jsd(token: Token) -> Tensor:
    p, q = token.distribution.exp(), token.taught.exp()
    m = (p + q) / 2
    return ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2


def _gates(section, tokens: list[Token]) -> list[Tensor]:
    gaps = [token.teacher - token.student for token in tokens]
    if section.normalise == "zscore":
        rollout = np.array([token.teacher - token.old for token in tokens])
        gaps = [(gap - rollout.mean()) / rollout.std() for gap in gaps]
    elif section.normalise == "turn_mean":
        turns = defaultdict(list)
        for token, gap in zip(tokens, gaps, strict=True):
            turns[token.episode, token.turn].append(gap)
        gaps = [
            gap - sum(turns[t.episode, t.turn]) / len(turns[t.episode, t.turn])
            for t, gap in zip(tokens, gaps, strict=True)
        ]
    beta, out = section.beta, []
    for token, gap in zip(tokens, gaps, strict=True):
        logps = token.distribution
        h = -(logps.exp() * logps).sum() / math.log(len(logps))
        gate = {
            "gap": lambda gap=gap: torch.sigmoid(beta * gap),
            "entropy": lambda h=h: torch.sigmoid(beta * h),
            "soft_or": lambda gap=gap, h=h: torch.sigmoid(beta * (1 - (1 - h) * (1 - gap))),
            "none": lambda: torch.ones(()).double(),
        }[section.kind]()
        out.append(gate.detach() if section.detach else gate)
    return out
