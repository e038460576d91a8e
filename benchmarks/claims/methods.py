"""Every method of the study, and the four settings of each that are tried on the tuning seeds.

The budget is the same for all: four settings, two seeds, spent on the knob that matters most for the
method. Where a teacher takes part, live and frozen are both tried; SDAR's two teachers are claim (f), so
there they are methods of their own. The backbone's learning rate is the recipe's, found with GRPO alone on
seeds that occur nowhere else, so that a method that spends its four settings on λ is not the one with the
worse learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass

Overrides = tuple[str, ...]
"""``key=value`` words on top of the recipe."""


@dataclass(frozen=True, slots=True)
class Method:
    label: str
    fixed: Overrides
    """What makes it this method."""
    settings: tuple[Overrides, ...]
    """What is tried; the first wins ties."""


RATES: tuple[Overrides, ...] = (
    (),
    ("optimiser.learning_rate=5e-4",),
    ("optimiser.learning_rate=2e-3",),
    ("policy.kl_coef=0.001",),
)
"""The recipe's own, half and twice its learning rate, and a tenth of its KL coefficient."""

REWARD_RATES: tuple[Overrides, ...] = (*RATES[:3], ("policy.kl_coef=0.1",))
"""Where the KL is taken off the reward, which is 10 here, the coefficient to try is a larger one."""


def _lambdas(*values: float) -> tuple[Overrides, ...]:
    return tuple((f"distill.coef={value:g}",) for value in values)


def _teachers(*settings: Overrides) -> tuple[Overrides, ...]:
    """Each setting under both teachers."""
    return tuple((f"teacher.kind={kind}", *setting) for kind in ("frozen", "live") for setting in settings)


METHODS: tuple[Method, ...] = (
    Method("grpo", ("method=grpo",), RATES),
    Method("sdar(live)", ("method=sdar", "teacher.kind=live"), _lambdas(0.1, 0.03, 0.3, 1)),
    Method("sdar(frozen)", ("method=sdar", "teacher.kind=frozen"), _lambdas(1, 0.1, 0.3, 3)),
    Method("opsd", ("method=opsd",), _teachers(*_lambdas(0.01, 1))),
    Method("opsd(signed)", ("method=opsd", "distill.form=signed"), _teachers(*_lambdas(0.01, 1))),
    Method("grpo_opsd(uniform)", ("method=grpo_opsd", "distill.form=uniform"), _teachers(*_lambdas(0.1, 1))),
    Method("grpo_opsd(signed)", ("method=grpo_opsd", "distill.form=signed"), _teachers(*_lambdas(0.1, 1))),
    Method("skill_grpo", ("method=skill_grpo",), RATES),
    Method(
        "rlsd",
        ("method=rlsd", "credit.schedule.steps=27"),
        _teachers(("credit.mu=0.5", "credit.clip=0.2"), ("credit.mu=1", "credit.clip=0.5")),
    ),
    Method("skill_sd", ("method=skill_sd",), _teachers(*_lambdas(0.001, 0.03))),
    Method(
        "agent_opsd",
        ("method=agent_opsd",),
        _teachers(("credit.mu=0.5", "credit.clip=0.2"), ("credit.mu=1", "credit.clip=0.5")),
    ),
    Method("rloo", ("method=rloo",), REWARD_RATES),
    Method("reinforce", ("method=reinforce",), RATES),
    Method("ppo_kl", ("method=ppo_kl",), REWARD_RATES),
)
"""RLSD's μ decays to 0 over the first two thirds of a run, as released (100 of 150 steps). OPSD has no term beside
the KL that λ could be weighed against: 0.01 is as strong as the KL's coefficient, and 1 leaves it no say."""

LABELS = tuple(method.label for method in METHODS)


def method_of(label: str) -> Method:
    """The method of a label; KeyError for another word."""
    return next(method for method in METHODS if method.label == label)


def merged(*groups: Overrides) -> Overrides:
    """Overrides put together, the later winning, in the order of their keys: equal wishes, equal words."""
    values = dict(word.split("=", 1) for group in groups for word in group)
    return tuple(f"{key}={value}" for key, value in sorted(values.items()))
