"""vLLM loads what `sdar export` writes, and gives the log-probs that the trained policy has."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROMPT = list(range(4, 28))
SERVED = """
import json, sys
import vllm.model_executor.layers.utils  # noqa: F401
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

model, adapter, prompt = json.loads(sys.argv[1])
extra = {} if adapter is None else {"enable_lora": True, "max_loras": 1, "max_lora_rank": 8}
llm = LLM(model=model, dtype="float32", enforce_eager=True, max_model_len=256, **extra)
lora = None if adapter is None else LoRARequest("agent", 1, adapter)
asked = SamplingParams(max_tokens=1, prompt_logprobs=0)
answer = llm.generate([{"prompt_token_ids": prompt}], asked, lora_request=lora, use_tqdm=False)[0]
rows = answer.prompt_logprobs[1:]
print("logps", json.dumps([row[token].logprob for row, token in zip(rows, prompt[1:])]))
"""


def by_vllm(place, model: Path | str, adapter: Path | None = None) -> torch.Tensor:
    """Log-probs of the prompt's own tokens, by vLLM in a process that does not know sdar."""
    what = json.dumps([str(model), None if adapter is None else str(adapter), PROMPT])
    done = subprocess.run(
        [sys.executable, "-c", SERVED, what], env=place.environment, capture_output=True, text=True, timeout=600
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("logps ")]
    assert lines, done.stderr[-3000:]
    return torch.tensor(json.loads(lines[-1].removeprefix("logps ")))


def by_hugging_face(folder: Path | str) -> torch.Tensor:
    from sdar_cli.models.load import load_model

    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        logps = load_model(str(folder)).eval()(ids).logits.log_softmax(-1)
    return logps[0, :-1].gather(1, ids[0, 1:, None])[:, 0]


def exported(place, name: str, *words: str) -> dict:
    ran = place.sdar("export", name, "--json", *words)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def trained(place, name: str, *words: str) -> Path:
    """The last checkpoint of a run with an adapter."""
    ran = place.train(name, "engine.kind=hf", "model.lora.rank=4", "teacher.kind=live", *words)
    assert ran.code == 0, ran.err
    return place.root / "runs" / name / "checkpoints" / "step-2"


def test_an_adapter_merged_and_by_itself(place) -> None:
    checkpoint = trained(place, "export-lora")
    policy = by_hugging_face(checkpoint)
    assert (policy - by_hugging_face(place.base)).abs().max() > 0.05, "training has moved the policy"
    merged = Path(exported(place, "export-lora")["folder"])
    assert (by_vllm(place, merged) - policy).abs().max() < 0.01
    told = exported(place, "export-lora", "--adapter")
    words = told["load"]["vllm"].split()
    assert words[:2] == ["vllm", "serve"] and f"agent={told['folder']}" in words
    assert (by_vllm(place, words[2], Path(told["folder"])) - policy).abs().max() < 0.01


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_four_bits(place) -> None:
    """Exported; and trained by a colocated vLLM, whose weights are proved after every sync; and evaluated by one."""
    checkpoint = trained(place, "export-qlora", "model.lora.quantise=nf4", "engine.kind=vllm")
    gaps = place.metrics("export-qlora", "sampling/logp_difference/mean")
    assert len(gaps) == 2 and max(gaps) < 0.01
    policy = by_hugging_face(checkpoint)
    assert (policy - by_hugging_face(place.base)).abs().max() > 0.05
    merged = Path(exported(place, "export-qlora")["folder"])
    assert (by_vllm(place, merged) - policy).abs().max() < 0.01
    ran = place.sdar("eval", "export-qlora", "--skills", "--tasks", "5", "--engine", "vllm", "--json")
    assert ran.code == 0, ran.err
    assert not list((place.root / "runs" / "export-qlora").glob("evaluation-*"))
