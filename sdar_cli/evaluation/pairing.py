"""Which evaluations may be compared: those of the same tasks, played under the same conditions."""

from __future__ import annotations

from collections.abc import Sequence

from sdar_cli.errors import PanelError
from sdar_cli.evaluation import conditions
from sdar_cli.evaluation.result import Evaluation


def check_mode(evaluation: Evaluation, mode: str) -> None:
    """Raises PanelError when it was made in the other mode."""
    if evaluation.mode != mode:
        raise PanelError(
            f"the evaluation {evaluation.name} has mode {evaluation.mode}, where {mode} was needed: "
            "swap the evaluations"
        )


def check_pair(evaluation: Evaluation, other: Evaluation) -> None:
    """Raises PanelError when two were not made on the same tasks under the same conditions, as far as is known."""
    names = f"{evaluation.name} and {other.name}"
    if (evaluation.environment, evaluation.panel) != (other.environment, other.panel):
        raise PanelError(
            f"{names} were scored on different panels ({_panel(evaluation)} and {_panel(other)}): "
            "evaluate both on one panel"
        )
    if _tasks(evaluation) != _tasks(other):
        raise PanelError(f"{names} do not list the same tasks in one order: run both evaluations again")
    if dict(evaluation.sampling) != dict(other.sampling):
        keys = evaluation.sampling.keys() | other.sampling.keys()
        differing = sorted(k for k in keys if evaluation.sampling.get(k) != other.sampling.get(k))
        first = differing[0]
        raise PanelError(
            f"{names} were sampled differently ({first}: {evaluation.sampling.get(first)} and "
            f"{other.sampling.get(first)}): evaluate both with one setting of {', '.join(differing)}"
        )
    for ours, theirs in ((evaluation.options, other.options), (evaluation.facts, other.facts)):
        if found := conditions.differing(ours, theirs):
            raise PanelError(
                f"{names} were played in environments that differ ({found[0]}: {ours[found[0]]} and "
                f"{theirs[found[0]]}): evaluate both with the same {', '.join(found)}"
            )


def _tasks(evaluation: Evaluation) -> Sequence[str]:
    return [record.task_id for record in evaluation.records]


def _panel(evaluation: Evaluation) -> str:
    return f"{evaluation.environment} {evaluation.panel[:12]}"
