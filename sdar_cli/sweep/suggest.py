"""The next setting by Optuna's TPE, from the cells so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sdar_cli.sweep.draws import Settle, distinct, identity, rounded
from sdar_cli.sweep.space import Axis

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

TRIES = 8
"""Draws of TPE that may repeat earlier settings before a random one that is new is taken."""


class Finished(NamedTuple):
    """A cell so far, as a sampler sees it."""

    params: Mapping[str, Any]
    value: float | None
    """Mean over seeds: the final one of a done cell, the last one of a pruned cell."""
    state: str
    """``done``, ``partial``, ``pruned``, ``waiting``, ``running``; others (``failed``) say nothing of the setting."""
    step: int = 0
    """Step of the last value; of a pruned cell it counts how far the cell came."""


def suggest(
    axes: Sequence[Axis], seed: tuple[int, int], finished: Sequence[Finished], *, startup: int, settle: Settle
) -> dict[str, Any]:
    """A setting that is not among those so far, as long as the space holds one; a function of the arguments alone.

    Args:
        seed: the study's sampler seed and the cell's index.
        startup: cells with a value before the estimate is trusted; until then settings are random.
    """
    known = {identity(cell.params) for cell in finished}
    number = int.from_bytes(hashlib.sha256(f"{seed[0]}-{seed[1]}".encode()).digest()[:4])
    study = _study(axes, finished, number, startup)
    for _ in range(TRIES):
        trial = study.ask()
        settled = settle({axis.key: _ask(trial, axis) for axis in axes})
        if identity(settled) not in known:
            return settled
    fresh = distinct(axes, number, len(known) + 1, settle)
    return next((setting for setting in fresh if identity(setting) not in known), settled)


def _study(axes: Sequence[Axis], finished: Sequence[Finished], number: int, startup: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=startup)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {axis.key: distribution(axis) for axis in axes}
    for cell in finished:
        if (trial := _trial(axes, cell, distributions)) is not None:
            study.add_trial(trial)
    return study


def distribution(axis: Axis) -> BaseDistribution:
    """Optuna's; choices are known to it by their position."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.choices is not None:
        return CategoricalDistribution(tuple(range(len(axis.choices))))
    high = axis.high if (count := axis.count) is None else axis.at(count - 1)
    if axis.integer:
        return IntDistribution(int(axis.low), int(high), log=axis.log, step=int(axis.step or 1))
    return FloatDistribution(axis.low, high, log=axis.log, step=axis.step)


def _trial(axes: Sequence[Axis], cell: Finished, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial | None:
    """The cell as Optuna's trial; one without a value ends as no news, one that runs as a place that is taken."""
    from optuna.trial import TrialState, create_trial

    states = dict.fromkeys(("done", "partial"), TrialState.COMPLETE) | {"pruned": TrialState.PRUNED}
    states |= dict.fromkeys(("waiting", "running"), TrialState.RUNNING)
    state = states.get(cell.state)
    complete = state is TrialState.COMPLETE
    if state is None or (complete and cell.value is None):
        return None
    params = {axis.key: _internal(axis, cell.params[axis.key]) for axis in axes if axis.key in cell.params}
    return create_trial(
        state=state,
        value=cell.value if complete else None,
        params=params,
        distributions={key: distributions[key] for key in params},
        intermediate_values={cell.step: cell.value} if state is TrialState.PRUNED and cell.value is not None else {},
    )


def _internal(axis: Axis, value: Any) -> Any:
    if axis.choices is None:
        return value
    return [json.dumps(choice) for choice in axis.choices].index(json.dumps(value))


def _ask(trial: Any, axis: Axis) -> Any:
    space: Any = distribution(axis)
    if axis.choices is not None:
        return axis.choices[trial.suggest_categorical(axis.key, space.choices)]
    if axis.integer:
        return trial.suggest_int(axis.key, space.low, space.high, log=space.log, step=space.step)
    value = trial.suggest_float(axis.key, space.low, space.high, log=space.log, step=space.step)
    return axis.number(float(f"{value:.12g}") if axis.step is not None else rounded(value, axis))
