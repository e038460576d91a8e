"""Episodes that the environment lost: counted by kind, over resumptions, and in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sdar_cli.evaluation.flagged import Flagged, kind_of
from sdar_cli.evaluation.report import InternalisationReport
from sdar_cli.rollout.episode import Episode, StopReason
from sdar_cli.tracking.journal import Journal
from sdar_cli.training.measure import Outline, episode_metrics
from sdar_envs.base import Task


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("crashed (SIGSEGV)", "crashed"),
        ("closed its pipe", "crashed"),
        ("timed out after 120 s", "timed_out"),
        ("raised KeyError: 'timed out'", "raised"),
        ("parse raised KeyError: 'a'", "raised"),
        ("answered garbage: raised RuntimeError: no", "garbage"),
        ("prompt answered garbage: None where a list of messages is due", "garbage"),
        ("took 2.00 GiB of memory, above environment.worker_memory=1 GiB", "memory"),
        ("its worker was replaced", "beside_another"),
        ("tooketh", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_kinds(reason: str | None, kind: str) -> None:
    assert kind_of(reason) == kind


def episode(error: str | None = None) -> Outline:
    stop = StopReason.SUCCESS if error is None else StopReason.ENVIRONMENT_ERROR
    return Outline.of(Episode(Task("t", "clean"), "", 0, 0, stop=stop, error=error))


CRASHED, SLOW = episode("crashed (SIGSEGV)"), episode("timed out after 1 s")


def test_a_journal_tells_of_all_resumptions_and_of_steps_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    steps = [[episode(), CRASHED, SLOW], [episode()] * 3, [CRASHED, CRASHED, episode()]]
    for step, played in enumerate(steps, 1):
        journal.append(step, episode_metrics(played))
        journal.append(step, {"eval/no_skills/success": 0.5})
    journal.append(4, episode_metrics([CRASHED] * 3))
    journal.rewind(2)
    journal.append(3, episode_metrics(steps[2]))
    found = Flagged.of_journal(journal.read())
    assert found == Flagged(4, 9, {"crashed": 3, "timed_out": 1})
    assert str(found) == "4 of 9 episodes (crashed 3, timed out 1)"
    assert str(Flagged.of_journal([])) == "0 of 0 episodes"


def test_a_journal_of_before_there_were_kinds() -> None:
    rows = [{"step": 1, "rollout/episodes": 48.0, "rollout/stop/environment_error": 7 / 48}]
    assert Flagged.of_journal(rows) == Flagged(7, 48, {})


def test_the_report_holds_both_counts(make_evaluation) -> None:
    cells = [
        make_evaluation(mode, label, [True, False] * 8)
        for label in ("base", "trained")
        for mode in ("no_skills", "skills")
    ]
    quiet = InternalisationReport.build(*cells)
    assert quiet.to_json()["flagged"]["training"] is None
    assert "Environment errors" not in quiet.text() and "of training" not in quiet.text()

    lost = {"won": False, "score": 0.0, "stop": "environment_error", "error": "timed out after 1 s"}
    cells[2] = replace(cells[2], records=(replace(cells[2].records[0], **lost), *cells[2].records[1:]))
    report = InternalisationReport.build(*cells, flagged=Flagged(3, 48, {"crashed": 3}))
    assert json.loads(json.dumps(report.to_json()))["flagged"] == {
        "training": {"episodes": 3, "of": 48, "reasons": {"crashed": 3}},
        "evaluation": {"episodes": 1, "of": 64, "reasons": {"timed_out": 1}},
    }
    text = " ".join(report.text().split())
    assert "Environment errors 1 of 64 episodes (timed out 1), counted as not solved" in text
    assert "Those of training 3 of 48 episodes (crashed 3), not trained on" in text
    assert max(map(len, report.text().splitlines())) <= 80
