"""A checkpoint in the registry of a real store: copied and loaded again, or pointed to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_qwen3 import save_words

from sdar_cli.tracking import registry
from sdar_cli.tracking.registry import Registration, Version, fingerprint, model_files, model_name, stage
from sdar_cli.tracking.tracker import Tracker

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 with its tokenizer, and beside it what a training needs to go on."""
    folder = save_words(
        tmp_path_factory.mktemp("checkpoints") / "step-8", ["put the mug on the desk"], seed=3, layers=1
    )
    for name in ("optimizer.pt", "rng_state.pth", "trainer_state.json", "sdar.json", "complete"):
        (folder / name).write_text("{}")
    return folder


def version(checkpoint: Path, name: str = "toy", **changes) -> Version:
    tags = {"sdar.run": "toy-run", "sdar.step": "8", "sdar.checkpoint": str(checkpoint)}
    values = {"description": "Step 8 of `toy-run`.", "metrics": {"eval/no_skills/success": 0.5}} | changes
    return Version(name, checkpoint, 8, "name: toy\n", tags=tags, **values)


def test_what_is_registered_loads_with_transformers(
    store: str, client, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tracker = Tracker.start(store, "toy", "toy-run", "", {})
    tracker.register(version(checkpoint))
    tracker.finish()
    (found,) = client.search_model_versions("name='toy'")
    assert (found.run_id, found.description, found.tags["sdar.step"]) == (tracker.run_id, "Step 8 of `toy-run`.", "8")
    assert client.get_run(tracker.run_id).outputs.model_outputs[0].step == 8
    model = client.get_logged_model(client.get_run(tracker.run_id).outputs.model_outputs[0].model_id)
    assert model.source_run_id == tracker.run_id and model.status == "READY"
    assert [(metric.key, metric.value) for metric in model.metrics] == [("eval/no_skills/success", 0.5)]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = Path(mlflow.artifacts.download_artifacts("models:/toy/latest", dst_path=str(tmp_path)))
    names = {file.name for file in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "recipe.yaml"} <= names
    assert not names & {"optimizer.pt", "rng_state.pth", "trainer_state.json", "sdar.json", "complete"}
    loaded, original = (AutoModelForCausalLM.from_pretrained(path) for path in (folder, checkpoint))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), original.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(folder).tokenize("put mug") == ["put", "mug"]


def test_it_is_registered_once_a_run_and_step(store: str, client, checkpoint: Path) -> None:
    tracker = Tracker.start(store, "toy", "toy-run", "", {})
    for _ in range(2):
        tracker.register(version(checkpoint, "once", description="a word\n" * 3000))
    tracker.finish("KILLED")
    again = Tracker.start(store, "toy", "toy-run", "", {}, run_id=tracker.run_id)
    again.register(version(checkpoint, "once"))
    again.finish()
    (made,) = client.search_model_versions("name='once'")
    assert 4900 < len(made.description) <= 5000, "more is refused by databases that count"
    other = Tracker.start(store, "toy", "other-run", "", {})
    other.register(version(checkpoint, "once"))
    other.finish()
    assert sorted(int(one.version) for one in client.search_model_versions("name='once'")) == [1, 2]


def test_large_weights_are_pointed_to(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "COPIED_BYTES", 1000)
    stage(checkpoint, 8, tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    assert "model.safetensors" not in names and {"config.json", "tokenizer.json"} <= names
    pointer = json.loads((tmp_path / registry.POINTER).read_text())
    weights = checkpoint / "model.safetensors"
    assert pointer["checkpoint"] == str(checkpoint) and pointer["step"] == 8
    assert pointer["files"]["model.safetensors"] == fingerprint(weights)
    assert set(pointer["files"]) == {file.name for file in model_files(checkpoint)}


def test_a_fingerprint_tells_files_of_one_size_apart(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 10)
    assert fingerprint(small) == {"bytes": 10, "sha256": hashlib.sha256(b"x" * 10).hexdigest()}
    seen = set()
    for place in (0, registry.ENDS - 1, 3 * registry.ENDS - 1):
        content = bytearray(3 * registry.ENDS)
        content[place] = 1
        large.write_bytes(content)
        found = fingerprint(large)
        assert found["bytes"] == 3 * registry.ENDS
        seen.add(found["sha256_of_both_mebibytes"])
    assert len(seen) == 3


CALLS = (
    "create_logged_model",
    "log_model_artifacts",
    "log_outputs",
    "log_batch",
    "finalize_logged_model",
    "create_registered_model",
    "create_model_version",
    "set_logged_model_tags",
)


def test_one_that_was_cut_short_is_completed_by_the_next_process(
    store: str, client, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right after each of its calls in turn: one model, one version, each metric once."""
    tracker = Tracker.start(store, "cut", "cut", "", {})
    experiment = client.get_run(tracker.run_id).info.experiment_id

    def register() -> None:
        Registration(client, tracker.run_id, experiment, version(checkpoint, "cut-short"), at=1_700_000_000_000)()

    class Killed(BaseException):
        pass

    def killed_after(call: str) -> Callable:
        done = getattr(client, call)

        def then_killed(*words, **named):
            done(*words, **named)
            raise Killed

        return then_killed

    for call in CALLS:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(client, call, killed_after(call))
            register()
    for _ in range(2):
        register()
    (made,) = client.search_model_versions("name='cut-short'")
    (model,) = client.search_logged_models([experiment])
    assert made.source == model.artifact_location and model.status == "READY"
    assert json.loads(model.tags[registry.VERSIONS]) == [{"name": "cut-short", "version": 1}]
    assert len(client.get_metric_history(tracker.run_id, "eval/no_skills/success")) == 1


def test_a_registry_that_fails_keeps_no_run_open(
    store: str, client, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    home = {"spool": tmp_path / "tracking", "remedy": "`sdar runs send toy-run` sends them"}
    tracker = Tracker.start(store, "toy", "toy-run", "", {}, say=said.append, **home)

    def refuse(*args, **kwargs):
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(type(client), "create_model_version", refuse)
        tracker.register(version(checkpoint, "lost"))
        tracker.metrics(9, {"a": 1.0})
        assert tracker.finish() == 1
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics["a"] == 1.0
    assert said == [
        f"the MLflow store {store} lacks 1 writes (no room), which wait in {tmp_path / 'tracking'}: "
        "`sdar runs send toy-run` sends them"
    ]


@pytest.mark.parametrize(
    ("text", "name"), [("alfworld-qwen3-1.7b", "alfworld-qwen3-1.7b"), ("a/b:c", "a-b-c"), ("", "sdar")]
)
def test_a_name_that_the_registry_takes(text: str, name: str) -> None:
    assert model_name(text) == name
