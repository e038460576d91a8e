"""The weights of an export: what training ended with, in a form that plain transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from exported_runs import LORA, Runs, loaded_elsewhere
from safetensors.torch import load_file

from sdar_cli.models.load import load_model
from sdar_cli.runs.store import RunFolder

IDS = torch.arange(40).reshape(2, 20)


def logits(folder: Path | str) -> torch.Tensor:
    with torch.no_grad():
        return load_model(str(folder)).eval()(IDS).logits


def last(run: RunFolder) -> Path:
    return run.checkpoints()[-1].path


def test_a_merged_adapter_is_the_policy(runs: Runs, tmp_path: Path) -> None:
    """In float32, by plain transformers in a process of its own, which generates with it."""
    _ = runs.adapted
    done = runs.export("adapted", "--to", str(tmp_path / "out"))
    assert done.code == 0, done.err
    policy, base = logits(last(runs.adapted)), logits(runs.base)
    assert (policy - base).abs().max() > 0.05, "training has moved the policy"
    found = loaded_elsewhere(tmp_path / "out")
    torch.testing.assert_close(torch.tensor(found["logits"]), policy, rtol=1e-5, atol=1e-5)
    assert (found["class"], found["dtype"], found["cache"]) == ("Qwen3ForCausalLM", "torch.float32", True)
    assert found["end"] == found["eos"] and 1 <= found["said"] <= 4
    told = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    sampling = runs.adapted.recipe().evaluation.sampling
    assert told["do_sample"] and told["temperature"] == sampling.temperature, "as it was evaluated"
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        *("README.md", "recipe.yaml", "panel.json", "evaluations", "sdar_export.json"),
    }


def test_other_adapters_are_merged_as_well(runs: Runs, tmp_path: Path) -> None:
    kinds = ("model.lora.rslora=true", "model.lora.dora=true", "model.lora.targets=[q_proj, up_proj]")
    run = runs.train("other", *LORA, *kinds, "train.steps=1")
    told = json.loads((last(run) / "adapter_config.json").read_text())
    assert told["use_rslora"] is told["use_dora"] is True
    assert runs.export("other", "--to", str(tmp_path / "out")).code == 0
    torch.testing.assert_close(logits(tmp_path / "out"), logits(last(run)), rtol=1e-5, atol=1e-5)


def test_an_adapter_by_itself(runs: Runs, tmp_path: Path) -> None:
    _ = runs.adapted
    done = runs.export("adapted", "--adapter", "--to", str(tmp_path / "out"), "--json")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert not (tmp_path / "out" / "model.safetensors").exists() and not (tmp_path / "out" / "ref").exists()
    found = loaded_elsewhere(tmp_path / "out")
    torch.testing.assert_close(torch.tensor(found["logits"]), logits(last(runs.adapted)), rtol=0, atol=1e-6)
    assert done.json["kind"] == "adapter"
    assert done.json["load"]["vllm"].startswith(f"vllm serve {runs.base} --enable-lora --max-lora-rank 8 ")


def test_a_cast_and_shards(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = runs.adapted
    monkeypatch.setattr("sdar_cli.export.weights.SHARD", "60KB")
    assert runs.export("adapted", "--dtype", "bfloat16", "--to", str(tmp_path / "out")).code == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    shards = list((tmp_path / "out").glob("model-*.safetensors"))
    assert len(shards) > 1 and (tmp_path / "out" / "model.safetensors.index.json").is_file()
    assert {tensor.dtype for shard in shards for tensor in load_file(shard).values()} == {torch.bfloat16}
    exact = logits(last(runs.adapted))
    assert 0 < (logits(tmp_path / "out") - exact).abs().max() < 0.05 * exact.abs().max()


def test_whole_weights_and_the_base_bit_by_bit(runs: Runs) -> None:
    run = runs.train("whole")
    done = runs.export("whole", "--json")
    assert (done.json["kind"], done.json["checkpoint"]) == ("whole", "step-2")
    trained, exported = load_file(last(run) / "model.safetensors"), Path(done.json["folder"])
    assert exported == run.path / "export" / "step-2"
    assert all(torch.equal(tensor, trained[name]) for name, tensor in load_file(exported / "model.safetensors").items())
    base = Path(runs.export("whole", "--checkpoint", "base", "--json").json["folder"])
    told, own = load_file(base / "model.safetensors"), load_file(runs.base / "model.safetensors")
    assert all(torch.equal(told[name], tensor) for name, tensor in own.items())


def test_an_export_is_a_model_that_runs_start_from(runs: Runs) -> None:
    """And it is played as the checkpoint was."""
    _ = runs.adapted
    folder = json.loads(runs.export("adapted", "--to", str(runs.root / "played"), "--json").out)["folder"]
    done = runs.sdar("eval", folder, "--recipe", str(runs.adapted.path / "recipe.yaml"), "--no-skills", "--json")
    assert done.code == 0, done.err
    own = json.loads(runs.adapted.evaluations()["trained-step-3-no_skills"].read_text())["summary"]
    assert done.json["report"]["evaluation"]["response_tokens"] == own["response_tokens"]
