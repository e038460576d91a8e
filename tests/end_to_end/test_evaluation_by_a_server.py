"""`sdar eval --engine URL`: a server that takes weights gets them, another must have them already."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from short_sdar import STEPS, Sdar, Trained

from sdar_cli.runs.store import RunFolder

sys.path.append(str(Path(__file__).parents[1] / "engines"))

from fake_vllm import FakeVllm

TASKS = ["--tasks", "3", "rollout.max_turns=2"]


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> RunFolder:
    """A copy of a finished run, as its own evaluations are what other tests look at."""
    return RunFolder.open(shutil.copytree(trained.run.path, tmp_path / "moved"))


@pytest.fixture
def vllm(run: RunFolder) -> Iterator[FakeVllm]:
    """Serves the run's base."""
    with FakeVllm(run.base) as server:
        yield server


def test_both_weights_go_to_a_server_that_takes_them(sdar: Sdar, run: RunFolder, vllm: FakeVllm) -> None:
    done = sdar("eval", str(run.path), "--no-skills", *TASKS, "--engine", vllm.url, "--json")
    assert done.code == 0, done.err
    reloads = [body for path, body in vllm.requests if path == "/collective_rpc" and body["method"] == "reload_weights"]
    assert len(reloads) == 1, "it had the base, and was given the checkpoint"
    kept = sorted(run.path.glob("evaluations/*-no_skills-*.json"))
    assert [json.loads(path.read_text())["engine"] for path in kept] == ["vllm", "vllm"]
    assert not list(run.path.glob("evaluation-*"))


def test_one_that_takes_none_is_asked_whether_it_has_them(sdar: Sdar, run: RunFolder, vllm: FakeVllm) -> None:
    vllm.development = False
    words = ["eval", str(run.path), *TASKS, "--engine", vllm.url, "--json", "--no-skills"]
    done = sdar(*words, "--checkpoint", "base")
    assert done.code == 0, done.err
    sentence = sdar(*words, "evaluation.panel_seed=7").sentence()
    assert "base and checkpoint are to be played and the server" in sentence
    bare = ["eval", str(run.checkpoint(STEPS).path), "--recipe", "quickstart", *words[2:]]
    assert "does not hold" in sdar(*bare, "environment.options.things=12").sentence()


def test_a_base_of_another_engine_is_not_paired_with(sdar: Sdar, run: RunFolder, vllm: FakeVllm) -> None:
    """The run's own evaluations are Hugging Face's, on the same panel under the same conditions."""
    before = {path: path.read_bytes() for path in run.path.glob("evaluations/*.json")}
    words = ["eval", str(run.path), "--no-skills", "--json"]
    first = sdar(*words, "--engine", vllm.url)
    assert first.code == 0, first.err
    said = "the evaluations of moved were played by hf: its base is played too"
    assert said in " ".join(first.err.split())
    made = sorted(set(run.path.glob("evaluations/*-no_skills-*.json")) - before.keys())
    assert [json.loads(path.read_text())["engine"] for path in made] == ["vllm", "vllm"]
    assert {path: path.read_bytes() for path in before} == before, "the run's own files are as they were"
    again = sdar(*words, "--engine", vllm.url)
    assert said not in " ".join(again.err.split()), "the base that vLLM has played is kept"
    assert json.loads(again.out)["report"] == json.loads(first.out)["report"]
    assert sdar(*words).code == 0 and said not in sdar(*words).err


def test_no_server(sdar: Sdar, run: RunFolder) -> None:
    done = sdar("eval", str(run.path), *TASKS, "--engine", "http://127.0.0.1:9")
    assert done.code == 1
    assert "the server http://127.0.0.1:9 does not answer (ConnectError" in done.err.splitlines()[-1]


def test_an_engine_that_is_none(sdar: Sdar, run: RunFolder) -> None:
    assert sdar("eval", str(run.path), "--engine", "vlm").sentence().startswith("--engine is 'vlm', but must be hf")
