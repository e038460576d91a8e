"""Views of the runs table in MLflow's UI: which columns, which order, grouped by what.

MLflow keeps a view that somebody saved as a tag of the experiment, ``mlflow.sharedViewState.<key>``: a name and
the page's state, as JSON within JSON. It stands in the menu "Views", and a link can open it. We write ours in that
form, once: whoever changes or removes it in the UI has it so.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "mlflow.sharedViewState."
"""Of the experiment's tag that holds a view."""
WIDTHS = {"attributes.`Run Name`": 280, "runDateAndNestInfo": 150, "duration": 90}
"""Of the columns that are always there, in pixels; MLflow cuts the names of runs and groups in its own width."""
METRIC, OTHER = 165, 105
METRICS = ("metrics.`eval/no_skills/success`", "metrics.`eval/skills/success`")


@dataclass(frozen=True, slots=True)
class View:
    key: str
    """What a link names it by."""
    name: str
    """What the menu calls it."""
    columns: Sequence[str]
    """``metrics.`…```, ``params.`…``` and ``tags.`…```, from left to right."""
    search: str = ""
    """MLflow's filter of runs."""
    group_by: str | None = None
    """A tag: runs that share its value stand under one line with their means."""

    @property
    def tag(self) -> tuple[str, str]:
        """Key and value of the experiment's tag."""
        group = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": self.group_by}]}
        state = {
            "searchFilter": self.search,
            # Runs stand below their parent only where the order is by start time.
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": list(self.columns),
            "columnOrder": [*WIDTHS, *self.columns],
            "columnWidths": WIDTHS | {name: METRIC if name in METRICS else OTHER for name in self.columns},
            "groupBy": None if self.group_by is None else group,
            "hideEmptyCharts": True,
        }
        now = int(1000 * time.time())
        envelope = {"name": self.name, "state": json.dumps(state), "createdAt": now, "updatedAt": now}
        return PREFIX + self.key, json.dumps(envelope)


def tag(name: str) -> str:
    return f"tags.`{name}`"


def param(name: str) -> str:
    return f"params.`{name}`"


RUNS = View(
    "sdar-runs",
    "Runs",
    (*METRICS, *map(tag, ("sdar.method", "sdar.seed", "sdar.group", "sdar.status"))),
    "tags.`sdar.kind` != 'warm-up'",
)
"""Trainings, evaluations and studies, these with their runs below them; warm-ups left out."""


def study(name: str, axes: Sequence[str]) -> View:
    """A study's runs by setting, each setting with its means over seeds; ``axes`` as typed, which are params."""
    return View(
        study_key(name),
        f"Study {name}",
        (*METRICS, *map(param, axes), tag("sdar.seed"), tag("sdar.status")),
        f"tags.`sdar.study` = '{name}'",
        "sdar.setting",
    )


def study_key(name: str) -> str:
    return "sdar-study-" + re.sub(r"[^\w.-]", "-", name)


def install(client: MlflowClient, experiment_id: str, tags: Mapping[str, Any], view: View) -> None:
    """Write a view unless it is among the experiment's ``tags``."""
    key, value = view.tag
    if key not in tags:
        client.set_experiment_tag(experiment_id, key, value)


def link(experiment_id: str, key: str | None = None) -> str:
    """Path and fragment of an experiment's runs in the UI, with a view.

    An experiment that has traces opens as an application's otherwise, which shows no runs at first.
    """
    query = {"workflowType": "machine_learning"} | ({} if key is None else {"viewStateShareKey": key})
    return f"/#/experiments/{quote(experiment_id)}/runs?{urlencode(query)}"
