"""`sdar eval --engine URL`: a server that takes weights gets them, another must have them already."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from short_sdar import STEPS, Sdar, Trained

sys.path.append(str(Path(__file__).parents[1] / "engines"))

from fake_vllm import FakeVllm

TASKS = ["--tasks", "3", "rollout.max_turns=2"]


@pytest.fixture
def vllm(trained: Trained) -> Iterator[FakeVllm]:
    """Serves the run's base."""
    with FakeVllm(trained.run.base) as server:
        yield server


def test_both_weights_go_to_a_server_that_takes_them(sdar: Sdar, trained: Trained, vllm: FakeVllm) -> None:
    done = sdar("eval", "first", "--no-skills", *TASKS, "--engine", vllm.url, "--json")
    assert done.code == 0, done.err
    reloads = [body for path, body in vllm.requests if path == "/collective_rpc" and body["method"] == "reload_weights"]
    assert len(reloads) == 1, "it had the base, and was given the checkpoint"
    kept = sorted(trained.run.path.glob("evaluations/*-no_skills-*.json"))
    assert [json.loads(path.read_text())["engine"] for path in kept] == ["vllm", "vllm"]
    assert not list(trained.run.path.glob("evaluation-*"))


def test_one_that_takes_none_is_asked_whether_it_has_them(sdar: Sdar, trained: Trained, vllm: FakeVllm) -> None:
    vllm.development = False
    words = ["eval", "first", *TASKS, "--engine", vllm.url, "--json", "--no-skills"]
    done = sdar(*words, "--checkpoint", "base")
    assert done.code == 0, done.err
    sentence = sdar(*words, "evaluation.panel_seed=7").sentence()
    assert "base and checkpoint are to be played and the server" in sentence
    bare = ["eval", str(trained.run.checkpoint(STEPS).path), "--recipe", "quickstart", *words[2:]]
    assert "does not hold" in sdar(*bare, "environment.options.things=12").sentence()


def test_no_server(sdar: Sdar, trained: Trained) -> None:
    done = sdar("eval", "first", *TASKS, "--engine", "http://127.0.0.1:9")
    assert done.code == 1
    assert "the server http://127.0.0.1:9 does not answer (ConnectError" in done.err.splitlines()[-1]


def test_an_engine_that_is_none(sdar: Sdar, trained: Trained) -> None:
    assert sdar("eval", "first", "--engine", "vlm").sentence().startswith("--engine is 'vlm', but must be hf")
