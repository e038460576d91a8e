"""Where runs are tracked: the one rule for MLflow's store, and how it is shown without credentials."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from sdar_cli.errors import RunError, without_credentials
from sdar_cli.paths import user_path
from sdar_cli.recipe.schema import NO_SECRETS, Recipe

VARIABLE = "MLFLOW_TRACKING_URI"
DATABASE = "mlflow.db"
"""File name of the default store, within the runs folder."""
ARTIFACTS = "mlartifacts"
"""Folder of the default store's artifacts, within the runs folder."""


def runs_root(option: Path | None = None) -> Path:
    """The runs folder: the option, else ``SDAR_RUNS``, else ``./runs``; absolute."""
    return user_path(option or os.environ.get("SDAR_RUNS") or "runs").absolute()


def runs_option(root: Path) -> str:
    """The option that finds the runs again, with a space before it; empty where ``sdar`` looks by itself."""
    return "" if root == runs_root() else f" --runs {shlex.quote(str(root))}"


def tracking_uri(recipe_or_flag: Recipe | str | None, runs_root: Path) -> str:
    """The MLflow tracking URI of a training.

    Order: a flag or the recipe's ``tracking.uri``, then ``MLFLOW_TRACKING_URI``, then a SQLite file in the
    runs folder. A bare path to a ``.db`` file is read as a SQLite store. Only the variable may hold a password, as
    neither files nor lists of processes show it.

    Raises:
        RunError: the value is neither a URI nor a ``.db`` path, or one that holds a password.
    """
    given = recipe_or_flag.tracking.uri if isinstance(recipe_or_flag, Recipe) else recipe_or_flag
    if given and redact(given) != given:
        raise RunError(f"the tracking URI {redact(given)} {NO_SECRETS}")
    uri = given or os.environ.get(VARIABLE)
    if not uri:
        return sqlite_uri(runs_root / DATABASE)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri):
        return uri
    if uri.endswith(".db"):
        return sqlite_uri(Path(uri))
    raise RunError(
        f"the tracking URI {uri!r} is not a URI: write for example http://host:5000 or sqlite:////path/to/mlflow.db"
    )


def sqlite_uri(path: Path) -> str:
    return f"sqlite:///{user_path(path).absolute()}"


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite URI, or None for another store."""
    scheme, separator, path = uri.partition(":///")
    if not separator or not scheme.startswith("sqlite"):
        return None
    return Path(path)


def is_elsewhere(uri: str) -> bool:
    """Whether a store is behind a network: a server, or a database that is one."""
    return bool(re.match(r"(https?|(postgresql|mysql|mssql)(\+\w+)?)://", uri))


def is_own(uri: str, runs_root: Path) -> bool:
    """Whether a store that a run's file names is this folder's: what ``tracking_uri`` says without a recipe, or a file
    in it. Any other one may be somebody's who gave the run away: nothing goes there unasked, as that would show it
    what ``MLFLOW_TRACKING_PASSWORD`` and its like hold."""
    if kept(tracking_uri(None, runs_root)) == uri:
        return True
    file = sqlite_file(uri)
    if file is None:
        return False
    try:
        return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(runs_root))
    except (OSError, ValueError, RuntimeError):  # no path at all, which others may have written
        return False


def is_missing(uri: str) -> bool:
    """Whether it is a SQLite store whose file is gone; opening it would lay out an empty one."""
    file = sqlite_file(uri)
    return file is not None and not os.path.isfile(file)  # which says no to what is no path


def kept(uri: str) -> str:
    """The URI as files of ours hold it: without what ``MLFLOW_TRACKING_URI`` alone may hold."""
    return redact(uri)


def usable(uri: str) -> str:
    """The URI that a file holds, with the password that ``MLFLOW_TRACKING_URI`` has for it."""
    given = os.environ.get(VARIABLE, "")
    return given if given != uri and redact(given) == uri else uri


def redact(uri: str) -> str:
    """The URI without password, token or user name, for display."""
    return without_credentials(uri, alone=True)
