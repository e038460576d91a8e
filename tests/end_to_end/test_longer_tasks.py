"""A run on tasks that take the expert longer than those it was trained on: ``sdar eval`` with other options."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from short_sdar import STEPS, Sdar, Trained

from sdar_cli.evaluation.result import Evaluation
from sdar_cli.runs.store import RunFolder

LONGER = ("environment.options.walk=true", "rollout.max_turns=3")


def test_the_run_itself_knows_how_long_its_tasks_are(trained: Trained) -> None:
    report = trained.done.json["report"]
    assert [(one["slice"], one["tasks"]) for one in report["by_horizon"]] == [("turns_le_5", 6)]
    evaluation = Evaluation.load(trained.run.evaluations()["base-skills"])
    assert sorted(record.expert_turns for record in evaluation.records) == [3, 3, 3, 3, 3, 5]
    rows = [json.loads(line) for line in (trained.run.path / "metrics.jsonl").read_text().splitlines()]
    base = next(row for row in rows if "eval/skills/success" in row)
    assert base["eval/skills/episodes/turns_le_5"] == base["eval/skills/episodes"] == 6
    assert base["eval/skills/success/turns_le_5"] == base["eval/skills/success"]
    assert (trained.run.path / "plots" / "horizon.png").is_file()


def test_longer_tasks_get_a_panel_of_their_own(trained: Trained, tmp_path: Path) -> None:
    from sdar_cli.tracking.quiet import import_mlflow

    shutil.copytree(trained.run.path, tmp_path / "moved")
    state = trained.run.state
    client = import_mlflow().MlflowClient(tracking_uri=state.tracking_uri)

    def curve() -> list[tuple[int, float]]:
        found = client.get_metric_history(state.mlflow_run_id, "eval/no_skills/success")
        return [(point.step, point.value) for point in found]

    before = curve()
    done = Sdar(tmp_path)("eval", "moved", "--both", "--json", *LONGER)
    assert done.code == 0, done.err
    report = done.json["report"]
    assert [(one["slice"], one["tasks"]) for one in report["by_horizon"]] == [("turns_le_5", 1), ("turns_6_10", 5)]
    assert [cell["label"] for cell in report["by_horizon"][1]["cells"]] == ["base", "trained"]
    assert report["by_horizon"][1]["gain"]["low"] < 0 < report["by_horizon"][1]["gain"]["high"]
    assert report["panel"] != trained.done.json["report"]["panel"]
    suffix = report["panel"][:8]
    kept = RunFolder.open(tmp_path / "moved").evaluations()
    assert {f"base-skills-{suffix}", f"trained-step-{STEPS}-no_skills-{suffix}", "base-skills"} <= set(kept)
    assert curve() == before, "the run's curve is that of its own panel"
    files = {entry.path for entry in client.list_artifacts(state.mlflow_run_id, "evaluations")}
    assert f"evaluations/trained-step-{STEPS}-skills-{suffix}.json" in files


def test_one_mode_lists_its_slices(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run.path, tmp_path / "moved")
    done = Sdar(tmp_path)("eval", "moved", "--no-skills", *LONGER)
    assert done.code == 0, done.err
    assert [line.split()[:4] for line in done.out.splitlines() if line.strip().startswith("expert turns")] == [
        ["expert", "turns", "≤", "5"],
        ["expert", "turns", "6–10", "5"],
    ]
