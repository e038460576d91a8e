"""The paper's published numbers (table 1 of arXiv 2605.15155) beside ours. ``paper_table1.csv`` has them as printed.

A published number is one of one training each, on 128 (ALFWorld, WebShop) or 512 (Search-QA) tasks.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from sdar_cli.compare.cells import Group, Unit
from sdar_cli.compare.entry import Entry
from sdar_cli.compare.measures import base_of
from sdar_cli.compare.options import Options
from sdar_cli.compare.rates import mean, rate
from sdar_cli.compare.report import Measure, PaperRow
from sdar_cli.errors import UserError
from sdar_cli.evaluation.means import stated
from sdar_cli.recipe.explain import nearest
from sdar_cli.statistics import Interval, mean_over_seeds

METHODS = {
    "grpo": "GRPO",
    "sdar": "SDAR",
    "opsd": "OPSD",
    "grpo_opsd": "GRPO+OPSD",
    "skill_grpo": "Skill-GRPO",
    "rlsd": "RLSD",
    "skill_sd": "Skill-SD",
}
"""Ours → the paper's. ``Vanilla`` and ``Skill-Prompt`` are its untrained model without and with skills."""
ENVIRONMENTS = {"alfworld": "alfworld", "webshop": "webshop", "search-qa": "search_qa"}
TYPES: Mapping[str, Mapping[str, str]] = {
    "alfworld": {
        "pick": "pick_and_place_simple",
        "look": "look_at_obj_in_light",
        "clean": "pick_clean_then_place_in_recep",
        "heat": "pick_heat_then_place_in_recep",
        "cool": "pick_cool_then_place_in_recep",
        "pick2": "pick_two_obj_and_place",
    },
    "search_qa": {name: name for name in ("nq", "triviaqa", "popqa", "hotpotqa", "musique", "bamboogle")}
    | {"2wiki": "2wikimultihopqa"},
    "webshop": {},
}
"""The paper's name of a task type → ours."""
OFFICIAL = {
    "alfworld": ("games", "official"),
    "webshop": ("products", "official"),
    "search-qa": ("questions", "official"),
}
MEAN_OF_SEVEN = "mean of seven"
Key = tuple[str, str, bool, str, str]
"""Model, method, with skills, environment, metric."""


def beside_paper(groups: Sequence[Group], options: Options) -> tuple[tuple[PaperRow, ...], tuple[str, ...]]:
    """The published numbers of each row's model, method and environment, and why there are none.

    Raises:
        UserError: ``--paper-model`` names no model of the paper.
    """
    asked = options.paper_model
    models = sorted({key[0] for key in table()})
    if asked is not None and asked not in models:
        meant = nearest(asked, models)
        hint = f"did you mean {meant!r}?" if meant else f"choose from {', '.join(models)}"
        raise UserError(f"the paper has no model {asked!r}: {hint}")
    found: list[PaperRow] = []
    notes: dict[str, None] = {}
    for group in groups:
        rows, why = _of_group(group, asked, models, options)
        found += rows
        notes |= dict.fromkeys(why)
    return tuple(found), tuple(notes)


@cache
def table() -> dict[Key, float]:
    """Published shares."""
    text = resources.files("sdar_cli.compare").joinpath("paper_table1.csv").read_text("utf-8")
    return {
        (row["model"], row["method"], row["skills_at_test"] == "yes", row["environment"], row["metric"]): float(
            row["percent"]
        )
        / 100
        for row in csv.DictReader(text.splitlines())
    }


def model_of(entry: Entry) -> str | None:
    """The paper's name of a run's model; None for one that it does not have."""
    path = str((entry.settings.get("model") or {}).get("path") or "")
    for model in sorted({key[0] for key in table()}):
        if re.search(rf"(?i)(?:^|[/_]){re.escape(model)}(?:-instruct)?/?$", path):
            return model
    return None


