"""One SQLite store for all tests of tracking: making it costs seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.tracking.location import sqlite_uri
from sdar_envs.base import Task

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a fresh store in a folder that does not exist yet."""
    folder: Path = tmp_path_factory.mktemp("tracking") / "runs"
    return sqlite_uri(folder / "mlflow.db")


@pytest.fixture
def client(store: str) -> MlflowClient:
    from sdar_cli.tracking.quiet import import_mlflow

    return import_mlflow().MlflowClient(tracking_uri=store)


@pytest.fixture
def episode():
    """``episode(n, won)``: an episode on task ``t<n>`` of three turns, the first one invalid."""

    def make(number: int, won: bool, stop: StopReason | None = None) -> Episode:
        made = Episode(Task(f"t{number}", "clean"), f"wash mug {number}", number, 0, ("general", "clean"))
        made.won, made.reward, made.score = won, 10.0 * won, float(won)
        made.stop = stop or (StopReason.SUCCESS if won else StopReason.MAX_TURNS)
        for index in range(3):
            made.turns.append(
                Turn(
                    index=index,
                    prompt_ids=[1] * 20,
                    teacher_prompt_ids=[1] * 30,
                    response_ids=[2] * 5,
                    logprobs=None,
                    prompt_text=f"prompt {index} \ud800",
                    response="<action>go</action>",
                    action="go",
                    invalid=None if index else "no action tag",
                    observation=f"you see {index}",
                    reward=10.0 * won * (index == 2),
                )
            )
        return made

    return make
