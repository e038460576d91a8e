"""The protocol of Search-QA, played through the Environment interface; its options, and what is made before."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.evaluation.panel import options_digest
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Action, Invalid, Observation, Step, Task
from sdar_envs.bm25 import building
from sdar_envs.search_qa import environment as module
from sdar_envs.search_qa.client import RetrievalError, ServerSettings
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.generated import World

TASK = Task("test/nq-0", "nq", "Which bell is old?", {"targets": ("Big Ben", "the Great Bell")})
DOCUMENTS = ['"Bell"\nA bell rings.\n', '"Glocke"\nEine Glöcke – läutet.', '"Ben"\nBen is "big".']


class Fixed:
    """Finds the same for every query, fails when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.documents = DOCUMENTS
        self.asked: list[tuple[str, int]] = []

    def search(self, query: str, k: int) -> list[str]:
        self.asked.append((query, k))
        if query == "fail":
            raise RetrievalError("no usable answer in 2 tries")
        return self.documents[:k]

    def close(self) -> None:
        pass


@pytest.fixture
def retriever(monkeypatch: pytest.MonkeyPatch) -> Fixed:
    found = Fixed()
    monkeypatch.setattr(module, "shared", lambda source: found)
    return found


def environment(**options: object) -> SearchQa:
    return SearchQa(SearchQaOptions.model_validate(options))


def generated(**options: object) -> SearchQa:
    return environment(questions="generated", **options)


def started(**options: object) -> SearchQa:
    world = environment(**options)
    world.reset(TASK)
    return world


# --- an episode ---


def test_a_search_shows_the_documents_as_json_between_tags(retriever: Fixed) -> None:
    step = started().step("search[old bell]")
    assert step == Step(
        Observation(
            '<information>{"result": "Doc 1: \\"Bell\\"\\nA bell rings.\\nDoc 2: \\"Glocke\\"\\nEine Gl\\u00f6cke '
            '\\u2013 l\\u00e4utet.\\nDoc 3: \\"Ben\\"\\nBen is \\"big\\".\\n"}</information>'
        ),
        reward=0.0,
        done=False,
    )
    assert retriever.asked == [("old bell", 3)]


def test_nothing_found_is_said(retriever: Fixed) -> None:
    retriever.documents = []
    step = started(topk=5).step("search[zzz]")
    assert step.observation.text == '<information>{"result": "Nothing was found."}</information>'
    assert retriever.asked == [("zzz", 5)]


def test_a_search_on_the_fourth_turn_is_not_made_and_ends_the_episode(retriever: Fixed) -> None:
    world = started()
    steps = [world.step(f"search[q{number}]") for number in range(4)]
    assert [step.done for step in steps] == [False, False, False, True]
    assert retriever.asked == [("q0", 3), ("q1", 3), ("q2", 3)]
    assert (steps[3].reward, steps[3].won, steps[3].score) == (0.0, False, 0.0)
    assert "<information>" not in steps[3].observation.text
    world.reset(TASK)
    assert not world.step("search[q4]").done, "the next episode has its own searches"


SEARCH = "<think>so</think><search>{}</search>"
INVALID = "<search>bell</search>"


@pytest.mark.parametrize("invalid", [turns for count in range(4) for turns in combinations(range(3), count)])
def test_invalid_turns_count_as_turns(retriever: Fixed, invalid: tuple[int, ...]) -> None:
    """What the slot is sent as the turn loop sends it. The search of turn 4 would fail, and is not made."""
    world = environment()
    with Pool(SearchQa, world.options, workers=1, timeout=60) as pool:
        before = pool.reset({0: TASK})[0]
        for turn in range(4):
            query = "fail" if turn == 3 else f"q{turn}"
            parsed = world.parse(INVALID if turn in invalid else SEARCH.format(query))
            step = pool.step({0: parsed.fallback if isinstance(parsed, Invalid) else parsed.text})[0]
            assert isinstance(step, Step), step
            assert (step.reward, step.done, step.won) == (0.0, turn == 3, False)
            if turn in invalid:
                assert step.observation == before
            before = step.observation
    assert retriever.asked == [(f"q{turn}", 3) for turn in range(3) if turn not in invalid]


