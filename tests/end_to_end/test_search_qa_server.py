"""``sdar eval`` on questions whose documents come from a server: the real one, a bad one, and none.

The model follows a script: it searches as the expert does, and answers only with what it has read. So every
question is won whose searches were answered well, and no other.
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path

import pytest
from scripted_model import Script, save_scripted
from short_sdar import Done, Sdar

sys.path += [str(Path(__file__).parents[1] / name) for name in ("envs", "retriever")]

from retriever_toys import running
from search_qa_server import Mood, good, serving

from sdar_cli.cli.main import main
from sdar_cli.models.word_tokenizer import build_tokenizer
from sdar_envs.base import Task
from sdar_envs.search_qa.corpus import Corpus
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.generated import World, open_generated
from sdar_envs.search_qa.world import pages

TASKS = 32
WORLD = ("environment.options.entities=6", "environment.options.seed=5", "environment.options.train=8")
PANEL = ("--tasks", str(TASKS), f"environment.options.test={TASKS}")
TRIES = 3


@pytest.fixture(scope="module")
def world() -> SearchQa:
    return SearchQa(SearchQaOptions(questions="generated", brief=True, entities=6, seed=5, test=TASKS))


@pytest.fixture(scope="module")
def model(world: SearchQa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a search its prompt must end with the page that was searched for: the best document stands last."""
    texts = dict(pages(6, 5))
    scripts = []
    for task in world.tasks("test"):
        read = [task.goal, *(f"{texts[name]}<|im_end|>" for name in task.data["searches"])]
        responses = map(world.format_response, world.expert(task) or ())
        scripts.append(Script(task.goal, list(zip(responses, read, strict=True))))
    return save_scripted(
        tmp_path_factory.mktemp("scripted") / "model",
        build_tokenizer(world.vocabulary()),
        scripts,
        searched="search:",
        otherwise=world.format_response("answer[nothing]"),
    )


def words(model: Path, *changes: str) -> list[str]:
    return [
        *("eval", str(model), "--recipe", "search-qa-tiny", "--no-skills", "--json"),
        *("model.trust_remote_code=true", "tracking.traces=0", "environment.workers=16", *WORLD, *PANEL, *changes),
    ]


def http(url: str, *changes: str) -> list[str]:
    return ["environment.options.retriever=http", f"environment.options.urls=[{url}]", *changes]


def summary(done: Done) -> dict:
    assert done.code == 0, done.err
    return done.json["report"]["evaluation"]


def test_a_real_server_finds_what_the_index_in_process_does(sdar: Sdar, model: Path, tmp_path: Path) -> None:
    """In either dialect, over the corpus that the command exports; and every question is won."""
    file = tmp_path / "corpus.jsonl"
    world = ("--entities", "6", "--seed", "5", "--train", "8", "--test", str(TASKS))
    assert main(["data", "search-qa", "--export", str(file), *world]) == 0
    own = summary(sdar(*words(model)))
    assert (own["episodes"], own["solved"], own["stops"]) == (TASKS, TASKS, {"success": TASKS})
    assert set(own["by_type"]) == {"one_hop", "two_hop", "three_hop", "comparison"}
    with running("--corpus", str(file)) as server:
        for dialect in ("query", "queries"):
            served = sdar(*words(model, *http(server.url, f"environment.options.dialect={dialect}")))
            assert summary(served) == own, dialect


@pytest.fixture
def corpus() -> Iterator[Corpus]:
    corpus = open_generated(World(6, 5))
    yield corpus
    corpus.close()


def outcome(task: Task, dead: Container[str], lies: Container[str]) -> str:
    """How the script's episode ends, search by search."""
    for name in task.data["searches"]:
        if name in dead:
            return "environment_error"
        if name in lies:
            return "failure"
    return "success"


def test_a_bad_server_costs_tries_and_single_episodes_never_the_run(
    sdar: Sdar, model: Path, corpus: Corpus, world: SearchQa
) -> None:
    """Some names fail once, in every way that there is; some always; some are answered with other documents."""
    tasks = world.tasks("test")
    names = list(dict.fromkeys(name for task in tasks for name in task.data["searches"]))
    ways: tuple[Mood, ...] = (500, "drop", b"<html>", "half", 503, good("x")[:-4], b'{"result": {}}')
    dead = {name: ways[place % len(ways)] for place, name in enumerate(names[::9])}
    lies = set(names[4::9])
    flaky = {name: ways[place % len(ways)] for place, name in enumerate(names) if place % 9 not in (0, 4, 8)}
    flaky[names[1]] = "hang"

    def mood(query: str, before: int) -> Mood:
        if query in lies:
            return good('"Nobody"\nNobody knows.')
        return dead.get(query) or (flaky.get(query) if before == 0 else None)

    with serving(lambda query: corpus.search(query, 3), mood) as server:
        server.plan.append(503)  # the client's own first request, which may fail
        limits = (f"environment.options.tries={TRIES}", "environment.options.timeout=3")
        found = summary(sdar(*words(model, *http(server.url, *limits))))

    expected = Counter(outcome(task, dead, lies) for task in tasks)
    assert min(expected.values()) >= 3 and len(expected) == 3, "the case is of use"
    assert found["stops"] == expected
    assert (found["solved"], found["environment_errors"]) == (expected["success"], expected["environment_error"])
    assert {frozenset(body) for body in server.seen} == {frozenset({"query", "topk", "return_scores", "path"})}
    asked = server.asked
    assert any(asked[name] for name in dead) and all(asked[name] % TRIES == 0 for name in dead), "all tries, no more"
    again = [asked[name] for name in flaky if asked[name]]
    assert len(again) > len(ways) and min(again) >= 2, "each was tried again"


@pytest.mark.parametrize("command", ["eval", "train"])
def test_no_server_is_one_sentence_before_anything_begins(
    command: str, sdar: Sdar, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sdar_cli.models.load.load_model", None)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        training = ("train", "--recipe", "search-qa-tiny", "--runs", str(tmp_path / "runs"), *http(url))
        done = sdar(*(words(model, *http(url)) if command == "eval" else training))
    assert not (tmp_path / "runs").exists()
    assert done.sentence() == (
        f"no retrieval server answers at {url}/retrieve: start one with `sdar retriever serve`, name others in "
        "environment.options.urls, or set environment.options.retriever=bm25"
    )
