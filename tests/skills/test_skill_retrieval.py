"""What each rule retrieves, in which order, and what it says about it."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from sdar_cli.errors import SkillError
from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import RETRIEVERS, Retrieval, SkillBank, make_retriever


def text(task_types: str, keywords: str = "[]") -> str:
    return f"---\ndescription: d\ntask_types: {task_types}\nkeywords: {keywords}\n---\nbody\n"


BANK = SkillBank.from_texts(
    {
        "always": text("[]", "[put]"),
        "cool": text("[cool]", "[cool, chill]"),
        "hat": text("[dress]", "[hat]"),
        "heat": text("[heat, cook]", "[heat, warm up, mug]"),
        "mug": text("[cook]", "[mug]"),
    }
)


def retrieve(kind: str, task_type: str = "", sentence: str = "", key: str = "t", seed: int = 0, **section) -> Retrieval:
    return make_retriever(BANK, Skills(retrieval=kind, **section), seed).retrieve(task_type, sentence, key)


def test_every_rule_of_the_schema_is_registered() -> None:
    assert set(RETRIEVERS) == set(get_args(Skills.model_fields["retrieval"].annotation))


def test_task_type_is_exact() -> None:
    found = retrieve("task_type", "cook")
    assert found.names == ("always", "heat", "mug")
    assert found.reasons == {"always": "general", "heat": "task type cook", "mug": "task type cook"}
    assert found.has_task_skill
    assert retrieve("task_type", "Cook").names == ("always",)


def test_unmatched_task_type_has_general_skills_only_and_says_so() -> None:
    found = retrieve("task_type", "paint")
    assert found.names == ("always",)
    assert not found.has_task_skill


def test_unlabelled_task_does_not_match_general_skills_by_type() -> None:
    assert retrieve("task_type", "").names == ("always",)
    assert not retrieve("task_type", "").has_task_skill


def test_keyword_is_whole_words_and_best_first() -> None:
    found = retrieve("keyword", "cook", "Warm up that MUG")
    assert found.names == ("always", "heat", "mug")
    assert found.reasons["heat"] == "keyword warm up, mug"
    assert "hat" not in found.names
    assert retrieve("keyword", "cook", "warm up the mug", top_k=1).names == ("always", "heat")


def test_keyword_of_another_type_is_no_task_skill() -> None:
    assert not retrieve("keyword", "paint", "a mug").has_task_skill
    assert retrieve("keyword", "", "a mug").has_task_skill
    assert not retrieve("keyword", "cook", "nothing here").has_task_skill


def test_full_is_the_bank() -> None:
    assert retrieve("full", "cook").names == ("always", "cool", "hat", "heat", "mug")
    assert not retrieve("full", "paint").has_task_skill


def test_general_skills_can_stay_away() -> None:
    assert retrieve("task_type", "cool", general=False).names == ("cool",)
    assert retrieve("full", general=False).names == ("cool", "hat", "heat", "mug")


def test_none_is_nothing() -> None:
    assert retrieve("none", "cook", "mug") == Retrieval()


def test_random_depends_on_seed_and_key_alone() -> None:
    one = make_retriever(BANK, Skills(retrieval="random", top_k=2), seed=3)
    first = [one.retrieve("cook", "", f"task-{i}").names for i in range(200)]
    again = make_retriever(BANK, Skills(retrieval="random", top_k=2), seed=3)
    backwards = [again.retrieve("heat", "other", f"task-{i}").names for i in reversed(range(200))]
    assert first == backwards[::-1]
    other = [retrieve("random", key=f"task-{i}", seed=4, top_k=2).names for i in range(200)]
    assert first != other
    counts = Counter(name for names in first for name in names if name != "always")
    assert set(counts) == {"cool", "hat", "heat", "mug"}
    assert all(60 < count < 140 for count in counts.values()), counts
    assert all(names[0] == "always" and len(set(names)) == 3 for names in first)


def test_random_takes_what_there_is() -> None:
    assert len(retrieve("random", top_k=50).names) == 5


def test_state_of_another_bank_or_rule_is_refused() -> None:
    retriever = make_retriever(BANK, Skills(), 0)
    retriever.load_state(retriever.state())
    other = make_retriever(SkillBank.from_texts({"a": text("[]")}), Skills(), 0)
    with pytest.raises(SkillError, match="restore the bank"):
        retriever.load_state(other.state())
    with pytest.raises(SkillError, match="retrieval is 'full'"):
        retriever.load_state(make_retriever(BANK, Skills(retrieval="full"), 0).state())
    with pytest.raises(SkillError, match="retrieval is None"):
        retriever.load_state({})