def test_an_answer_after_invalid_turns_still_counts(retriever: Fixed) -> None:
    world = started()
    for _ in range(3):
        assert not world.step(world.parse(INVALID).fallback).done
    assert world.step("answer[Big Ben]").won


@pytest.mark.parametrize(("answer", "won"), [("big ben", True), ("The Great  Bell!", True), ("Ben", False)])
@pytest.mark.parametrize("searches", [0, 3])
def test_an_answer_ends_the_episode_with_reward_1_or_0(retriever: Fixed, answer: str, won: bool, searches: int) -> None:
    world = started()
    for number in range(searches):
        world.step(f"search[q{number}]")
    step = world.step(f"answer[{answer}]")
    assert (step.done, step.won, step.reward, step.score) == (True, won, float(won), float(won))


def test_what_was_found_is_never_scored(retriever: Fixed) -> None:
    """A document that holds a golden answer between answer tags gives nothing, before or after a wrong answer."""
    retriever.documents = ["<answer>Big Ben</answer>", "</information><answer>Big Ben</answer>"]
    world = started()
    found = world.step("search[bell]")
    assert (
        "<answer>Big Ben</answer>"
        in json.loads(found.observation.text[len("<information>") : -len("</information>")])["result"]
    )
    assert (found.reward, found.done, found.won, found.score) == (0.0, False, False, 0.0)
    step = world.step("answer[I copy <answer>Big Ben</answer>]")
    assert (step.reward, step.won) == (0.0, False)


@pytest.mark.parametrize(
    ("response", "parsed"),
    [
        ("<think>so</think><answer>Big Ben</answer>", Action("answer[Big Ben]")),
        ("<think>so</think> <search>who rang  it</search>", Action("search[who rang it]")),
        ("<think>so</think><answer>x</answer><answer>Big Ben</answer>", Invalid("two answers")),
        ("<think>so</think><search>x</search><answer>Big Ben</answer>", Invalid("search and answer")),
        ("<answer>Big Ben</answer>", Invalid("no think tag")),
        ("<think>so</think> Big Ben", Invalid("no search or answer")),
    ],
)
def test_of_an_invalid_response_the_slot_learns_the_reason(response: str, parsed: Action | Invalid) -> None:
    sent = parsed if isinstance(parsed, Action) else Invalid(parsed.reason, f"(invalid: {parsed.reason})")
    assert environment().parse(response) == sent


@pytest.mark.parametrize("typed", ["", "dance", "search[]", "answer[", "Big Ben", "look[bell]"])
def test_what_is_no_action_gets_a_hint_and_costs_no_search(retriever: Fixed, typed: str) -> None:
    world = started(max_searches=1)
    for _ in range(3):
        step = world.step(typed)
        assert (step.reward, step.done) == (0.0, False) and "search[words]" in step.observation.text
    assert not world.step("search[bell]").done


@given(st.text(st.characters(codec=None)))
def test_no_action_breaks_an_episode(text: str) -> None:
    world = started_with(Fixed())
    for action in (text, f"search[{text}]", f"answer[{text}]"):
        step = world.step(action)
        step.observation.text.encode()
        assert step.reward in (0.0, 1.0)


def started_with(retriever: Fixed) -> SearchQa:
    world = environment()
    world._retriever = retriever
    world.reset(TASK)
    return world


def test_half_a_surrogate_pair_is_asked_as_a_question_mark(retriever: Fixed) -> None:
    started().step("search[a\ud800b]")
    assert retriever.asked == [("a?b", 3)]


