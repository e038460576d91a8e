"""`sdar eval` by vLLM: started for it, or a server, which gets the checkpoint or must have it."""

from __future__ import annotations

import json

import pytest
from real_vllm import RealServer


@pytest.fixture(scope="module")
def run(place) -> str:
    ran = place.train("evaluated", "engine.kind=hf", "evaluation.tasks=24")
    assert ran.code == 0, ran.err
    return "evaluated"


def figures(ran) -> dict:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_vllm_started_for_it(place, run) -> None:
    told = figures(place.sdar("eval", run, "--both", "--tasks", "16", "--engine", "vllm", "--json"))
    assert told["checkpoint"] == "step-2"
    kept = list((place.root / "runs" / run / "evaluations").glob("trained-*no_skills-*.json"))
    assert [json.loads(path.read_text())["engine"] for path in kept] == ["vllm"]


def test_a_server_that_takes_weights(place, run, server) -> None:
    figures(place.sdar("eval", run, "--no-skills", "--tasks", "17", "--engine", server.url, "--json"))
    assert not list((place.root / "runs" / run).glob("evaluation-*"))


def test_an_adapters_checkpoint(place) -> None:
    ran = place.train("evaluated-lora", "engine.kind=hf", "model.lora.rank=4", "teacher.kind=live")
    assert ran.code == 0, ran.err
    figures(place.sdar("eval", "evaluated-lora", "--skills", "--tasks", "13", "--engine", "vllm", "--json"))


def test_a_server_of_another_model(place, run, server, monkeypatch) -> None:
    """Without development mode it must have the weights already."""
    from real_vllm import Place

    class Plain(RealServer):
        def __init__(self, *about, **more) -> None:
            super().__init__(*about, **more)
            self.place = Place(place.root)
            self.place.environment = Environment(place.environment)

    class Environment(dict):
        """Takes no development mode."""

        def __or__(self, other):
            return dict(self)

    checkpoint = next((place.root / "runs" / run / "checkpoints").glob("*2*"))
    with Plain(place, model=checkpoint) as plain:
        words = ["eval", run, "--no-skills", "--engine", plain.url, "--json"]
        figures(place.sdar(*words))
        refused = place.sdar(*words, "--checkpoint", "base")
        assert refused.code == 2 and "does not hold" in refused.sentence
