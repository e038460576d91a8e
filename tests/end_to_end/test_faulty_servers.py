"""Trainings whose servers are down, slow, broken or something else for a while: the retriever's, and vLLM's."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from short_sdar import SHORT, STEPS, Sdar, Trained, steps_of

from sdar_cli.runs.store import RunFolder
from sdar_envs.search_qa import client

sys.path += [str(Path(__file__).parents[1] / name) for name in ("envs", "engines")]

from fake_vllm import FakeVllm
from rude_server import completion, reply
from search_qa_server import Mood, good, serving

pytestmark = pytest.mark.long

SEARCHING = """
import zlib

from sdar_envs.base import Action
from sdar_envs.search_qa.environment import SearchQa


class Searching(SearchQa):
    name = "searching"

    def parse(self, response):
        return Action(f"search[name {zlib.crc32(response.encode()) % 60}]")  # so that any policy asks its server
"""
WAYS: tuple[Mood, ...] = (500, "drop", b"<html>", "half", 503, 429, good("x")[:-4], b'{"result": {}}')


def mood(query: str, before: int) -> Mood:
    """Of ten names two are never found, seven fail once, in every way that there is, and one has strange contents."""
    number = zlib.crc32(query.encode())
    if number % 10 == 9:
        return good("a \ud800 b", "\udfff" * 50, "x" * 100_000)
    if number % 30 == 2:
        return None if before else "hang"
    return WAYS[number % len(WAYS)] if number % 10 < 2 or (before == 0 and query != "retrieval") else None


def test_a_training_goes_on_with_a_bad_retriever(sdar: Sdar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for good are episodes, which are flagged; what fails once costs a try."""
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    file = tmp_path / "searching.py"
    file.write_text(SEARCHING, encoding="utf-8")
    with serving(lambda query: ["about it"] * 3, mood) as server:
        words = (
            *("train", "--recipe", "search-qa-tiny", f"environment.name={file}:Searching", "--name", "searched"),
            *("environment.options.questions=generated", "environment.options.brief=true"),
            *("environment.options.entities=6", "environment.options.train=8", "environment.options.test=8"),
            *("environment.options.retriever=http", f"environment.options.urls=[{server.url}]"),
            *("environment.options.tries=2", "environment.options.timeout=1", "environment.workers=8"),
            *("warmup.demonstrations=8", "warmup.epochs=1.0", "warmup.required_success=0", "model.tiny.layers=1"),
            *("train.steps=3", "train.checkpoint_every=3", "rollout.tasks=3", "rollout.group=3", "evaluation.tasks=2"),
            *("guards.lost_episodes=null", "tracking.traces=0", "tracking.system_metrics=false"),
        )
        done = sdar(*words)
        asked = dict(server.asked)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    run = RunFolder.open(sdar.root / "searched")
    report = json.loads((run.path / "evaluations" / "report.json").read_text(encoding="utf-8"))
    flagged = report["flagged"]["training"]
    assert 0 < flagged["episodes"] < flagged["of"] == 27 and flagged["reasons"] == {"raised": flagged["episodes"]}
    dead = [query for query in asked if zlib.crc32(query.encode()) % 10 < 2]
    assert dead and all(asked[query] % 2 == 0 for query in dead), "each is tried twice"
    assert any(zlib.crc32(query.encode()) % 10 == 9 for query in asked), "documents that no tokenizer takes were found"
    assert steps_of(run)[-1]["optim/rows"] > 0


STRANGE = (
    reply(b'{"choices": [{"token_ids": [3', length=None),
    reply(b'{"choices": [', length=4000),
    reply(b"<html>Sign in</html>"),
    reply(b"<html>Forbidden</html>", status="403 Forbidden"),
    reply(b'{"a":' * 50_000),
    reply(b'{"error": {"message": "busy"}}', status="500 Internal Server Error"),
    completion([10**6, 2]),
    completion([3] * 500, [-1.0] * 500),
    completion([3, 2], [-1.0, None]),
    b"",
)
BY_VLLM = (
    *("train.steps=2", "train.checkpoint_every=2", "rollout.group=2", "evaluation.every=0", "evaluation.tasks=2"),
    *("engine.kind=vllm", "engine.mode=server", "engine.patience=60", "engine.request_timeout=30"),
)


@pytest.fixture
def vllm(trained: Trained) -> Iterator[FakeVllm]:
    with FakeVllm(trained.run.checkpoint(STEPS).path) as server:
        yield server


def test_strange_answers_of_vllm_change_nothing(sdar: Sdar, vllm: FakeVllm) -> None:
    """Once it has answered, half a response or a proxy's page is a server that is gone: it gets its weights again,
    the requests are made again with their own seeds, and the training is that of a good server."""
    where = f"engine.server_url={vllm.url}"
    quiet = sdar.train("served", "--init-from", "first", *BY_VLLM, where)
    left, count = list(STRANGE), 0

    def instead(path: str) -> bytes | None:
        nonlocal count
        count += path == "/v1/completions"
        return left.pop() if left and path == "/v1/completions" and count % 3 == 0 else None

    vllm.instead = instead
    done = sdar(
        *("train", "--recipe", "quickstart", *SHORT, "--init-from", "first", *BY_VLLM, where, "--name", "disturbed")
    )
    assert done.code == 0 and "Traceback" not in done.err, done.err
    assert left == [], "each was given"
    assert f"the vLLM server {vllm.url} is gone (" in done.err and "its requests are made again" in done.err
    disturbed = RunFolder.open(sdar.root / "disturbed")
    for one, other in zip(steps_of(quiet), steps_of(disturbed), strict=True):
        names = [name for name in one if not name.startswith("time/")]
        assert {name: one[name] for name in names} == {name: other[name] for name in names}
