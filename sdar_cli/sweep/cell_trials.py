"""The cells of a study as Optuna's trials: parameters, intermediate values, final value (the mean over seeds).

A cell's index is among its attributes, written with its parameters in one go; of several trials of one index the
lowest number is the cell, for all readers alike, and the others are marked as failed.
A cell with failed runs stays open, since they can be forgiven; one that nobody tells keeps its trial running.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sdar_cli.recipe.yaml_reader import parse
from sdar_cli.sweep.space import as_yaml
from sdar_cli.sweep.suggest import distribution

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from sdar_cli.sweep.space import Axis
    from sdar_cli.sweep.spec import StudySpec


class CellTrials:
    def __init__(self, storage: BaseStorage, study: int, spec: StudySpec) -> None:
        self._storage = storage
        self._study = study
        self._spec = spec

    def all(self) -> dict[int, FrozenTrial]:
        """Index → trial, of the cells that were drawn."""
        cells: dict[int, FrozenTrial] = {}
        for trial in self._storage.get_all_trials(self._study, deepcopy=False):
            cells.setdefault(trial.user_attrs["cell"], trial)
        return dict(sorted(cells.items()))

    def draw(self, index: int, params: Mapping[str, Any]) -> FrozenTrial:
        """Make a cell, or find that it is there: what counts is in the answer."""
        from optuna.trial import TrialState, create_trial

        there = self.all()
        if index in there:
            return there[index]
        axes = {axis.key: axis for axis in self._spec.axes if axis.key in params}
        template = create_trial(
            state=TrialState.RUNNING,
            params={key: _known(axis, params[key]) for key, axis in axes.items()},
            distributions={key: _distribution(axis) for key, axis in axes.items()},
            user_attrs={"cell": index, "params": dict(params)},
        )
        template.datetime_start = datetime.now()
        number = self._storage.create_new_trial(self._study, template_trial=template)
        cell = self.all()[index]
        if cell._trial_id != number:
            self._once(lambda: self._storage.set_trial_state_values(number, TrialState.FAIL))
        return cell

    def report(self, trial: FrozenTrial, values: Mapping[int, float]) -> None:
        """Add intermediate values that are not there yet."""
        for step, value in sorted(values.items()):
            if step not in trial.intermediate_values and math.isfinite(value):
                self._once(lambda s=step, v=value: self._storage.set_trial_intermediate_value(trial._trial_id, s, v))

    def finish(self, trial: FrozenTrial, value: float) -> bool:
        """Tell the mean over seeds; False where it was told before, or the cell was pruned."""
        from optuna.trial import TrialState

        return self._once(
            lambda: self._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [float(value)])
        )

    def should_prune(self, trial: FrozenTrial) -> bool:
        """Whether the study's pruner would end the cell, by what was reported up to now."""
        import optuna

        if self._spec.pruner is None:
            return False
        current = self._storage.get_trial(trial._trial_id)
        if current.state.is_finished() or not current.intermediate_values:
            return False
        study = optuna.Study(study_name=self._storage.get_study_name_from_id(self._study), storage=self._storage)
        try:
            return bool(make_pruner(self._spec).prune(study, current))
        except optuna.exceptions.UpdateFinishedTrialError:
            # Halving notes its rungs on the trial, which another has ended meanwhile.
            return False

    def prune(self, trial: FrozenTrial) -> bool:
        """End the cell early; False where it had ended."""
        from optuna.trial import TrialState

        values = self._storage.get_trial(trial._trial_id).intermediate_values
        last = [float(values[max(values)])] if values else None
        return self._once(lambda: self._storage.set_trial_state_values(trial._trial_id, TrialState.PRUNED, last))

    def _once(self, write: Callable[[], Any]) -> bool:
        """Write to a trial, unless it has ended."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            write()
        except UpdateFinishedTrialError:
            return False
        return True


def make_pruner(spec: StudySpec) -> Any:
    """Optuna's pruner of a study; its steps are those of training, summed over a cell's seeds in order."""
    from optuna import pruners

    settings = spec.pruner
    assert settings is not None
    if settings.kind == "median":
        return pruners.MedianPruner(n_startup_trials=settings.startup, n_warmup_steps=settings.after)
    steps, every = _steps(spec)
    least = max(1, settings.after, every)
    if settings.kind == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=settings.reduction)
    most = max(least, steps * len(spec.seeds))
    return pruners.HyperbandPruner(min_resource=least, max_resource=most, reduction_factor=settings.reduction)


def _steps(spec: StudySpec) -> tuple[int, int]:
    """Steps of a run, and those between its evaluations, by the recipe without the axes."""
    recipe = parse(spec.recipe_yaml, "the study's recipe").value
    steps = int(recipe.get("train", {}).get("steps", 1))
    return steps, int(recipe.get("evaluation", {}).get("every", 0)) or steps


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution

    if axis.choices is None:
        return distribution(axis)
    return CategoricalDistribution(tuple(_known(axis, choice) for choice in axis.choices))


def _known(axis: Axis, value: Any) -> Any:
    """A value as Optuna can hold it: a list or a mapping is a text to it."""
    if axis.choices is None or value is None or isinstance(value, bool | int | float | str):
        return value
    return as_yaml(value)
