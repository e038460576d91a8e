"""The shop's skills: a general one and one for each product family, each shown where it should be and nowhere else."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import SkillBank, bank_for, make_retriever, render_block
from sdar_envs.webshop.catalogue_words import FAMILIES as SOLD
from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.families import FAMILIES, family
from sdar_envs.webshop.splits import goal_of

GENERAL = "shopping"
MADE_OF = ("green tea", "tea tree", "cable knit")
"""Attributes with a word that is something to buy in another family."""


def generated(**options: Any) -> Webshop:
    return Webshop(WebshopOptions.model_validate({"products": "generated", "size": 500, "test": 50} | options))


def bank(brief: bool) -> SkillBank:
    return bank_for(Skills(), generated(brief=brief))


@pytest.mark.parametrize("brief", [False, True])
def test_a_bank_has_a_general_skill_and_one_for_each_family(brief: bool) -> None:
    skills = bank(brief).skills
    assert [skill.name for skill in skills if skill.general] == [GENERAL]
    assert {skill.name: skill.task_types for skill in skills if not skill.general} == {
        name: (name,) for name in FAMILIES
    }
    least, most = (6, 25) if brief else (40, 120)
    for skill in skills:
        assert least <= len(skill.body.split()) <= most, skill.name
        assert skill.description and skill.keywords
    assert len({skill.body for skill in skills}) == 8


def test_full_prompts_take_the_bank_of_the_folder_and_brief_ones_their_own() -> None:
    assert generated().describe_skills() is None
    full, brief = bank(False), bank(True)
    assert full.digest != brief.digest
    assert all(len(brief.get(skill.name).body) < len(skill.body) / 2 for skill in full.skills)


@pytest.mark.parametrize("goals", ["synthetic", "human"])
@pytest.mark.parametrize("retrieval", ["task_type", "keyword"])
@pytest.mark.parametrize("brief", [False, True])
def test_every_generated_goal_gets_the_skill_of_what_is_sold_and_no_other(
    brief: bool, retrieval: str, goals: str
) -> None:
    shop = generated(brief=brief, goals=goals)
    retriever = make_retriever(bank(brief), Skills(retrieval=retrieval), 0)
    got: Counter[str] = Counter()
    for split in ("train", "test"):
        for task in shop.tasks(split):
            sold = shop.store.product(goal_of(task).asin).category
            retrieved = retriever.retrieve(task_type=task.task_type, text=task.goal, key=task.id)
            assert retrieved.names[:2] == (GENERAL, sold) and retrieved.has_task_skill, task.goal
            if len(retrieved.names) > 2:
                # A keyword cannot tell a thing from what it is made of: those two skills come second.
                assert retrieval == "keyword"
                assert [phrase for phrase in MADE_OF if phrase in task.goal] and len(retrieved.names) == 3, task.goal
                got["made of"] += 1
            got[sold] += 1
    assert set(got) - {"made of"} == set(FAMILIES), "each skill was retrieved"
    assert got["made of"] < 0.03 * got.total()


@pytest.mark.parametrize(
    ("instruction", "names"),
    [
        ("i need a long sleeve shirt for women with color: black, and size: xx-large", {"apparel"}),
        ("i want white sneakers with a rubber sole with size: 9", {"footwear"}),
        ("looking for a floor lamp with a glass shade for my bedroom", {"home"}),
        ("find me a noise cancelling wireless headphones", {"electronics"}),
        ("i would like a leather wallet", {"accessories"}),
        ("i am looking for a sulfate free shampoo", {"beauty"}),
        ("i need gluten free granola, pack of 6", {"other"}),
        ("that is what i should get", set()),
        ("a chatty cameraman earns a teapot", set()),
    ],
)
@pytest.mark.parametrize("brief", [False, True])
def test_keywords_are_whole_words(brief: bool, instruction: str, names: set[str]) -> None:
    retrieved = make_retriever(bank(brief), Skills(retrieval="keyword"), 0).retrieve("", instruction, "a")
    assert set(retrieved.names) - {GENERAL} == names
    assert retrieved.has_task_skill is bool(names)


@pytest.mark.parametrize("brief", [False, True])
def test_a_keyword_is_of_one_skill_and_of_no_other_family(brief: bool) -> None:
    listed = [(keyword, skill.name) for skill in bank(brief).skills if not skill.general for keyword in skill.keywords]
    assert len({keyword for keyword, _ in listed}) == len(listed)
    for keyword, name in listed:
        assert family(f"find me one {keyword} please") in (name, "other"), keyword
    sold = {kind.noun: group.name for group in SOLD for kind in group.kinds}
    assert sold.items() <= dict(listed).items(), "all that is generated"


def test_a_brief_skill_names_options_of_its_family_and_of_none_besides() -> None:
    named = {"color", "size", "pack", "scent", "bottle"}
    for group in SOLD:
        said = set(re.findall(r"\w+", bank(True).get(group.name).body.lower())) & named
        assert said and said <= set(group.options), group.name


@pytest.mark.parametrize("brief", [False, True])
def test_the_block_of_a_task_holds_both_texts(brief: bool) -> None:
    retriever = make_retriever(bank(brief), Skills(), 0)
    block = render_block(retriever.retrieve(task_type="beauty", text="", key="a"))
    for name in FAMILIES:
        assert (bank(brief).get(name).body in block) == (name == "beauty")
    assert bank(brief).get(GENERAL).body in block
