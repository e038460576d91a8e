"""How much of the differences between cells each axis accounts for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdar_cli.sweep.plots_cells import Measured, is_number
from sdar_cli.sweep.space import Axis, as_yaml
from sdar_cli.sweep.view import StudyView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 8
"""Fewest cells of which shares are told: a forest grown on fewer says what its seed says."""


def importances(view: StudyView, cells: Sequence[Measured]) -> Figure | None:
    """Bars, by functional ANOVA (Hutter, Hoos and Leyton-Brown 2014) over the cells' means, as Optuna has it.

    None for one axis, for fewer than ``ENOUGH`` cells, or where all means are equal.
    """
    shares = measured_importances(view.spec.axes, cells)
    if not shares:
        return None
    from sdar_cli.tracking.plots.canvas import BLUE, blank

    figure, (axes,) = blank(1, height=1.2 + 0.34 * len(shares))
    names = list(shares)[::-1]
    bars = axes.barh(names, [100 * shares[name] for name in names], color=BLUE, height=0.62)
    axes.bar_label(bars, [f"{100 * shares[name]:.0f}" for name in names], padding=3)
    left_out = [axis.key for axis in view.spec.axes if axis.key not in shares]
    note = f"; not in all cells: {', '.join(left_out)}" if left_out else ""
    axes.set(xlabel=f"share of the variance between cells (%){note}", xlim=(0, 108))
    axes.set_title(f"Importance of each axis: fANOVA over {len([cell for cell in cells if cell.whole])} cells")
    axes.grid(axis="y", visible=False)
    return figure


def measured_importances(axes: Sequence[Axis], cells: Sequence[Measured]) -> dict[str, float]:
    """Axis as typed → share, the largest first; empty where nothing can be said."""
    whole = [cell for cell in cells if cell.whole]
    shared = [axis for axis in axes if all(axis.key in cell.params for cell in whole)]
    shared = [axis for axis in shared if len({cell.text(axis.key) for cell in whole}) > 1]
    if len(whole) < ENOUGH or len(shared) < 2 or len({cell.mean for cell in whole}) < 2:
        return {}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        distributions = {axis.key: _distribution(axis, whole) for axis in shared}
        study = optuna.create_study(direction="maximize")
        for cell in whole:
            params = {key: _value(cell.params[key], kind) for key, kind in distributions.items()}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=distributions, value=cell.mean),
            )
        found: Mapping[str, float] = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _distribution(axis: Axis, cells: Sequence[Measured]) -> Any:
    """Numbers stay numbers, so that a tree can split them; all else is a category."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [cell.params[axis.key] for cell in cells]
    if all(is_number(value) for value in values):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and (axis.log or high / low >= 100))
    return CategoricalDistribution(tuple({as_yaml(value): None for value in values}))


def _value(value: Any, distribution: Any) -> Any:
    return as_yaml(value) if hasattr(distribution, "choices") else float(value)
