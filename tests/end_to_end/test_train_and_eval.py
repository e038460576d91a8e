"""``sdar train`` and ``sdar eval`` as a user runs them: exit codes, results, files, MLflow."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from short_sdar import SHORT, STEPS, Sdar, Trained, interrupt_after, records, steps_of

from sdar_cli.runs.store import RunFolder

STABLE = (
    "loss/total",
    "loss/policy",
    "loss/distill",
    "policy/kl",
    "policy/entropy",
    "policy/clip_ratio",
    "gate/mean",
    "gate/active",
    "gap/mean",
    "gap/std",
    "gap/negative",
    "rollout/success",
    "rollout/return",
    "rollout/turns",
    "rollout/response_tokens",
    "rollout/invalid_action_rate",
    "rollout/zero_variance_groups",
    "teacher/task_skill_fraction",
    "time/teacher",
    "time/generation",
    "time/environment",
    "time/training",
)
CELLS = ("base-no_skills", "base-skills", f"trained-step-{STEPS}-no_skills", f"trained-step-{STEPS}-skills")
BETWEEN = "trained-step-4-no_skills"


def test_the_result_is_json_and_the_rest_goes_to_standard_error(trained: Trained) -> None:
    result = trained.done.json
    assert (result["run"], result["status"], result["step"]) == ("first", "finished", STEPS)
    assert result["folder"] == str(trained.run.path)
    for words in ("run first", "warm-up", "training", "base at step 0, with skills"):
        assert words in trained.done.err
    for chatter in ("Warning", "Loading weights", "Writing model shards", "wandb", "Traceback", "INFO"):
        assert chatter not in trained.done.err


def test_the_folder_holds_all_there_is_to_keep(trained: Trained) -> None:
    run = trained.run
    for name in ("recipe.yaml", "panel.json", "metrics.jsonl", "base/model.safetensors", "plots/success.png"):
        assert (run.path / name).is_file(), name
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [6, STEPS]
    assert set(run.evaluations()) == {*CELLS, BETWEEN, "report"}
    assert not list(run.path.rglob("*.pt*.tmp")) and not list((run.path / "checkpoints").glob(".*"))
    assert not list(run.path.rglob("training_args.bin"))


def test_every_step_has_every_metric(trained: Trained) -> None:
    rows = steps_of(trained.run)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        assert set(STABLE) <= set(row), set(STABLE) - set(row)
        assert all(math.isfinite(row[name]) for name in STABLE)
        assert row["loss/total"] == pytest.approx(row["loss/policy"] + row["loss/distill"])
        assert row["gap/mean"] != 0.0 and row["teacher/task_skill_fraction"] == 1.0


def test_mlflow_can_be_read_without_us(trained: Trained) -> None:
    from sdar_cli.tracking.quiet import import_mlflow

    state = trained.run.state
    client = import_mlflow().MlflowClient(tracking_uri=state.tracking_uri)
    found = client.get_run(state.mlflow_run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["gate.beta"] == "5.0" and found.data.params["train.steps"] == str(STEPS)
    for name in STABLE:
        history = client.get_metric_history(state.mlflow_run_id, name)
        assert sorted(entry.step for entry in history) == list(range(1, STEPS + 1)), name
    assert "recipe.yaml" in {entry.path for entry in client.list_artifacts(state.mlflow_run_id)}
    for folder in ("evaluations", "plots"):
        assert client.list_artifacts(state.mlflow_run_id, folder), folder
    experiment = found.info.experiment_id
    traces = client.search_traces(locations=[experiment], run_id=state.mlflow_run_id)
    assert {trace.info.tags["mode"] for trace in traces} == {"train", "no_skills", "skills"}
    train = [trace for trace in traces if trace.info.tags["mode"] == "train"]
    assert {trace.info.tags["step"] for trace in train} == {"0", "4"}
    turns = [span for span in client.get_trace(train[0].info.trace_id).data.spans if span.parent_id]
    assert turns and all("gate_mean" in json.dumps(span.to_dict()) for span in turns)


def test_eval_of_the_latest_run(trained: Trained, tmp_path: Path) -> None:
    """In another runs folder: a run may be moved."""
    shutil.copytree(trained.run.path, tmp_path / "moved")
    done = Sdar(tmp_path)("eval", "latest", "--no-skills", "--json")
    assert done.code == 0, done.err
    assert done.json["checkpoint"] == f"step-{STEPS}"
    assert done.json["target"] == "moved"
    assert "base without skills" not in done.err, "the base was measured by the training"


def test_an_evaluation_repeats_itself(sdar: Sdar, trained: Trained) -> None:
    """The checkpoint's weights, loaded again, do what they did when the training ended."""
    before = [records(trained.run, name) for name in CELLS[2:]]
    assert sdar("eval", "first", "--both").code == 0
    assert [records(trained.run, name) for name in CELLS[2:]] == before


