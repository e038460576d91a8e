"""A panel held against an environment: its tasks exist, have their types, and are not trained on."""

from __future__ import annotations

from sdar_cli.environments import environment_names
from sdar_cli.errors import PanelError
from sdar_cli.evaluation.panel import Panel
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_envs.base import Environment


def own_environment(panel: Panel, data: str | None) -> EnvironmentSection:
    """The environment that the panel was drawn from, with its data in the folder ``data``.

    Raises PanelError when the file does not say enough.
    """
    if panel.environment not in environment_names():
        raise PanelError(
            f"the panel's environment {panel.environment!r} is not one that sdar finds by its name: give --recipe"
        )
    settings = dict(panel.settings)
    return EnvironmentSection(name=panel.environment, options=settings if data is None else settings | {"data": data})


def check_tasks(panel: Panel, environment: Environment) -> int:
    """How many training tasks there are, none of which is in the panel.

    Raises PanelError when the panel is from another environment, lacks a task, gives one another type than it has,
    or overlaps training.
    """
    for task, written in zip(panel.tasks(environment), panel.task_types, strict=False):
        if task.task_type != written:
            raise PanelError(
                f"the task {task.id!r} has the type {task.task_type!r}, not {written!r} as the panel says: "
                "draw a new panel"
            )
    training = environment.tasks("train")
    panel.check_disjoint(training)
    return len(training)