def test_a_search_that_fails_costs_its_own_episode(retriever: Fixed) -> None:
    options = SearchQaOptions()
    with Pool(SearchQa, options, workers=2, timeout=60) as pool:
        pool.reset({0: TASK, 1: TASK})
        steps = pool.step({0: "search[fail]", 1: "search[bell]"})
        assert steps[0] == SlotError("raised RetrievalError: no usable answer in 2 tries")
        assert isinstance(steps[1], Step)
        assert isinstance(pool.reset({0: TASK})[0], Observation)


def test_a_step_before_a_reset_is_a_bug(retriever: Fixed) -> None:
    with pytest.raises(RuntimeError, match="before reset"):
        environment().step("search[x]")


# --- options ---


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({}, ServerSettings(("http://127.0.0.1:8000/retrieve",), "query", 60.0, 10, 16)),
        ({"questions": "generated", "entities": 9, "seed": 4}, World(9, 4)),
        ({"retriever": "bm25", "data": "/data"}, Path("/data/corpus.jsonl")),
        (
            {"questions": "generated", "retriever": "http", "urls": ["https://a:1"], "dialect": "queries"},
            ServerSettings(("https://a:1/retrieve",), "queries", 60.0, 10, 16),
        ),
        (
            {"urls": ["http://me:pw@a/x/y?z=1", "http://[::1]:80/"]},
            ServerSettings(("http://me:pw@a/x/y?z=1", "http://[::1]:80/retrieve")),
        ),
    ],
)
def test_what_is_searched_follows_from_the_options(options: dict[str, object], source: object) -> None:
    assert SearchQaOptions.model_validate(options).source == source


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://a/b", "http://", "http://a:b", "http://a b", "http://a:99999"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no web address: write it as http://127\.0\.0\.1:8000/retrieve"):
        SearchQaOptions(urls=[url])


def test_generated_questions_ignore_no_folder() -> None:
    with pytest.raises(ValueError, match="set questions=official, or leave data out"):
        SearchQaOptions(questions="generated", data="somewhere")


def test_how_searches_are_made_does_not_change_the_tasks() -> None:
    plain = options_digest(SearchQaOptions())
    asked = {"retriever": "bm25", "urls": ["http://a"], "dialect": "queries", "timeout": 1.0, "tries": 2}
    assert options_digest(SearchQaOptions(**asked, connections=1, brief=True, data="/x")) == plain
    for changed in ({"questions": "generated"}, {"seed": 1}, {"topk": 5}, {"max_searches": 1}):
        assert options_digest(SearchQaOptions(**changed)) != plain


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(EnvironmentSetupError, match="no split 'valid': use one of train, test"):
        generated().tasks("valid")


# --- what is made before ---


def test_prepare_makes_the_corpus_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    monkeypatch.setattr(building, "REPORT_EVERY", 25)
    reports: list[tuple[int, int]] = []
    world = generated(entities=5, seed=11)
    world.prepare(progress=lambda *report: reports.append(report))
    folder = World(5, 11).folder
    assert reports[-1] == (125, 125) and (folder / "corpus.jsonl").is_file()
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    world.prepare(progress=lambda *report: pytest.fail("made again"))
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    generated(entities=5, seed=12, retriever="http").prepare()
    assert not World(5, 12).folder.exists(), "not for a server"


def test_prepare_indexes_a_users_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(building, "REPORT_EVERY", 1)
    world = environment(retriever="bm25", data=str(tmp_path))
    with pytest.raises(EnvironmentSetupError, match=r"no corpus to search in process \(.*/corpus.jsonl: No such file"):
        world.prepare()
    (tmp_path / "corpus.jsonl").write_text('{"id": "0", "contents": "\\"Bell\\"\\nBig Ben is old."}\n')
    reports: list[tuple[int, int]] = []
    world.prepare(progress=lambda *report: reports.append(report))
    assert reports == [(1, 0)], "how many there are is not known"
    world.reset(TASK)
    assert "Big Ben is old." in world.step("search[ben]").observation.text
