"""Records, summaries and their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation, Summary
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.statistics import wilson
from sdar_envs.base import Task


def episode(won: bool, stop: StopReason, turns: int = 2) -> Episode:
    made = Episode(Task("t1", "clean"), "wash the mug", 0, 0, skills=("general",), won=won, stop=stop)
    made.score, made.reward = 1.0, 10.0
    for index in range(turns):
        invalid = "no action tag" if index == 0 else None
        made.turns.append(Turn(index, [1] * 7, None, [2] * 3, None, "p", "r", "go", invalid, "you go", 0.0))
    return made


def test_a_record_counts_what_the_episode_holds() -> None:
    record = EpisodeRecord.of(episode(True, StopReason.SUCCESS))
    assert record == EpisodeRecord("t1", "clean", True, 1.0, 10.0, 2, 6, 14, 1, "success", ("general",), None)


def test_an_environment_error_is_never_a_success() -> None:
    record = EpisodeRecord.of(episode(True, StopReason.ENVIRONMENT_ERROR, turns=0))
    assert not record.won and record.score == 0.0
    summary = Summary.of([record, EpisodeRecord.of(episode(True, StopReason.SUCCESS))])
    assert (summary.episodes, summary.solved, summary.environment_errors) == (2, 1, 1)
    assert summary.success == wilson(1, 2)


def test_a_summary_is_over_episodes_and_its_rates_over_turns() -> None:
    records = [EpisodeRecord.of(episode(True, StopReason.SUCCESS, turns)) for turns in (1, 3)]
    summary = Summary.of(records)
    assert summary.turns == 2 and summary.response_tokens == 6 and summary.prompt_tokens == 14
    assert summary.prompt_tokens_per_turn == 7
    assert summary.invalid_action_rate == 2 / 4
    assert summary.score == 100
    assert summary.stops == {"success": 2}


def test_success_by_type_has_its_own_interval(make_evaluation) -> None:
    summary = make_evaluation("skills", "base", [True, False, True, True, True]).summary
    assert summary.by_type == {"clean": wilson(3, 3), "heat": wilson(1, 2)}
    assert summary.episodes_by_type == {"clean": 3, "heat": 2}


def test_episodes_without_turns_have_rates_of_zero() -> None:
    summary = Summary.of([EpisodeRecord.of(episode(False, StopReason.ENVIRONMENT_ERROR, turns=0))])
    assert summary.invalid_action_rate == 0 and summary.prompt_tokens_per_turn == 0


def test_metrics_are_named_by_mode(make_evaluation) -> None:
    metrics = make_evaluation("no_skills", "base", [True, False]).metrics()
    assert metrics["eval/no_skills/success"] == 0.5
    assert metrics["eval/no_skills/success/clean"] == 1.0
    assert set(metrics) >= {"eval/no_skills/turns", "eval/no_skills/invalid_action_rate"}


def test_an_evaluation_comes_back_from_its_file(make_evaluation, tmp_path: Path) -> None:
    evaluation = make_evaluation("skills", "trained", [True, False, True], extra={"note": "ü"})
    path = tmp_path / f"{evaluation.name}.json"
    evaluation.save(path)
    assert path.name == "trained-step-60-skills.json"
    assert make_evaluation("skills", "base", [True]).name == "base-skills"
    assert Evaluation.load(path) == evaluation


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("records", [], "malformed"),
        ("records", [{"task_id": "t0"}], "malformed"),
        ("records", 3, "malformed"),
        ("mode", "both", "neither no_skills nor skills"),
        ("format", 9, "not an evaluation of format 1"),
        ("summary", {}, "was edited"),
    ],
)
def test_a_spoiled_file_is_refused(make_evaluation, tmp_path: Path, key, value, sentence: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(make_evaluation("skills", "base", [True, False]).to_json() | {key: value}))
    with pytest.raises(RunError, match=sentence) as error:
        Evaluation.load(path)
    assert "run sdar eval again" in str(error.value) and "\n" not in str(error.value)


def test_a_flipped_outcome_is_noticed(make_evaluation, tmp_path: Path) -> None:
    content = make_evaluation("skills", "base", [True, False]).to_json()
    content["records"][1]["won"] = True
    with pytest.raises(RunError, match="was edited"):
        Evaluation.from_json(json.loads(json.dumps(content)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.json does not exist: run sdar eval"):
        Evaluation.load(tmp_path / "none.json")
