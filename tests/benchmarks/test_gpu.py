"""The GPU's benchmark, on a CPU: the same code at a tiny shape, its operations against torch's own count."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from gpu import command, flops  # noqa: E402
from gpu.models import MODELS, write  # noqa: E402
from gpu.work import Work  # noqa: E402

from sdar_cli.models.load import load_model  # noqa: E402
from sdar_cli.recipe.load import load_recipe  # noqa: E402
from sdar_cli.recipe.shapes import model_shape  # noqa: E402


def test_without_a_gpu_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert command.main("about") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: no GPU is visible to torch: run this where there is one, or try the code with --tiny"


@pytest.mark.train
def test_the_same_code_runs_at_a_tiny_shape(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--repeats", "1", "--engine", "hf", "--json", str(out)])
    assert command.main("about") == 0
    own = json.loads(out.read_text())["models"]["tiny"]
    for part in ("generation", "forward and backward", "teacher"):
        assert own["parts"][part]["tokens_a_second"]["median"] > 0
        assert 0 < own["parts"][part]["share_of_peak"]["median"] < 1
    assert own["ratios"]["whole step: sdar / grpo"]["median"] > 0
    assert max(map(len, capsys.readouterr().out.splitlines()[1:])) <= 80


def test_operations_are_those_that_torch_counts(tmp_path: Path) -> None:
    tiny = MODELS["tiny"]
    write(tiny, tmp_path / "model", torch.device("cpu"))
    recipe = load_recipe(tiny.recipe, [], [f"model.path={tmp_path / 'model'}"]).recipe
    shape = model_shape(recipe.model)
    model = load_model(str(tmp_path / "model"))
    model.set_attn_implementation("eager")
    length, asked = 24, 5
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.arange(4, 4 + length)[None], logits_to_keep=asked)
    unseen = 4 * shape.layers * shape.inner * length * (length - 1) / 2  # torch computes what the mask throws away
    positions = 2 * length * (tiny.numbers["head_dim"] // 2)  # the rotary embedding's angles
    assert counter.get_total_flops() - unseen - positions == flops.forward(shape, [(length, asked)])


@pytest.mark.parametrize(("name", "billions"), [("qwen3-1.7b", 1.7206), ("qwen2.5-7b", 7.6156)])
def test_real_models_have_the_published_number_of_weights(name: str, billions: float) -> None:
    model = MODELS[name]
    with torch.device("meta"):
        network = model.network(model.config(**model.numbers))
    assert sum(weights.numel() for weights in network.parameters()) / 1e9 == pytest.approx(billions, abs=1e-4)


def test_rows_are_counted_as_the_trainer_makes_them() -> None:
    from sdar_cli.training.rows import make_rows

    work = Work(episodes=10, turns=3, prompt=7, response=2, skills=5)
    rows = make_rows(work.play(100), "window")
    assert [(len(row.prompt_ids) + len(row.completion_ids), row.response_tokens) for row in rows] == work.student
    assert [(len(row.teacher_prompt_ids or ()) + len(row.completion_ids), 2) for row in rows] == work.teacher
    assert {episode.group for episode in work.play(100)} == {0, 1}
