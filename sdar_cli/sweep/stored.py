"""What a study's file and its trials must hold before they are believed: sdar wrote them, or somebody changed them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import RecipeError
from sdar_cli.recipe.yaml_reader import parse
from sdar_cli.runs.state import LAST_MOMENT

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from sdar_cli.sweep.space import Axis
    from sdar_cli.sweep.spec import StudySpec

NUMBER = (int, float)
ATTEMPT: Mapping[str, tuple[type, ...]] = {
    "cell": (int,),
    "seed": (int,),
    "worker": (str,),
    "host": (str,),
    "machine": (str,),
    "pid": (int,),
    "birth": (int,),
    "from_step": (int,),
    "started": NUMBER,
    "token": (str,),
}
"""Attributes of an attempt."""
RESULT = ("success", "success_skills", "score", "score_skills")
"""Numbers of the result of a run that is done."""
RESULT_BESIDE: Mapping[str, tuple[type, ...]] = {
    "steps": (int,),
    "seconds": (int, float, NoneType),
    "collapsed": (bool,),
    "mlflow_run_id": (str, NoneType),
    "evaluations": (list, tuple),
}


def contradiction(spec: StudySpec) -> str | None:
    """The key of a specification that does not fit the others; None where all do."""
    for place, axis in enumerate(spec.axes):
        if not _is_axis(axis):
            return f"axes.{place}"
    keys = {axis.key for axis in spec.axes}
    if len(keys) < len(spec.axes):
        return "axes"
    if (spec.settings is not None) if spec.search == "tpe" else not spec.settings:
        return "settings"
    settings = spec.settings or ()
    if len(settings) not in (0, spec.cells) or not all(setting.keys() <= keys for setting in settings):
        return "settings"
    if len(set(spec.seeds)) < len(spec.seeds):
        return "seeds"
    return None if _is_recipe(spec.recipe_yaml) else "recipe_yaml"


def _is_axis(axis: Axis) -> bool:
    if not axis.key:
        return False
    if axis.choices is not None:
        return bool(axis.choices)
    if axis.low is None or axis.high is None or not axis.low < axis.high or (axis.log and axis.low <= 0):
        return False
    step = axis.step if axis.step is not None else 1.0
    return step > 0 and math.isfinite(axis.high - axis.low) and math.isfinite((axis.high - axis.low) / step)


def _is_recipe(text: str) -> bool:
    try:
        recipe = parse(text, "the study's recipe").value
    except RecipeError:
        return False
    if not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        return False
    sections = [recipe.get(name) or {} for name in ("train", "evaluation", "tracking")]
    if not all(isinstance(section, dict) for section in sections):
        return False
    numbers = (sections[0].get("steps", 1), sections[1].get("every", 1), sections[1].get("tasks", 1))
    return all(type(number) is int and number >= 0 for number in numbers)


def damage(storage: BaseStorage, cells: int, runs: int) -> str | None:
    """What is wrong with what a storage holds of a study, such as ``trial 3 of its runs has no seed``.

    Args:
        cells: Optuna's number of the study of cells.
        runs: of the study of attempts.
    """
    if storage.get_study_user_attrs(cells).get("pause", "no") not in ("no", "after", "now"):
        return "its pause is no word that sdar writes"
    forgiven = storage.get_study_user_attrs(runs).get("forgiven", [])
    if not isinstance(forgiven, list) or not all(type(number) is int for number in forgiven):
        return "what it forgives are no numbers"
    for of, study, look in (("cells", cells, _cell_damage), ("runs", runs, _attempt_damage)):
        for trial in storage.get_all_trials(study, deepcopy=False):
            if (what := look(trial)) is not None:
                return f"trial {trial.number} of its {of} {what}"
    return None


def _cell_damage(trial: FrozenTrial) -> str | None:
    told = trial.user_attrs
    if type(told.get("cell")) is not int or told["cell"] < 0:
        return "has no cell"
    if not isinstance(told.get("params"), dict):
        return "has no params"
    seen = trial.intermediate_values
    if not all(type(step) is int and _is_number(value) for step, value in seen.items()):
        return "has values that are no numbers"
    return None


def _attempt_damage(trial: FrozenTrial) -> str | None:
    told = trial.user_attrs
    for name, kinds in ATTEMPT.items():
        if type(told.get(name)) not in kinds:
            return f"has no {name}"
    if not 0 <= told["started"] <= LAST_MOMENT or min(told["cell"], told["seed"], told["from_step"], told["pid"]) < 0:
        return "has a number that cannot be"
    if type(told.get("beat", 0)) is not int:
        return "has no beat"
    if trial.state.name == "FAIL" and trial.values and trial.values[0] not in (1, 2, 3, 4):
        return "ended in a way that there is not"
    if trial.datetime_complete is not None and not 1971 <= trial.datetime_complete.year <= 9998:
        return "ended at no time"
    for name, value in told.items():
        if name.startswith("reason ") and not isinstance(value, str):
            return "has a reason that is no text"
        if name.startswith("result ") and (what := _result_damage(value, name == "result done")) is not None:
            return what
    if trial.state.name == "COMPLETE" and "result done" not in told:
        return "has no result"
    return None


def _result_damage(result: Any, done: bool) -> str | None:
    if not isinstance(result, dict):
        return "has a result that is no mapping"
    for name in RESULT:
        if done and not _is_number(result.get(name)):
            return f"has a result without {name}"
    for name, kinds in RESULT_BESIDE.items():
        if name in result and type(result[name]) not in kinds:
            return f"has a result with a wrong {name}"
    for triple in result.get("evaluations", ()):
        if not isinstance(triple, list | tuple) or len(triple) != 3 or type(triple[0]) is not int:
            return "has a result with wrong evaluations"
        if not _is_number(triple[1]) or not (triple[2] is None or _is_number(triple[2])):
            return "has a result with wrong evaluations"
    return None


def _is_number(value: Any) -> bool:
    try:
        return type(value) in NUMBER and math.isfinite(value)
    except OverflowError:
        return False
