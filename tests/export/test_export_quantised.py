"""QLoRA through the command line: trained, measured, played, started from and exported.

Skipped without bitsandbytes (`sdar[qlora]`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_runs import LORA, SHORT, Runs, loaded_elsewhere
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from short_sdar import steps_of

from sdar_cli.models.load import load_model
from sdar_cli.runs.store import RunFolder

IDS = torch.arange(40).reshape(2, 20)
QLORA = (*LORA, "model.lora.quantise=nf4")


@pytest.fixture(scope="module")
def trained(runs: Runs, four_bits: None) -> RunFolder:
    return runs.train("four", *QLORA)


def adapter(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints()[-1].path / "adapter_model.safetensors")


def summary(content: dict[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in ("success", "turns", "response_tokens", "prompt_tokens")}


def test_a_checkpoint_is_the_adapter(trained: RunFolder) -> None:
    folder = trained.checkpoints()[-1].path
    assert not list(folder.glob("model*.safetensors"))
    assert json.loads((folder / "quantised.json").read_text()) == {"kind": "nf4", "compute": "float32"}
    assert {tensor.dtype for tensor in adapter(trained).values()} == {torch.float32}
    assert any(tensor.abs().max() > 0 for name, tensor in adapter(trained).items() if "lora_B" in name)
    assert not trained.base.exists(), "the base stays where it is"


def test_evaluations_play_the_four_bits(runs: Runs, trained: RunFolder) -> None:
    """The checkpoint, and the base on another panel, which the run has not measured."""
    own = json.loads(trained.evaluations()["trained-step-3-skills"].read_text())
    done = runs.sdar("eval", "four", "--skills", "--json")
    assert summary(done.json["report"]["evaluation"]) == summary(own["summary"])
    base = json.loads(trained.evaluations()["base-skills"].read_text())
    done = runs.sdar("eval", "four", "--skills", "--checkpoint", "base", "--json")
    assert summary(done.json["report"]["evaluation"]) == summary(base["summary"])
    task = base["records"][0]["task_id"]
    played = runs.sdar("play", "--checkpoint", "four", "--task", task, "--json", "rollout.max_turns=2")
    assert played.code == 0 and played.json["turns"]


def test_the_merged_export_is_the_policy(runs: Runs, trained: RunFolder, tmp_path: Path) -> None:
    done = runs.export("four", "--to", str(tmp_path / "out"), "--json")
    assert done.code == 0 and done.json["quantised"] == "nf4", done.err
    with torch.no_grad():
        policy = load_model(str(trained.checkpoints()[-1].path)).eval()(IDS).logits
        plain = load_model(str(runs.base)).eval()(IDS).logits
    assert (policy - plain).abs().max() > 0.05
    found = loaded_elsewhere(tmp_path / "out")
    torch.testing.assert_close(torch.tensor(found["logits"]), policy, rtol=1e-5, atol=2e-5)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert "qlora" in card.data.tags and "in four bits (nf4); these weights are that base" in str(card)
    assert "quantization_config" not in (tmp_path / "out" / "config.json").read_text()


def test_the_adapter_by_itself_says_how_it_is_loaded(runs: Runs, trained: RunFolder, tmp_path: Path) -> None:
    done = runs.export("four", "--adapter", "--to", str(tmp_path / "out"), "--json")
    assert done.json["load"]["vllm"] is None and "PeftModel" in done.json["load"]["transformers"]
    code = str(ModelCard.load(tmp_path / "out" / "README.md")).split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(code.replace("PATH/TO/THIS/FOLDER", str(tmp_path / "out")), found)
    found["model"].load_state_dict({}, strict=False)
    with torch.no_grad():
        shown = found["model"].train()(IDS).logits  # in evaluations bitsandbytes may take coarser scales
        policy = load_model(str(trained.checkpoints()[-1].path)).train()(IDS).logits
    torch.testing.assert_close(shown, policy, rtol=1e-5, atol=1e-5)


def test_another_run_starts_from_the_policy(runs: Runs, trained: RunFolder) -> None:
    """The base out of its four bits, the adapter merged: what an export has too."""
    run = runs.train("after", "train.steps=1", "method=grpo", start="four")
    assert not (run.base / "adapter_config.json").exists() and not (run.base / "quantised.json").exists()
    last = json.loads(trained.evaluations()["trained-step-3-skills"].read_text())["summary"]
    first = json.loads(run.evaluations()["base-skills"].read_text())["summary"]
    assert summary(first) == summary(last)


def test_an_average_of_the_adapter_teaches(runs: Runs, four_bits: None) -> None:
    """The other runs have a frozen teacher, which is the adapter switched off."""
    run = runs.train("ema", *QLORA, "teacher.kind=ema", "model.gradient_checkpointing=true", "train.steps=2")
    rows = steps_of(run)
    assert len(rows) == 2 and all(row["teacher/active"] == 1.0 and row["gap/mean"] != 0.0 for row in rows)


def test_without_bitsandbytes(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdar_cli.models import quantised

    monkeypatch.setattr(quantised.importlib.util, "find_spec", lambda name: None)
    words = ["--model", str(runs.base), *QLORA, "--name", "never"]
    done = runs.sdar("train", "--recipe", "quickstart", *SHORT, *words)
    assert done.sentence().endswith("pip install 'sdar[qlora]', or set model.lora.quantise=null")
    assert not (runs.root / "never").exists()
