from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdar_cli.errors import RunError
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.runs.resolve import ModelFolder, resolve_run
from sdar_cli.runs.store import RunFolder

MLFLOW = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path, resolved: ResolvedRecipe) -> Path:
    for second, name in enumerate(("alpha-one", "alpha-two", "beta")):
        RunFolder.create(tmp_path, resolved, name).update(started=1000.0 + second)
    RunFolder.open(tmp_path / "alpha-one").update(mlflow_run_id=MLFLOW)
    return tmp_path


@pytest.mark.parametrize("reference", [None, "latest", "beta", "bet", "b"])
def test_the_newest_and_by_name(root: Path, reference: str | None) -> None:
    assert resolve_run(reference, root).name == "beta"


def test_by_folder_and_by_mlflow_id(root: Path, tmp_path: Path) -> None:
    assert resolve_run(str(root / "alpha-two"), Path("/nowhere")).name == "alpha-two"
    assert resolve_run(MLFLOW, root).name == "alpha-one"
    assert resolve_run(MLFLOW[:8], root).name == "alpha-one"


def test_models(root: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(RunError, match=r"neither a run \(no run.json\) nor a model"):
        resolve_run(str(model), root)
    (model / "config.json").write_text("{}")
    assert resolve_run(str(model), root) == ModelFolder(str(model), model)
    assert resolve_run("Qwen/Qwen3-1.7B", root) == ModelFolder("Qwen/Qwen3-1.7B", None)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("alpha", "2 runs begin with 'alpha': give more of the name (alpha-one, alpha-two)"),
        ("alpha-tow", "did you mean 'alpha-two'?"),
        ("zzzzzz", "the newest run is 'beta'"),
        ("", "names no run"),
        ("a\0", "names no run"),
        ("~nobody/x", "there is no run or model"),
        ("x" * 300, "there is no run or model"),
        ("./no/such/folder", "there is no run or model"),
    ],
)
def test_what_is_not_there(root: Path, reference: str, says: str) -> None:
    with pytest.raises(RunError) as caught:
        resolve_run(reference, root)
    assert says in str(caught.value)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run in"):
        resolve_run(None, tmp_path / "none")
    with pytest.raises(RunError, match="no run in"):
        resolve_run("something", tmp_path / "none")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_any_text_is_found_or_a_sentence(tmp_path: Path, reference: str) -> None:
    try:
        resolve_run(reference, tmp_path / "none")
    except RunError as error:
        assert str(error)
