"""The bandit: its formula against an independent reference, what it learns, and its state."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import SkillError
from sdar_cli.recipe.schema import Skills, Ucb
from sdar_cli.skills import Outcome, SkillBank, make_retriever
from sdar_cli.skills.similarity import Similarity
from sdar_cli.skills.ucb import UcbRetriever


def text(task_types: str, body: str = "body", keywords: str = "[]", description: str = "d") -> str:
    return f"---\ndescription: {description}\ntask_types: {task_types}\nkeywords: {keywords}\n---\n{body}\n"


BANK = SkillBank.from_texts(
    {
        "always": text("[]", "Look around."),
        "bad": text("[wash]", "Wash the mug in the oven, mug, mug."),
        "good": text("[wash]", "Wash the mug in the sink and then carry it on to where it belongs."),
        "other": text("[cook]", "Boil an egg."),
    }
)
NAMES = ("bad", "good", "other")


def bandit(bank: SkillBank = BANK, **section) -> UcbRetriever:
    retriever = make_retriever(bank, Skills(retrieval="ucb", **section), seed=0)
    assert isinstance(retriever, UcbRetriever)
    return retriever


def order(retriever: UcbRetriever, sentence: str = "wash the mug", task_type: str = "wash") -> list[str]:
    return [item.skill.name for item in retriever.rank(task_type, sentence)]


class Reference:
    """The rule again, from its formula and a plain history."""

    def __init__(self, history: Sequence[Outcome], knobs: Ucb) -> None:
        self.history, self.knobs = history, knobs

    def score(self, name: str, similarity: float) -> float:
        shown = [outcome.success for outcome in self.history if name in outcome.skills]
        utility = 0.5
        for success in shown:
            utility = (1 - self.knobs.rate) * utility + self.knobs.rate * success
        bound = self.knobs.kappa * math.sqrt(math.log(1 + len(self.history)) / (1 + len(shown)))
        return self.knobs.alpha * similarity + (1 - self.knobs.alpha) * (utility + bound)


share = st.floats(0, 1)
outcomes = st.lists(
    st.builds(Outcome, st.lists(st.sampled_from(("always", *NAMES)), max_size=4).map(tuple), share), max_size=30
)
sentences = st.one_of(st.text(max_size=40), st.sampled_from(["wash the mug", "boil an egg in the sink", ""]))


@given(outcomes, st.builds(Ucb, alpha=share, kappa=st.floats(0, 5), rate=share), sentences, st.integers(1, 4))
def test_scores_are_the_formula(history: list[Outcome], knobs: Ucb, sentence: str, top_k: int) -> None:
    retriever = bandit(ucb=knobs, top_k=top_k)
    retriever.observe(history)
    reference = Reference(history, knobs)
    texts = [f"{s.name} {s.description} {' '.join(s.keywords)} {s.body}" for s in BANK.skills if not s.general]
    similar = dict(zip(NAMES, Similarity(texts).to(sentence + " wash"), strict=True))
    ranked = retriever.rank("wash", sentence)
    for item in ranked:
        name = item.skill.name
        assert item.similarity == pytest.approx(similar[name], rel=1e-12)
        assert item.score == pytest.approx(reference.score(name, similar[name]), rel=1e-9, abs=1e-12)
        assert item.groups == sum(name in outcome.skills for outcome in history)
    scores = [item.score for item in ranked]
    assert scores == sorted(scores, reverse=True)
    found = retriever.retrieve("wash", sentence, "task")
    assert found.names == ("always", *[item.skill.name for item in ranked[:top_k]])


def test_at_the_start_similarity_decides_and_ties_go_by_the_bank() -> None:
    assert order(bandit()) == ["bad", "good", "other"]
    assert order(bandit(), "boil an egg", "cook") == ["other", "bad", "good"]
    assert order(bandit(), "nothing known", "") == ["bad", "good", "other"]
    assert [item.similarity for item in bandit().rank("", "nothing known")] == [0.0] * 3


def test_words_of_the_task_type_and_the_keywords_count() -> None:
    bank = SkillBank.from_texts({"a": text("[x]", "body"), "b": text("[y]", "body", "[rinse]")})
    assert order(bandit(bank), "", "please_rinse_it") == ["b", "a"]
    assert bandit(bank).rank("", "Rinse!")[0].similarity == 1.0


def test_reason_gives_the_parts() -> None:
    retriever = bandit(top_k=1)
    retriever.observe([Outcome(("good",), 1.0), Outcome(("bad",), 0.0)])
    found = retriever.retrieve("cook", "boil an egg", "t")
    assert found.reasons["other"] == "ucb 1.219 (similarity 1.00, utility 0.50, bonus 1.05, n 0)"
    assert found.has_task_skill
    assert not retriever.retrieve("paint", "boil an egg", "t").has_task_skill


def test_only_observe_changes_what_is_retrieved() -> None:
    retriever = bandit(top_k=1)
    before = retriever.state()
    assert len({retriever.retrieve("wash", "wash the mug", f"task-{i}").names for i in range(50)}) == 1
    assert retriever.state() == before
    retriever.observe([])
    assert retriever.state() == before
    retriever.observe([Outcome(("always",), 0.5)])
    assert retriever.state()["groups"] == 1
    assert retriever.state()["skills"] == before["skills"]


def test_similar_but_bad_loses_to_good() -> None:
    """One skill a group; a group that was shown `good` solves 90 %, any other 10 %."""
    draws = random.Random(1)
    retriever = bandit(top_k=1)
    shown = []
    for _ in range(60):
        (name,) = (n for n in retriever.retrieve("wash", "wash the mug", "t").names if n != "always")
        shown.append(name)
        chance = 0.9 if name == "good" else 0.1
        retriever.observe([Outcome(("always", name), sum(draws.random() < chance for _ in range(8)) / 8)])
    assert shown[0] == "bad"
    assert shown[-20:].count("good") >= 15
    utilities = {name: arm["utility"] for name, arm in retriever.state()["skills"].items()}
    assert utilities["good"] > 0.7 > 0.3 > utilities["bad"]


def test_without_exploration_or_utility_the_similar_one_stays() -> None:
    retriever = bandit(top_k=1, ucb=Ucb(alpha=1.0))
    retriever.observe([Outcome(("bad",), 0.0)] * 50)
    assert order(retriever)[0] == "bad"


def test_bonus_brings_back_what_was_never_shown() -> None:
    retriever = bandit(top_k=2)
    retriever.observe([Outcome(("bad", "good"), 1.0)] * 400)
    assert order(retriever)[0] == "other"


@given(outcomes, outcomes)
def test_state_round_trip_gives_the_same_future(past: list[Outcome], future: list[Outcome]) -> None:
    one = bandit(top_k=2)
    one.observe(past)
    other = bandit(top_k=2)
    other.load_state(json.loads(json.dumps(one.state(), allow_nan=False)))
    assert other.state() == one.state()
    for step, outcome in enumerate(future):
        assert one.retrieve("wash", "mug", f"{step}") == other.retrieve("wash", "mug", f"{step}")
        for retriever in (one, other):
            retriever.observe([outcome])
    assert one.metrics() == other.metrics()


@given(outcomes)
def test_a_rollout_at_once_is_its_groups_in_order(history: list[Outcome]) -> None:
    whole, parts = bandit(), bandit()
    whole.observe(history)
    for outcome in history:
        parts.observe([outcome])
    assert whole.state() == parts.state()


@given(outcomes)
def test_metrics_are_stable_and_in_range(history: list[Outcome]) -> None:
    retriever = bandit()
    retriever.observe(history)
    metrics = retriever.metrics()
    if any(set(outcome.skills) & set(NAMES) for outcome in history):
        assert set(metrics) == {"skills/ucb/entropy", "skills/ucb/utility_mean"}
        assert all(0.0 <= value <= 1.0 + 1e-12 for value in metrics.values())
    else:
        assert metrics == {}


def test_entropy_is_1_when_even_and_0_for_one_skill() -> None:
    retriever = bandit()
    retriever.observe([Outcome(("bad",), 1.0)])
    assert retriever.metrics()["skills/ucb/entropy"] == 0.0
    retriever.observe([Outcome(("good", "other"), 1.0)])
    assert retriever.metrics()["skills/ucb/entropy"] == pytest.approx(1.0)
    alone = bandit(SkillBank.from_texts({"a": text("[x]")}))
    alone.observe([Outcome(("a",), 1.0)])
    assert alone.metrics()["skills/ucb/entropy"] == 0.0


@pytest.mark.parametrize("success", [-0.01, 1.01, float("nan"), float("inf")])
def test_success_is_a_share(success: float) -> None:
    with pytest.raises(ValueError, match="not a share"):
        Outcome(("good",), success)


def test_a_skill_of_another_bank_is_refused_and_nothing_counted() -> None:
    retriever = bandit()
    before = retriever.state()
    with pytest.raises(SkillError, match="'stranger', which the bank 'generated' does not hold: restore the bank"):
        retriever.observe([Outcome(("good",), 1.0), Outcome(("stranger",), 1.0)])
    assert retriever.state() == before


def broken(**changes) -> dict:
    state = bandit().state()
    state["groups"] = 3
    for name, value in changes.items():
        if name == "groups":
            state["groups"] = value
        else:
            state["skills"] = {**state["skills"], name: value}
    return state


@pytest.mark.parametrize(
    "state",
    [
        broken(groups=-1),
        broken(groups=True),
        broken(groups=None),
        broken(good={"utility": 0.5, "groups": 4}),
        broken(good={"utility": 1.5, "groups": 1}),
        broken(good={"utility": float("nan"), "groups": 1}),
        broken(good={"utility": True, "groups": 1}),
        broken(good={"utility": 0.5, "groups": 1.5}),
        broken(good={"utility": 0.5}),
        broken(good=None),
        broken(stranger={"utility": 0.5, "groups": 1}),
        {**broken(), "skills": []},
        {key: value for key, value in broken().items() if key != "skills"},
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(state: dict) -> None:
    retriever = bandit()
    before = retriever.state()
    with pytest.raises(SkillError, match="no state of ucb: resume from an earlier checkpoint"):
        retriever.load_state(state)
    assert retriever.state() == before


def test_a_bank_without_task_skills_retrieves_the_general_ones() -> None:
    retriever = bandit(SkillBank.from_texts({"always": text("[]")}))
    assert retriever.retrieve("wash", "wash the mug", "t").names == ("always",)
    retriever.observe([Outcome(("always",), 1.0)])
    assert retriever.metrics() == {}


names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)
bodies = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp"), exclude_characters="<[", max_codepoint=0xDFFFF),
    min_size=1,
    max_size=80,
).filter(str.strip)


@given(st.dictionaries(names, bodies, min_size=1, max_size=8), st.text(max_size=60), st.integers(1, 9))
def test_wild_banks_give_top_k_in_a_fixed_order(texts: dict[str, str], sentence: str, top_k: int) -> None:
    bank = SkillBank.from_texts({name: text("[x]", f"see {body}", description="d") for name, body in texts.items()})
    found = bandit(bank, top_k=top_k).retrieve("x", sentence, "t")
    assert len(found.names) == min(top_k, len(texts))
    assert found == bandit(bank, top_k=top_k).retrieve("x", sentence, "another")
    assert all(math.isfinite(item.score) for item in bandit(bank).rank("x", sentence))
