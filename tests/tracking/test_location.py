from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.errors import RunError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking.location import is_missing, redact, runs_root, sqlite_file, tracking_uri


def test_the_default_is_a_file_under_the_runs(tmp_path: Path) -> None:
    uri = tracking_uri(None, tmp_path)
    assert uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert sqlite_file(uri) == tmp_path / "mlflow.db"


def test_flag_and_recipe_go_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from-environment")
    assert tracking_uri(None, tmp_path) == "http://from-environment"
    assert tracking_uri("http://flag", tmp_path) == "http://flag"
    recipe = load_recipe("quickstart", overrides=["tracking.uri=http://recipe"]).recipe
    assert tracking_uri(recipe, tmp_path) == "http://recipe"
    assert tracking_uri(load_recipe("quickstart").recipe, tmp_path) == "http://from-environment"


def test_a_bare_database_file(tmp_path: Path) -> None:
    assert tracking_uri(f"{tmp_path}/x.db", Path("/runs")) == f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(RunError, match="is not a URI"):
        tracking_uri("some words", tmp_path)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://me:pw@host/x", "https://***@host/x"),
        (
            "postgresql://u:p%40w@db:5432/mlflow?sslmode=require",
            "postgresql://***@db:5432/mlflow?sslmode=require",
        ),
        (
            "postgresql://host/db?sslmode=verify-full&sslkey=/etc/pg/client.key&sslpassword=x",
            "postgresql://host/db?sslmode=verify-full&sslkey=/etc/pg/client.key&sslpassword=***",
        ),
        ("http://host/?access_token=abc&a=1", "http://host/?access_token=***&a=1"),
        ("sqlite:////runs/mlflow.db", "sqlite:////runs/mlflow.db"),
        ("http://me:pw@[", "http://***@["),
    ],
)
def test_credentials_are_not_shown(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize("path", ["/a\0b", "/" + "a" * 5000, "/nowhere/mlflow.db"])
def test_what_is_no_path_is_missing(path: str) -> None:
    assert is_missing(f"sqlite:///{path}")


def test_the_runs_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path))
    assert runs_root() == tmp_path
    assert runs_root(Path("/other")) == Path("/other")
    monkeypatch.delenv("SDAR_RUNS")
    assert runs_root() == Path.cwd() / "runs"
