"""`sdar eval --engine vllm`: one is started for the base, which is plain, and one for the checkpoint, an adapter."""

from __future__ import annotations

import json


def test_vllm_is_started_for_a_base_and_for_an_adapter(place) -> None:
    """The run's own evaluations are Hugging Face's, so that its base is played again."""
    ran = place.train("evaluated", "engine.kind=hf", "model.lora.rank=4", "teacher.kind=live")
    assert ran.code == 0, ran.err
    ran = place.sdar("eval", "evaluated", "--no-skills", "--engine", "vllm", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["checkpoint"] == "step-2"
    files = (place.root / "runs" / "evaluated" / "evaluations").glob("*-no_skills*.json")
    engines = {path.name: json.loads(path.read_text())["engine"] for path in files}
    assert engines.pop("base-no_skills.json") == engines.pop("trained-step-2-no_skills.json") == "hf"
    assert list(engines.values()) == ["vllm", "vllm"]