def test_eval_of_the_base(sdar: Sdar, trained: Trained) -> None:
    before = records(trained.run, "base-skills")
    done = sdar("eval", "first", "--checkpoint", "base", "--skills")
    assert done.code == 0, done.err
    assert "checkpoint base" in done.out and "sdar ui" in done.out
    assert records(trained.run, "base-skills") == before


def test_eval_of_a_bare_folder(sdar: Sdar, trained: Trained) -> None:
    folder = trained.run.checkpoints()[-1].path
    words = ["--recipe", "quickstart", "rollout.max_turns=2", "--tasks", "4", "--no-skills", "--json"]
    done = sdar("eval", str(folder), *words)
    assert done.code == 0, done.err
    assert done.json["target"] == folder.name
    assert set(trained.run.evaluations()) == {*CELLS, BETWEEN, "report"}, "a bare model writes into no run"


def test_grpo_from_another_run(sdar: Sdar, trained: Trained) -> None:
    run = sdar.train("grpo", "--init-from", "first", "--method", "grpo", "train.steps=2")
    rows = steps_of(run)
    assert [row["time/teacher"] for row in rows] == [row["teacher/active"] for row in rows] == [0.0, 0.0]
    assert not any("loss/distill" in row for row in rows)
    assert not any(name.startswith(("gate/", "gap/")) for row in rows for name in row)
    assert records(run, "base-skills") == records(trained.run, CELLS[3]), "it starts from the last checkpoint"


def test_full_context(sdar: Sdar, trained: Trained) -> None:
    longer = "rollout.max_prompt_tokens=600"
    run = sdar.train("full", "--init-from", "first", "rollout.context=full", longer, "train.steps=2")
    for row in steps_of(run):
        assert row["optim/rows"] == row["rollout/episodes"] == 6.0
        assert row["gap/mean"] != 0.0


def test_lora(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter is trained, stopped and resumed, evaluated from its checkpoint, and started from."""
    interrupt_after(monkeypatch, step=1)
    changes = ["--init-from", "first", "model.lora.rank=2", "train.steps=3"]
    stopped = sdar("train", "--recipe", "quickstart", *SHORT, *changes, "--name", "lora")
    assert stopped.code == 130 and "sdar resume lora" in stopped.out, stopped.err
    done = sdar("resume", "lora", "--json")
    assert done.code == 0 and done.json["step"] == 3, done.err
    run = RunFolder.open(sdar.root / "lora")
    folder = run.checkpoints()[-1].path
    assert (folder / "adapter_model.safetensors").is_file() and not (folder / "model.safetensors").exists()
    last = records(run, "trained-step-3-skills")
    assert sdar("eval", "lora", "--skills").code == 0
    assert records(run, "trained-step-3-skills") == last
    merged = sdar.train("merged", "--init-from", "lora", "train.steps=1")
    assert (merged.base / "model.safetensors").is_file()
    assert not (merged.base / "adapter_config.json").exists()
    assert records(merged, "base-skills") == last
