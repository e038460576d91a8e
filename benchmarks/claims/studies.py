"""What each study runs. Later studies build on the settings that ``tune`` chose."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from claims.jobs import BASE, Job, distinct
from claims.methods import LABELS, METHODS, Overrides, merged, method_of
from claims.table import Table

TUNING_SEEDS = (1000, 1001)
SEEDS = (100, 101, 102, 103, 104)
"""Reporting seeds; no setting was chosen on any of them."""
MORE_SEEDS = (*SEEDS, 105, 106, 107, 108, 109)
"""For the methods of claims (a), (b) and (f)."""

TEN = ("grpo", "sdar(live)", "sdar(frozen)", "skill_grpo")
TEACHERS = ("live", "frozen")
LAMBDAS = (0.01, 0.1, 0.3, 1, 3)
"""Beside 0, which is ``grpo``."""
BETAS = (0, 1, 20)
"""Beside 5, which every other study uses."""
ROBUST = ("sdar(live)", "sdar(frozen)", "skill_grpo")
WRONG_SKILLS: Mapping[str, Overrides] = {
    "half wrong": ("skills.corrupt=0.5",),
    "all wrong": ("skills.corrupt=1.0",),
    "random": ("skills.retrieval=random", "skills.top_k=1", f"init_from={BASE}", "warmup=null"),
}
"""One random skill stands where one right skill stood, so that prompts are as long as before; its warm-up is that
of the other runs."""
LONG_STEPS = 80
LONG = (f"train.steps={LONG_STEPS}", f"train.checkpoint_every={LONG_STEPS}")
"""Twice the steps: the paper's baselines are said to collapse within 100 to 200 of theirs."""
LONG_SEEDS = SEEDS[:4]
COLLAPSING = ("opsd", "opsd(signed)", "sdar(ungated, live)", "sdar(ungated, frozen)")

Choice = Mapping[str, Overrides]
"""Label → all overrides of the chosen setting."""


class NotTuned(Exception):
    """A study needs settings whose tuning runs are not all in the table."""


def tuning_jobs(labels: tuple[str, ...] = LABELS) -> list[Job]:
    return [
        Job("tune", method.label, merged(method.fixed, setting), seed)
        for method in METHODS
        if method.label in labels
        for setting in method.settings
        for seed in TUNING_SEEDS
    ]


def chosen(table: Table, labels: tuple[str, ...] = LABELS) -> Choice:
    """Each method's best setting by mean success without skills on the tuning seeds; ties go to the first.

    A run that failed counts as no success. Raises NotTuned where a run is missing.
    """
    out: dict[str, Overrides] = {}
    for label in labels:
        method = method_of(label)
        scores = {setting: score(table, merged(method.fixed, setting)) for setting in method.settings}
        out[label] = merged(method.fixed, max(method.settings, key=lambda setting: scores[setting]))
    return out


def score(table: Table, overrides: Overrides) -> float:
    """Mean success without skills over the tuning seeds."""
    rows = [table.get(overrides, seed) for seed in TUNING_SEEDS]
    if None in rows:
        raise NotTuned(f"the tuning runs of `{' '.join(overrides)}` are not all there: run the study tune first")
    return mean(row.trained_no_skills or 0.0 for row in rows)


def seeds_of(label: str) -> tuple[int, ...]:
    return MORE_SEEDS if label in TEN else SEEDS


def reported(choice: Choice) -> dict[str, Overrides]:
    """The methods as chosen, and SDAR without its gate at the λ that was chosen with it."""
    out = dict(choice)
    for teacher in TEACHERS:
        if f"sdar({teacher})" in choice:
            out[f"sdar(ungated, {teacher})"] = merged(choice[f"sdar({teacher})"], ("gate.kind=none",))
    return out


def report_jobs(choice: Choice) -> list[Job]:
    return [
        Job("report", label, overrides, seed)
        for label, overrides in reported(choice).items()
        for seed in seeds_of(label)
    ]


def lambda_settings(choice: Choice, teacher: str) -> dict[float, Overrides]:
    """λ → overrides, ascending; 0 is GRPO under the recipe's own values, which are SDAR's."""
    best = choice[f"sdar({teacher})"]
    at = {value: merged(best, (f"distill.coef={value:g}",)) for value in LAMBDAS}
    return {0.0: merged(("method=grpo",)), **at}


def beta_settings(choice: Choice, teacher: str) -> dict[float, Overrides]:
    """β → overrides, ascending; 5 is the recipe's own, with λ as chosen."""
    best = choice[f"sdar({teacher})"]
    at = {value: merged(best, (f"gate.beta={value:g}",)) for value in BETAS}
    return dict(sorted({5.0: best, **at}.items()))


def better_teacher(table: Table, choice: Choice) -> str:
    """The teacher under which SDAR did better on the tuning seeds; the sweeps use it."""
    return max(("frozen", "live"), key=lambda teacher: score(table, choice[f"sdar({teacher})"]))


def lambda_jobs(table: Table, choice: Choice) -> list[Job]:
    settings = lambda_settings(choice, better_teacher(table, choice))
    return [Job("lambda", f"λ={value:g}", words, seed) for value, words in settings.items() for seed in SEEDS]


def beta_jobs(table: Table, choice: Choice) -> list[Job]:
    settings = beta_settings(choice, better_teacher(table, choice))
    return [Job("beta", f"β={value:g}", words, seed) for value, words in settings.items() for seed in SEEDS]


def robust_settings(choice: Choice, label: str) -> dict[str, Overrides]:
    """Kind of skills → overrides; ``right`` is the method as reported."""
    own = choice[label]
    return {"right": own, **{kind: merged(own, words) for kind, words in WRONG_SKILLS.items()}}


def robust_jobs(table: Table, choice: Choice) -> list[Job]:
    labels = (f"sdar({better_teacher(table, choice)})", "skill_grpo")
    return [
        Job("robust", f"{label}, {kind} skills", words, seed)
        for label in labels
        for kind, words in robust_settings(choice, label).items()
        for seed in SEEDS
    ]


def collapse_settings(choice: Choice) -> dict[str, Overrides]:
    """What may collapse, over more steps, and SDAR and GRPO beside it."""
    settings = reported(choice)
    labels = ("grpo", "sdar(live)", "sdar(frozen)", *COLLAPSING)
    return {label: merged(settings[label], LONG) for label in labels}


def collapse_jobs(choice: Choice) -> list[Job]:
    return [
        Job("collapse", label, words, seed) for label, words in collapse_settings(choice).items() for seed in LONG_SEEDS
    ]


STUDIES = ("tune", "report", "lambda", "beta", "robust", "collapse")


def jobs_of(study: str, table: Table) -> list[Job]:
    """A study's runs, those included that the table holds. Raises NotTuned where it builds on ``tune``."""
    if study == "tune":
        return distinct(tuning_jobs())
    choice = chosen(table)
    jobs = {
        "report": lambda: report_jobs(choice),
        "lambda": lambda: lambda_jobs(table, choice),
        "beta": lambda: beta_jobs(table, choice),
        "robust": lambda: robust_jobs(table, choice),
        "collapse": lambda: collapse_jobs(choice),
    }[study]()
    return distinct(jobs)
