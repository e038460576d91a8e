"""Made-up runs to try ``sdar compare`` on, without a training: ``python -m sdar_cli.compare.demo FOLDER``.

Two methods over three seeds, of the group ``demo``. Outcomes are drawn, not played: they say nothing about methods.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from sdar_cli.evaluation.result import EpisodeRecord, Evaluation, Mode
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

STEPS, EVERY, TASKS = 60, 10, 96
TYPES = ("clean", "cool", "heat")
RATES = {"grpo": (0.62, 0.66, 0.70), "sdar": (0.74, 0.76, 0.85)}
"""Chance of a task at the end without skills, by seed."""
BASE, WITH_SKILLS = 0.08, 0.95


def write_runs(root: Path) -> list[RunFolder]:
    """Six runs, named ``demo-grpo-0`` and so on. Raises RunError where one of them is there already."""
    return [_run(root, method, seed, rate) for method, rates in RATES.items() for seed, rate in enumerate(rates)]


def _run(root: Path, method: str, seed: int, rate: float) -> RunFolder:
    name = f"demo-{method}-{seed}"
    overrides = [f"seed={seed}", f"train.steps={STEPS}", f"evaluation.every={EVERY}", f"evaluation.tasks={TASKS}"]
    resolved = load_recipe("quickstart", overrides=[f"method={method}", "tracking.group=demo", *overrides])
    run = RunFolder.create(root, resolved, name)
    journal = Journal(run.path / "metrics.jsonl")
    evaluations = list(_evaluations(name, seed, rate))
    for step in range(STEPS + 1):
        if step:
            journal.append(step, _metrics(step, method, rate, random.Random(f"{name} {step}")))
        for one in evaluations:
            if (one.step or 0) == step:
                journal.append(step, one.metrics())
                run.save_evaluation(one.name, one.to_json())
    run.update(status=RunStatus.FINISHED, step=STEPS)
    return run


def _evaluations(name: str, seed: int, rate: float) -> Iterator[Evaluation]:
    yield _evaluation(name, "base", "no_skills", 0, BASE, f"base {seed}")
    yield _evaluation(name, "base", "skills", 0, WITH_SKILLS, f"base {seed} skills")
    for step in range(EVERY, STEPS + 1, EVERY):
        reached = BASE + (rate - BASE) * min(1.0, 1.4 * step / STEPS)
        yield _evaluation(name, "trained", "no_skills", step, reached, f"{name} {step}")
    yield _evaluation(name, "trained", "skills", STEPS, WITH_SKILLS, f"{name} skills")


def _evaluation(name: str, label: str, mode: Mode, step: int, rate: float, key: str) -> Evaluation:
    chance = random.Random(key)
    hardness = random.Random("the panel")
    records = []
    for task in range(TASKS):
        won = chance.gauss(hardness.gauss(0, 1), 1) < 1.414 * _normal(rate)
        turns = 3 if won else 6
        records.append(
            EpisodeRecord(
                task_id=f"demo-{task:03d}",
                task_type=TYPES[task % len(TYPES)],
                won=won,
                score=float(won),
                reward=10.0 * won,
                turns=turns,
                response_tokens=turns * 12,
                prompt_tokens=turns * (140 if mode == "skills" else 90),
                invalid_turns=int(not won),
                stop="success" if won else "max_turns",
            )
        )
    return Evaluation(
        mode=mode,
        label=label,
        environment="household",
        panel="0" * 64,
        sampling={"temperature": 0.4, "top_p": 1.0, "top_k": 0, "max_turns": 6},
        seed=0,
        engine="drawn",
        records=tuple(records),
        seconds=2.0,
        step=step,
        bank="demo",
        bank_digest="0" * 64,
        split="test",
        run=name,
    )


def _normal(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _metrics(step: int, method: str, rate: float, chance: random.Random) -> dict[str, float]:
    done = step / STEPS
    values = {
        "rollout/success": min(1.0, max(0.0, BASE + (rate - BASE) * done + chance.gauss(0, 0.03))),
        "policy/kl": 0.02 * done + abs(chance.gauss(0, 0.002)),
        "policy/entropy": 0.6 - 0.3 * done,
        "time/generation": 0.4,
        "time/environment": 0.1,
        "time/training": 0.5,
    }
    if method == "grpo":
        return values
    gaps = {f"gap/turn_{turn:02d}/mean": -0.12 * (1 - done) - 0.02 * turn for turn in range(3)}
    gates = {f"gate/turn_{turn:02d}/mean": 0.4 + 0.1 * done - 0.03 * turn for turn in range(3)}
    shared = {"gap/mean": -0.12 * (1 - done), "gate/mean": 0.4 + 0.1 * done, "gate/active": 0.3 + 0.1 * done}
    return values | gaps | gates | shared | {"time/teacher": 0.2, "time/scoring": 0.1}


if __name__ == "__main__":
    write_runs(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
