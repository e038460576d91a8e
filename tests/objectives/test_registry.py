"""The methods by their names, and what each declares."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import sdar_cli.objectives
from sdar_cli.objectives.advantages import group_baseline
from sdar_cli.objectives.registry import OBJECTIVES

METHODS = {
    "grpo",
    "sdar",
    "opsd",
    "grpo_opsd",
    "skill_grpo",
    "rlsd",
    "skill_sd",
    "agent_opsd",
    "rloo",
    "reinforce",
    "ppo_kl",
}


def test_the_methods_are_these():
    assert OBJECTIVES.keys() == METHODS


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_a_module_of_its_name_with_its_formula_and_source(name):
    module = importlib.import_module(f"sdar_cli.objectives.{name}")
    objective = OBJECTIVES[name]
    assert module.OBJECTIVE is objective and objective.name == name
    assert objective.formula and objective.source
    assert module.__doc__.startswith(f"``{name}``") and " = " in module.__doc__ + " = " * (name == "grpo_opsd")
    assert (Path(sdar_cli.objectives.__file__).parent / f"{name}.py").is_file()


def test_which_methods_take_grpos_advantages_as_they_are():
    plain = {name for name, objective in OBJECTIVES.items() if objective.advantages is group_baseline}
    assert plain == {"grpo", "sdar", "opsd", "grpo_opsd", "skill_grpo", "rlsd", "skill_sd"}


def test_which_add_a_term_and_which_reweigh():
    assert {name for name, o in OBJECTIVES.items() if o.term is not None} == {"sdar", "opsd", "grpo_opsd", "skill_sd"}
    assert {name for name, o in OBJECTIVES.items() if o.reweigh is not None} == {"rlsd"}
    assert {name for name, o in OBJECTIVES.items() if o.skills_in_prompt} == {"skill_grpo"}
    assert {name for name, o in OBJECTIVES.items() if not o.ratio} == {"opsd", "rloo", "reinforce"}
    assert {name for name, o in OBJECTIVES.items() if o.kl_in_reward} == {"rloo", "ppo_kl"}


@pytest.mark.parametrize(
    ("name", "key", "reads"),
    [
        ("sdar", "gate.beta", True),
        ("sdar", "gate", True),
        ("sdar", "credit.mu", False),
        ("grpo_opsd", "gate.beta", False),
        ("skill_sd", "distill.coef", True),
        ("skill_sd", "distill.schedule.to", True),
        ("skill_sd", "distill.form", False),
        ("rlsd", "credit.mu", True),
        ("rlsd", "credit.gamma", False),
        ("agent_opsd", "credit.gamma", True),
        ("agent_opsd", "policy.advantage", False),
        ("rloo", "policy.clip", False),
        ("ppo_kl", "policy.clip", True),
        ("opsd", "policy.clip", False),
        ("grpo", "teacher.kind", False),
    ],
)
def test_which_keys_a_method_reads(name, key, reads):
    assert OBJECTIVES[name].reads(key) is reads
