"""A tracking URI with a password comes from the environment alone, and nothing that a run writes shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.errors import RecipeError, RunError
from sdar_cli.recipe.load import load_recipe
from sdar_cli.tracking.location import VARIABLE, kept, tracking_uri, usable

SECRETS = [
    "http://me:Zq9xK@host:5000",
    "https://host:5000/?token=Zq9xK",
    "postgresql://me:Zq9xK@db/mlflow",
]
INSTEAD = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


@pytest.mark.parametrize("uri", SECRETS)
def test_a_recipe_with_one_is_refused_with_the_remedy(uri: str) -> None:
    with pytest.raises(RecipeError, match=INSTEAD) as error:
        load_recipe("quickstart", overrides=[f"tracking.uri={uri}"])
    assert "tracking.uri" in str(error.value) and "Zq9xK" not in str(error.value)


@pytest.mark.parametrize("uri", SECRETS)
def test_so_is_an_option(uri: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=INSTEAD) as error:
        tracking_uri(uri, tmp_path)
    assert "Zq9xK" not in str(error.value)


@pytest.mark.parametrize("uri", SECRETS)
def test_files_hold_none_and_the_variable_is_asked_again(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, uri)
    given = tracking_uri(None, tmp_path)
    assert given == uri and "Zq9xK" not in kept(given)
    assert usable(kept(given)) == uri
    assert load_recipe("quickstart", overrides=[f"tracking.uri={kept(given)}"]).recipe.tracking.uri == kept(given)
    monkeypatch.setenv(VARIABLE, "http://elsewhere:Zq9xK@host2")
    assert usable(kept(given)) == kept(given), "that of another store is not tried"


@pytest.mark.parametrize("uri", ["sqlite:////home/me@work/mlflow.db", "http://host:5000", "databricks://profile"])
def test_others_are_taken(uri: str, tmp_path: Path) -> None:
    assert load_recipe("quickstart", overrides=[f"tracking.uri={uri}"]).recipe.tracking.uri == uri
    assert tracking_uri(uri, tmp_path) == uri
