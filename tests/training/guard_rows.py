"""Figures that guards watch, well and bad, and evaluations, for the tests of guards."""

from __future__ import annotations

from typing import Any

from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.recipe import schema
from sdar_cli.training.guards import Finding, Guards

WELL = {
    "loss/total": 0.1,
    "optim/rows": 12.0,
    "policy/kl": 0.1,
    "policy/entropy": 1.0,
    "gate/saturated": 0.2,
    "teacher/task_skill_fraction": 1.0,
    "teacher/active": 1.0,
    "rollout/zero_variance_groups": 0.3,
    "rollout/stop/environment_error": 0.0,
}
BAD = {
    "kl": {"policy/kl": 12.5},
    "entropy_low": {"policy/entropy": 3e-5},
    "entropy_high": {"policy/entropy": 9.25},
    "gate_saturated": {"gate/saturated": 0.995},
    "task_skills": {"teacher/task_skill_fraction": 0.5},
    "zero_variance": {"rollout/zero_variance_groups": 0.97},
    "lost_episodes": {"rollout/stop/environment_error": 0.75},
}
SAID = {
    "kl": ("12.5 nats", "guards.kl=10", "policy.kl_coef"),
    "entropy_low": ("3e-05 nats", "guards.entropy=[0.0001, 8]", "policy.entropy_coef"),
    "entropy_high": ("9.25 nats", "guards.entropy=[0.0001, 8]", "optimiser.learning_rate"),
    "gate_saturated": ("99.5%", "guards.saturated_gate=0.99", "gate.beta"),
    "task_skills": ("50.0%", "guards.task_skills=0.9", "skills.retrieval"),
    "zero_variance": ("97.0%", "guards.zero_variance=0.95", "rollout.group"),
    "lost_episodes": ("75.0%", "guards.lost_episodes=0.5", "rollout/lost/*"),
}
ALL_LOST = {
    "optim/rows": 0.0,
    "rollout/episodes": 6.0,
    "rollout/stop/environment_error": 1.0,
    "rollout/lost/timed_out": 5.0,
    "rollout/lost/crashed": 1.0,
}


def section(**changes: Any) -> schema.Guards:
    return schema.Guards.model_validate(changes)


def evaluation(step: int, solved: int, mode: str = "no_skills", of: int = 4) -> Evaluation:
    records = tuple(
        EpisodeRecord(f"t{i}", "clean", i < solved, 1.0 * (i < solved), 0.0, 1, 1, 1, 0, "success") for i in range(of)
    )
    label = "trained" if step else "base"
    return Evaluation(mode, label, "toy", "p", {}, 0, "hf", records, 0.0, step=step or None)


def fed(guards: Guards, rows: list[dict[str, float]]) -> list[Finding]:
    return [finding for step, row in enumerate(rows, 1) for finding in guards.metrics(step, WELL | row)]
