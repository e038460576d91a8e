"""Wrong skills on purpose: how many, which, told honestly, and never where they cannot be."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdar_cli.errors import SkillError
from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import RETRIEVERS, Outcome, Retrieval, Retriever, SkillBank, make_retriever


def text(task_types: str, keywords: str = "[]") -> str:
    return f"---\ndescription: d\ntask_types: {task_types}\nkeywords: {keywords}\n---\nbody of {keywords}\n"


TYPES = ("clean", "cool", "heat", "look", "pair", "place")
BANK = SkillBank.from_texts({"always": text("[]")} | {name: text(f"[{name}]", f"[{name}, mug]") for name in TYPES})
DOUBLE = SkillBank.from_texts(
    {"always": text("[]"), "a1": text("[a]"), "a2": text("[a]"), "b": text("[b]"), "c": text("[c, b]")}
)


def corrupted(share: float, kind: str = "task_type", bank: SkillBank = BANK, seed: int = 0, **section) -> Retriever:
    return make_retriever(bank, Skills(retrieval=kind, corrupt=share, **section), seed)


def test_all_are_replaced_at_1_and_it_is_said() -> None:
    found = corrupted(1.0).retrieve("clean", "", "task")
    always, wrong = found.names
    assert always == "always"
    assert wrong in TYPES
    assert wrong != "clean"
    assert found.reasons == {"always": "general", wrong: "wrong on purpose, in place of clean"}
    assert found.corrupted == 1
    assert not found.has_task_skill


@pytest.mark.parametrize("kind", list(RETRIEVERS))
def test_0_is_the_identity(kind: str) -> None:
    plain = corrupted(0.0, kind)
    assert type(plain) is RETRIEVERS[kind]
    assert plain.clean() is plain


@given(
    st.floats(0, 1, exclude_min=True),
    st.sampled_from(["task_type", "keyword", "random", "ucb"]),
    st.sampled_from([*TYPES, "unknown", ""]),
    st.sampled_from(["heat the mug", "cool, clean, look", "", "pair"]),
    st.text(max_size=8),
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
)
def test_what_is_shown_and_said(
    share: float, kind: str, task_type: str, sentence: str, key: str, seed: int, top_k: int
) -> None:
    retriever = corrupted(share, kind, seed=seed, top_k=top_k)
    found = retriever.retrieve(task_type, sentence, key)
    assert (
        found
        == retriever.retrieve(task_type, sentence, key)
        == corrupted(share, kind, seed=seed, top_k=top_k).retrieve(task_type, sentence, key)
    )
    before = retriever.clean().retrieve(task_type, sentence, key)
    wrong = {name for name, reason in found.reasons.items() if reason.startswith("wrong on purpose")}
    assert set(found.reasons) == set(found.names) == {skill.name for skill in found.skills}
    assert len(set(found.names)) == len(found.names)
    assert not wrong & set(before.names)
    assert wrong.isdisjoint({task_type, "always"})
    replaced = set(before.names) - set(found.names)
    assert found.corrupted == len(replaced)
    assert "always" in found.names
    for name in wrong:
        assert set(found.reasons[name].removeprefix("wrong on purpose, in place of ").split(", ")) <= replaced
    kept = set(found.names) - wrong - {"always"}
    assert found.has_task_skill == (bool(kept) if not task_type else task_type in kept)
    assert {name: found.reasons[name] for name in kept} == {name: before.reasons[name] for name in kept}


def test_two_replaced_skills_get_two_wrong_ones() -> None:
    found = corrupted(1.0, bank=DOUBLE).retrieve("a", "", "t")
    assert sorted(found.names) == ["always", "b", "c"]
    assert found.corrupted == 2


def test_too_few_wrong_ones_are_shared() -> None:
    bank = SkillBank.from_texts({"a1": text("[a]"), "a2": text("[a]"), "b": text("[b]")})
    found = corrupted(1.0, bank=bank).retrieve("a", "", "t")
    assert found.names == ("b",)
    assert found.reasons["b"] == "wrong on purpose, in place of a1, a2"
    assert found.corrupted == 2


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_binomial_and_the_draw_even(share: float) -> None:
    retriever, tries = corrupted(share, seed=3), 4000
    found = [retriever.retrieve("clean", "", f"task-{i}") for i in range(tries)]
    count = sum(retrieval.corrupted for retrieval in found)
    deviation = math.sqrt(tries * share * (1 - share))
    assert abs(count - tries * share) < 4 * deviation
    drawn = Counter(name for retrieval in found for name in retrieval.names if name not in ("always", "clean"))
    assert set(drawn) == set(TYPES) - {"clean"}
    expected = count / 5
    assert sum((n - expected) ** 2 / expected for n in drawn.values()) < 23.5, "chi-square, 4 degrees, p = 1e-4"


def test_skills_are_replaced_independently() -> None:
    retriever, tries = corrupted(0.5, "keyword", top_k=2), 2000
    both = Counter(retriever.retrieve("heat", "heat and cool", f"task-{i}").corrupted for i in range(tries))
    for count, chance in ((0, 0.25), (1, 0.5), (2, 0.25)):
        assert abs(both[count] - tries * chance) < 4 * math.sqrt(tries * chance * (1 - chance))


def test_seed_and_task_decide() -> None:
    def drawn(seed: int, step: int) -> list[tuple[str, ...]]:
        retriever = corrupted(0.5, seed=seed)
        return [retriever.retrieve("clean", "", f"task-{i}").names for i in range(0, 64, step)]

    assert drawn(0, 1)[::2] == drawn(0, 2), "what came before is without weight"
    assert drawn(0, 1) != drawn(1, 1)


def test_more_corruption_replaces_no_less() -> None:
    some, more = corrupted(0.3), corrupted(0.6)
    for i in range(200):
        assert some.retrieve("clean", "", f"{i}").corrupted <= more.retrieve("clean", "", f"{i}").corrupted, (
            "the same draw, another border"
        )


def test_clean_shares_the_bandit() -> None:
    retriever = corrupted(1.0, "ucb", top_k=1)
    clean = retriever.clean()
    assert clean.retrieve("heat", "heat", "t").names == ("always", "heat")
    shown = retriever.retrieve("heat", "heat", "t").names
    retriever.observe([Outcome(shown, 0.0)])
    assert clean.state() == retriever.state()
    assert clean.state()["skills"][shown[1]]["groups"] == 1, "credit goes to what was shown"
    assert clean.state()["skills"]["heat"]["groups"] == 0
    assert clean.metrics() == retriever.metrics() != {}
    again = corrupted(1.0, "ucb", top_k=1)
    again.load_state(retriever.state())
    assert again.clean().state() == clean.state()


def test_state_is_that_of_the_rule() -> None:
    assert corrupted(0.5).state() == corrupted(0.0).state()
    assert corrupted(0.5).kind == "task_type"


ONE_TYPE = SkillBank.from_texts({"a1": text("[a]"), "a2": text("[a]")}, name="one")
GENERAL = SkillBank.from_texts({"always": text("[]")}, name="general")
PAIR = SkillBank.from_texts({"a": text("[a]"), "b": text("[b]")}, name="pair")


@pytest.mark.parametrize(
    ("kind", "bank", "top_k", "said"),
    [
        ("none", BANK, 3, r"nothing to replace under skills\.retrieval=none: set it to 0"),
        ("full", BANK, 3, r"no other skill to draw under skills\.retrieval=full"),
        ("task_type", ONE_TYPE, 3, r"no wrong skill to draw for 'a', which every task skill of the bank 'one' is for"),
        ("task_type", GENERAL, 3, r"the bank 'general' has general skills only"),
        ("ucb", BANK, 5, r"left for 'clean', as skills\.top_k is 5 and .* has 5 for other.*: set skills\.top_k to 4"),
        ("keyword", DOUBLE, 2, r"left for 'a', as skills\.top_k is 2 .*: set skills\.top_k to 1"),
        ("random", PAIR, 1, r"has 1 for other task types: add skills for other task types"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(kind: str, bank: SkillBank, top_k: int, said: str) -> None:
    with pytest.raises(SkillError, match=said):
        corrupted(0.5, kind, bank, top_k=top_k)


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=3),
        st.lists(st.sampled_from("xyz"), max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["task_type", "keyword", "random", "ucb"]),
    st.integers(1, 3),
)
def test_what_is_accepted_never_fails(skills: dict[str, list[str]], kind: str, top_k: int) -> None:
    bank = SkillBank.from_texts({name: text(f"[{', '.join(types)}]", "[mug]") for name, types in skills.items()})
    try:
        retriever = corrupted(1.0, kind, bank, top_k=top_k)
    except SkillError:
        return
    for task_type in (*"xyz", "w", ""):
        found: Retrieval = retriever.retrieve(task_type, "mug", "t")
        before = retriever.clean().retrieve(task_type, "mug", "t")
        assert found.corrupted == sum(not skill.general for skill in before.skills)
        assert not found.has_task_skill