def _of_group(
    group: Group, asked: str | None, models: Sequence[str], options: Options
) -> tuple[list[PaperRow], list[str]]:
    entry = group.entries[0]
    environment = ENVIRONMENTS.get(entry.no_skills.environment)
    if environment is None:
        return [], [f"The paper has no results in {entry.no_skills.environment}."]
    own = {model_of(one) for one in group.entries}
    methods = {one.method for one in group.entries}
    model = asked or (own.pop() if len(own) == 1 else None)
    if model is None:
        return [], [
            f"{group.label}: the paper has no row for this model; give --paper-model "
            f"({', '.join(models)}) to see another model's."
        ]
    notes = _conditions(entry)
    if len(methods) > 1:
        return [], [*notes, f"{group.label}: runs of several methods have no row in the paper."]
    other = any(model_of(one) != model for one in group.entries)
    if other:
        notes.append(f"The paper's numbers are of {model}, which is another model than these runs': no reproduction.")
    rows: list[PaperRow] = []
    method = METHODS.get(entry.method)
    if method is None:
        notes.append(f"The paper has no results of {entry.method}.")
    else:
        for skills in (False, True):
            rows += _rows(group, model, method, skills, environment, options, other)
    rows += _base_rows(group, model, environment, options, other)
    return rows, notes


def _conditions(entry: Entry) -> list[str]:
    key, official = OFFICIAL[entry.no_skills.environment]
    options = (entry.settings.get("environment") or {}).get("options") or {}
    if options.get(key, official) == official:
        return []
    return [f"The paper's numbers are of official tasks; these runs have environment.options.{key}={options[key]}."]


def _rows(
    group: Group, model: str, method: str, skills: bool, environment: str, options: Options, other: bool
) -> list[PaperRow]:
    measured = "success_skills" if skills else "success"
    ours: dict[str, Interval | None] = {"success": rate(group.units, measured, None, options.level)}
    if not skills:
        ours["score"] = rate(group.units, "score", None, options.level)
    ours["average"] = _average(group.units, skills, options.level)
    for published, own in TYPES[environment].items():
        ours[published] = rate(group.units, measured, own, options.level)
    found = []
    for metric, interval in ours.items():
        number = table().get((model, method, skills, environment, metric))
        if number is not None and interval is not None:
            found.append(_row(group.label, model, method, skills, number, interval, metric, other))
    return found


def _base_rows(group: Group, model: str, environment: str, options: Options, other: bool) -> list[PaperRow]:
    """The base beside the untrained model; a base that was warmed up has none."""
    if any(entry.settings.get("warmup") or entry.settings.get("init_from") for entry in group.entries):
        return []
    found = []
    for name, method, skills in (("success", "Vanilla", False), ("success_skills", "Skill-Prompt", True)):
        number = table().get((model, method, skills, environment, "success"))
        measure = base_of(group.units, options.level).get(name)
        if number is not None and measure is not None and (interval := _interval(measure, options.level)) is not None:
            found.append(_row(f"{group.label} (base)", model, method, skills, number, interval, "success", other))
    return found


def _average(units: Sequence[Unit], skills: bool, level: float) -> Interval | None:
    """The mean of seven data sets, where all seven were played."""
    values, single = [], None
    for unit in units:
        of_runs = []
        for entry in unit.entries:
            evaluation = entry.skills if skills else entry.no_skills
            if evaluation is None:
                return None
            single = stated(evaluation.means, evaluation.summary_at(level).by_type).get(MEAN_OF_SEVEN)
            if single is None:
                return None
            of_runs.append(single.estimate)
        values.append(mean(of_runs))
    return mean_over_seeds(values, level) if len(values) > 1 else single


def _row(
    label: str, model: str, method: str, skills: bool, number: float, ours: Interval, metric: str, other: bool
) -> PaperRow:
    return PaperRow(label, model, method, skills, number, ours, number in ours, metric, other)


def _interval(measure: Measure, level: float) -> Interval | None:
    if measure.low is None or measure.high is None:
        return None
    return Interval(measure.value, measure.low, measure.high, level)
