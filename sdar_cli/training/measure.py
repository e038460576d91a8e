"""Metrics of a training step under stable names (docs/method.md lists them)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sdar_cli.evaluation.flagged import EPISODES, PREFIX, kind_of
from sdar_cli.rollout.episode import Episode, StopReason


@dataclass(frozen=True, slots=True)
class Outline:
    """What every rank is told of an episode. The tokens of all turns of all ranks would fill a machine's memory."""

    group: int
    skills: tuple[str, ...]
    has_task_skill: bool
    stop: StopReason
    reward: float
    won: bool
    trainable: bool
    turns: int
    truncated_turns: int
    invalid_turns: int
    prompt_tokens: int
    response_tokens: int
    lost: str | None
    """What kind of fault ended it; None for one that ran."""

    @classmethod
    def of(cls, episode: Episode) -> Outline:
        return cls(
            episode.group,
            episode.skills,
            episode.has_task_skill,
            episode.stop,
            episode.reward,
            episode.won,
            episode.trainable,
            len(episode.turns),
            sum(turn.truncated for turn in episode.turns),
            episode.invalid_turns,
            episode.prompt_tokens,
            episode.response_tokens,
            kind_of(episode.error) if episode.stop is StopReason.ENVIRONMENT_ERROR else None,
        )


def episode_metrics(episodes: Sequence[Outline]) -> dict[str, float]:
    """What the rollout did. Rates are over episodes or turns that ran, errors counted apart."""
    ran = [e for e in episodes if e.trainable]
    turns = sum(e.turns for e in ran)
    groups: dict[int, set[float]] = defaultdict(set)
    for episode in ran:
        groups[episode.group].add(episode.reward)
    count, turn_count = max(1, len(ran)), max(1, turns)
    out = {
        EPISODES: float(len(episodes)),
        "rollout/success": sum(e.won for e in ran) / count,
        "rollout/return": sum(e.reward for e in ran) / count,
        "rollout/turns": turns / count,
        "rollout/response_tokens": sum(e.response_tokens for e in ran) / turn_count,
        "rollout/prompt_tokens": sum(e.prompt_tokens for e in ran) / turn_count,
        "rollout/invalid_action_rate": sum(e.invalid_turns for e in ran) / turn_count,
        "rollout/truncated_rate": sum(e.truncated_turns for e in ran) / turn_count,
        "rollout/zero_variance_groups": sum(len(r) == 1 for r in groups.values()) / max(1, len(groups)),
        "teacher/task_skill_fraction": sum(e.has_task_skill for e in ran) / count,
    }
    for reason in StopReason:
        out[f"rollout/stop/{reason}"] = sum(e.stop is reason for e in episodes) / max(1, len(episodes))
    lost = Counter(e.lost for e in episodes if e.lost is not None)
    return out | {f"{PREFIX}{kind}": float(count) for kind, count in sorted(lost.items())}


def trl_metrics(
    collected: Mapping[str, Sequence[float]], logs: Mapping[str, float], tokens: Sequence[float]
) -> dict[str, float]:
    """TRL's metrics of the step under our names: means over response tokens.

    Args:
        collected: for every micro-batch, the mean over its tokens on all ranks.
        tokens: how many these are.
    """

    def mean(name: str) -> float:
        values = collected.get(name, ())
        weighed = [v * n for v, n in zip(values, tokens, strict=True) if n] if values else []
        return sum(weighed) / sum(tokens) if weighed else 0.0

    kl = {"policy/kl": mean("kl")} if collected.get("kl") else {}
    return kl | {
        "loss/total": float(logs["loss"]),
        "policy/entropy": mean("entropy"),
        "policy/clip_ratio": mean("clip_ratio/region_mean"),
        "policy/clip_ratio_low": mean("clip_ratio/low_mean"),
        "policy/clip_ratio_high": mean("clip_ratio/high_mean"),
        "optim/grad_norm": float(logs.get("grad_norm", 0.0)),
        "optim/learning_rate": float(logs.get("learning_rate", 0.0)),
    }


def mean_losses(sums: Mapping[str, float], updates: int, gather: Callable[[list], list] = list) -> dict[str, float]:
    """Terms of the loss, means over the updates; a rank's share counts as gradients do, averaged over ranks."""
    shares = gather([dict(sums)])
    return {name: sum(share[name] for share in shares) / len(shares) / max(1, updates) for name in shares[0]}
