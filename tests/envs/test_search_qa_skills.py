"""The bank of Search-QA: a general skill and one for each of four types, each retrieved when it should be."""

from __future__ import annotations

import pytest

from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import Retrieval, SkillBank, make_retriever, render_block
from sdar_envs.search_qa import official
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.questions import TYPES

WANTED = {
    "one_hop": {"direct"},
    "two_hop": {"bridge"},
    "three_hop": {"chain"},
    "comparison": {"comparison"},
    "nq": {"direct"},
    "triviaqa": {"direct"},
    "popqa": {"direct"},
    "hotpotqa": {"bridge", "comparison"},
    "2wikimultihopqa": {"bridge", "comparison"},
    "musique": {"chain"},
    "bamboogle": {"bridge"},
}
"""Task type → its skills: two where a data set has questions of two kinds."""

ASKED = {
    "direct": [
        "who was the first person to row across the lake",
        "when did the old bridge open to traffic",
        "how many bells hang in the tower",
        "What is the occupation of Ann Lee?",
    ],
    "bridge": [
        "Who is the spouse of the director of The Quiet River?",
        "What is the birthplace of the founder of the Marsh Mill?",
        "The actor whose brother rowed across the lake was born in which town?",
    ],
    "chain": [
        "What is the population of the country where the birthplace of the author of Amber lies?",
        "Who governed the place where the person who built the Marsh Mill was buried?",
    ],
    "comparison": [
        "Which bell is older, Big Ben or the Great Bell?",
        "Who has more bells, Ann Lee or Bo Rye?",
        "Who lived first, Ann Lee or Bo Rye?",
        "Are the Quiet River and the Marsh both in the same country?",
    ],
}
"""Questions in the manner of the data sets, in our own words."""


def environment(**options: object) -> SearchQa:
    return SearchQa(SearchQaOptions.model_validate({"questions": "generated", **options}))


def bank(brief: bool) -> SkillBank:
    world = environment(brief=brief)
    if not brief:
        assert world.describe_skills() is None and SearchQa.skills is not None
        return SkillBank.load(SearchQa.skills)
    texts = world.describe_skills()
    assert texts is not None
    return SkillBank.from_texts(texts)


def retrieve(bank: SkillBank, by: str, task_type: str, text: str) -> Retrieval:
    return make_retriever(bank, Skills(retrieval=by), 0).retrieve(task_type=task_type, text=text, key=text)


def names(found: Retrieval) -> set[str]:
    return {skill.name for skill in found.skills if not skill.general}


def test_every_task_type_there_is_has_its_skill() -> None:
    assert set(WANTED) == {*TYPES, *official.DATASETS}


@pytest.mark.parametrize("brief", [False, True])
def test_a_bank_has_a_general_skill_and_one_for_each_type(brief: bool) -> None:
    skills = bank(brief).skills
    assert [skill.name for skill in skills if skill.general] == ["searching"]
    assert {skill.name for skill in skills if not skill.general} == {"direct", "bridge", "chain", "comparison"}
    least, most = (6, 25) if brief else (50, 120)
    for skill in skills:
        assert least <= len(skill.body.split()) <= most, skill.name
        assert skill.description and skill.keywords
        assert "<" not in skill.body and "{" not in skill.body


@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("task_type", WANTED)
def test_by_task_type(brief: bool, task_type: str) -> None:
    found = retrieve(bank(brief), "task_type", task_type, "")
    assert names(found) == WANTED[task_type]
    assert found.has_task_skill and found.skills[0].name == "searching"
    block = render_block(found)
    assert all(skill.body in block for skill in found.skills)


@pytest.mark.parametrize("brief", [False, True])
def test_an_unknown_data_source_gets_the_general_skill_alone(brief: bool) -> None:
    found = retrieve(bank(brief), "task_type", "myown", "")
    assert (found.names, found.has_task_skill) == (("searching",), False)


def test_by_keyword_in_every_generated_question() -> None:
    full = bank(brief=False)
    world = environment(train=1024, test=256)
    first = dict.fromkeys(TYPES, 0)
    for split in world.splits:
        for task in world.tasks(split):
            found = retrieve(full, "keyword", task.task_type, task.goal)
            assert WANTED[task.task_type] <= names(found), task.goal
            first[task.task_type] += found.skills[1].name in WANTED[task.task_type]
    assert first["comparison"] == first["two_hop"] == 320, "and before all others"


@pytest.mark.parametrize(("skill", "question"), [(skill, text) for skill, texts in ASKED.items() for text in texts])
def test_by_keyword_in_questions_of_the_data_sets(skill: str, question: str) -> None:
    assert skill in names(retrieve(bank(brief=False), "keyword", "", question))


@pytest.mark.parametrize(
    ("skill", "question"),
    [
        ("comparison", "who wrote the orchard for the orlov family"),
        ("comparison", "who was the author of amber"),
        ("bridge", "when was the marsh mill built"),
        ("bridge", "who was the mayor of the old town"),
        ("chain", "who was the author of amber"),
        ("direct", "Are Ann Lee and Bo Rye both authors?"),
    ],
)
def test_not_where_it_does_not_belong(skill: str, question: str) -> None:
    assert skill not in names(retrieve(bank(brief=False), "keyword", "", question))


def test_skills_tell_no_name_of_the_generated_world() -> None:
    """They say how to search, not what is true."""
    told = {word for skills in map(bank, (False, True)) for skill in skills.skills for word in skill.body.split()}
    assert len(told) > 100
    for task in environment().tasks("train"):
        for name in task.data["searches"]:
            assert not told.issuperset(name.split()), name
