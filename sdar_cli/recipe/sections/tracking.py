"""``tracking``: what MLflow is told, and where it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sdar_cli.errors import without_credentials
from sdar_cli.recipe.sections.section import Count, GiB, Positive, Section

NO_SECRETS = (
    "holds a user, password or token, which every copy of the recipe would show: leave it out, and put it into "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN (of a database, set "
    "MLFLOW_TRACKING_URI to the whole URI instead)"
)
"""End of the sentence about such a tracking URI."""


class Tracking(Section):
    uri: str | None = None
    """MLflow tracking URI; null: ``MLFLOW_TRACKING_URI``, else a SQLite store under the runs folder."""
    spool: GiB = 1.0
    """GiB that may wait on disk for a store that is away; above that the oldest traces go, and nothing else does."""
    experiment: str | None = None
    """null: the recipe's name."""
    traces: Count = 4
    """Episodes traced per evaluation and per traced training step."""
    trace_every: Positive = 25
    system_metrics: bool = True
    group: str | None = None
    """A name that runs share, to be found and compared together (``sdar compare --group``)."""
    note: str = ""
    """Shown with the run in MLflow."""
    tags: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w./-]{0,99}$")], str] = {}
    """Tags of the MLflow run, beside those under ``sdar.`` that it always has."""
    registered_model: str | None = None
    """The model in MLflow's registry that the last checkpoint becomes a version of; null: named like the experiment;
    "": none."""
    parent: str | None = None
    """An MLflow run id below which the run is shown; a sweep sets it."""

    @model_validator(mode="after")
    def _uri_tells_nothing(self) -> Tracking:
        if self.uri is not None and without_credentials(self.uri, alone=True) != self.uri:
            raise ValueError(f"tracking.uri {NO_SECRETS}")
        return self
