"""What users get wrong: one sentence that ends with the remedy, exit code 2, before any training starts."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from short_sdar import SHORT, WARM, Sdar, Trained

from sdar_cli.environments import build_environment
from sdar_cli.evaluation.panel import Panel
from sdar_cli.runs.store import list_runs

QUICKSTART = ("train", "--recipe", "quickstart", *SHORT)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gate.bata=5"], "did you mean 'gate.beta'?"),
        (["optimizer.learning_rate=1"], "did you mean 'optimiser'?"),
        (["environment=housheold"], "did you mean 'household'?"),
        (["environment.options.thnigs=12"], "did you mean 'environment.options.things'?"),
        (["--model", "/nowhere/at/all"], "there is no model folder '/nowhere/at/all': correct model.path"),
        (
            ["--model", "nobody/has-this"],
            "the tokenizer 'nobody/has-this' is neither a folder here, nor in the cache",
        ),
        (["--init-from", "/nowhere/at/all"], "there is no run or model '/nowhere/at/all'"),
        (["skills.bank=/nowhere"], "skill bank /nowhere is not a folder"),
        (["skills.retrieval=none"], "a teacher has nothing to read with skills.retrieval=none"),
        (["evaluation.tasks=100000"], "set evaluation.tasks to a number from 1 to "),
        (["evaluation.panel=/nowhere.json"], "the panel /nowhere.json does not exist"),
        (["evaluation.split=train"], "are training tasks"),
        (
            ["rollout.max_response_tokens=9000"],
            "lower rollout.max_prompt_tokens or rollout.max_response_tokens",
        ),
        (["-c", "/nowhere.yaml"], "/nowhere.yaml does not exist"),
    ],
)
def test_training(sdar: Sdar, words: list[str], says: str) -> None:
    warm = () if "--model" in words or "--init-from" in words else WARM
    assert says in sdar(*QUICKSTART, *warm, *words).sentence()


def test_what_is_not_there_leaves_no_run_behind(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for words in (["--model", str(nowhere)], ["--init-from", str(nowhere)], [f"evaluation.panel={nowhere}"]):
        assert str(nowhere) in Sdar(tmp_path / "runs")(*QUICKSTART, *words).sentence()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("retrieval", ["task_type", "full"])
def test_an_empty_bank(sdar: Sdar, tmp_path: Path, retrieval: str) -> None:
    words = [f"skills.bank={tmp_path}", f"skills.retrieval={retrieval}"]
    assert f"skill bank {tmp_path} holds no markdown file" in sdar(*QUICKSTART, *WARM, *words).sentence()


def test_a_panel_of_training_tasks(sdar: Sdar, tmp_path: Path, trained: Trained) -> None:
    environment = build_environment(trained.run.recipe().environment)
    Panel.make(environment, "train", 4, 0).save(tmp_path / "panel.json")
    for words in (
        [*QUICKSTART, *WARM, f"evaluation.panel={tmp_path / 'panel.json'}"],
        ["eval", "first", "--panel", str(tmp_path / "panel.json")],
    ):
        assert "4 of 4 tasks of the panel are training tasks" in sdar(*words).sentence()


@pytest.fixture
def model(tmp_path: Path, trained: Trained) -> Path:
    """A copy of a checkpoint as a bare model."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in trained.run.checkpoints()[-1].path.iterdir():
        if path.suffix in (".json", ".jinja", ".safetensors"):
            shutil.copy(path, folder)
    return folder


def test_a_tokenizer_without_a_chat_template(sdar: Sdar, model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    for words in ([*QUICKSTART, "--model", str(model)], ["eval", str(model), "--recipe", "quickstart"]):
        sentence = sdar(*words).sentence()
        assert "has no chat template: use a chat model, or save a chat_template.jinja" in sentence


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_model(sdar: Sdar, model: Path, lost: str) -> None:
    (model / lost).unlink()
    sentence = sdar(*QUICKSTART, "--model", str(model)).sentence()
    assert str(model) in sentence and "give " in sentence


def test_weights_that_are_cut_short(sdar: Sdar, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "is cut short: " in sdar(*QUICKSTART, "--model", str(model)).sentence()


def test_lora_weights_without_their_base(sdar: Sdar, model: Path) -> None:
    (model / "config.json").unlink()
    (model / "model.safetensors").rename(model / "adapter_model.safetensors")
    for base, says in (
        (None, "LoRA weights without their base"),
        ("/gone", "whose base '/gone' cannot be loaded"),
    ):
        settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": base}
        (model / "adapter_config.json").write_text(json.dumps(settings))
        for words in ([*QUICKSTART, "--model", str(model)], ["eval", str(model), "--recipe", "quickstart"]):
            assert says in sdar(*words).sentence()


def test_lora_targets_that_are_not_there(sdar: Sdar, model: Path) -> None:
    words = ["--model", str(model), "model.lora.rank=2", "model.lora.targets=[nothing]"]
    assert "set model.lora.targets" in sdar(*QUICKSTART, *words).sentence()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_an_engine_that_is_not_installed(sdar: Sdar, model: Path) -> None:
    sentence = sdar(*QUICKSTART, "--model", str(model), "engine.kind=vllm").sentence()
    assert sentence.endswith("pip install 'sdar[vllm]', or set engine.kind=hf")


def test_a_prompt_that_cannot_fit(sdar: Sdar, trained: Trained) -> None:
    """Seen in the base's evaluation, at the latest in the warm-up: before training starts."""
    for words in (
        [*QUICKSTART, "--init-from", "first", "rollout.max_prompt_tokens=8"],
        [*QUICKSTART, *WARM, "rollout.max_prompt_tokens=8"],
        ["eval", "first", "rollout.max_prompt_tokens=8"],
    ):
        sentence = sdar(*words).sentence()
        assert "rollout.max_prompt_tokens=8" in sentence and sentence.endswith(": raise it")
    run = list_runs(sdar.root)[-1]
    assert run.state.status == "failed" and run.state.step == 0 and "max_prompt_tokens" in run.state.error


def test_checkpoints_and_names(sdar: Sdar, trained: Trained) -> None:
    assert "choose one of those kept (6, 8)" in sdar("eval", "first", "--checkpoint", "5").sentence()
    assert "choose another name" in sdar(*QUICKSTART, *WARM, "--name", "first").sentence()
    assert "did you mean 'first'?" in sdar("eval", "frist").sentence()
