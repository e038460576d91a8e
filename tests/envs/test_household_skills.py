"""Skills of the household world state its rules, or as many wrong ones as asked for."""

import re

import pytest

from sdar_cli.recipe.schema import Skills
from sdar_cli.skills import SkillBank, make_retriever, render_block
from sdar_envs.household import words
from sdar_envs.household.environment import Household, HouseholdOptions


def stated(world: Household) -> dict[str, str]:
    """Verb → station, as the skill texts say."""
    text = " ".join(world.describe_skills().values())
    return dict(re.findall(r"You (\w+) (?:with|in) the (\w+)\.", text))


def test_skills_state_the_rulebook() -> None:
    world = Household(HouseholdOptions(rulebook=5))
    assert stated(world) == dict(world.rulebook.stations)


def test_one_verb_a_type_leaves_the_other_out() -> None:
    world = Household(HouseholdOptions(rulebook=5, verbs=1))
    firsts = {verbs[0] for verbs in words.VERBS.values()}
    assert stated(world) == {verb: world.rulebook.stations[verb] for verb in firsts}
    assert all(task.goal.split()[0] in firsts for task in world.tasks("train"))


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_wrong_rules_are_told_on_request(share: float, wrong: int) -> None:
    world = Household(HouseholdOptions(rulebook=5, wrong_rules=share))
    told = stated(world)
    assert sum(told[verb] != station for verb, station in world.rulebook.stations.items()) == wrong
    true = world.with_rulebook(5)
    assert stated(true) == dict(true.rulebook.stations)


def test_the_bank_has_a_general_skill_and_one_for_each_type() -> None:
    bank = SkillBank.from_texts(Household(HouseholdOptions()).describe_skills())
    assert [skill.name for skill in bank.skills if skill.general] == ["general"]
    assert sorted(bank.task_types) == sorted(words.TASK_TYPES)
    for skill in bank.skills:
        assert 6 <= len(re.findall(r"\w+", skill.body)) <= 25
        assert "{" not in skill.body


def test_a_task_gets_the_rule_that_it_needs() -> None:
    world = Household(HouseholdOptions(rulebook=2))
    retriever = make_retriever(SkillBank.from_texts(world.describe_skills()), Skills(), 0)
    for task in world.tasks("test")[:24]:
        retrieval = retriever.retrieve(task_type=task.task_type, text=task.goal, key=task.id)
        verb = task.goal.split()[0]
        assert retrieval.has_task_skill
        assert f"You {verb} {words.preposition(verb)} the {world.rulebook.stations[verb]}." in render_block(retrieval)
        assert len(retrieval.skills) == 2
