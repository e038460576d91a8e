"""Evaluations made up of given outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sdar_cli.evaluation.result import EpisodeRecord, Evaluation, Mode

MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """``make_evaluation(mode, label, won, **changes)``: tasks t0, t1, … of types clean and heat in turns, with
    no expert unless ``expert`` gives its turns."""

    def make(
        mode: Mode,
        label: str,
        won: Sequence[bool],
        prompt: int = 100,
        expert: Sequence[int | None] = (),
        **changes: object,
    ) -> Evaluation:
        records = tuple(
            EpisodeRecord(
                task_id=f"t{i}",
                task_type=("clean", "heat")[i % 2],
                won=solved,
                score=float(solved),
                reward=10.0 * solved,
                turns=4,
                response_tokens=40,
                prompt_tokens=4 * prompt,
                invalid_turns=1,
                stop="success" if solved else "max_turns",
                skills=("general", "clean"),
                expert_turns=expert[i] if expert else None,
            )
            for i, solved in enumerate(won)
        )
        values: dict = {
            "mode": mode,
            "label": label,
            "environment": "toy",
            "panel": "ab" * 32,
            "sampling": {"temperature": 0.4, "max_turns": 10},
            "seed": 0,
            "engine": "hf",
            "records": records,
            "seconds": 1.5,
            "step": 0 if label == "base" else 60,
            "bank": "toy-bank",
            "bank_digest": "cd" * 8,
            "split": "test",
        }
        return Evaluation(**(values | changes))

    return make
