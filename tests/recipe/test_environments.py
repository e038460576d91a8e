from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.environments import build_environment, check_options, environment_names, resolve_environment
from sdar_cli.errors import EnvironmentSetupError, RecipeError
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_envs.base import Environment


def test_a_class_in_a_file(toy: Path) -> None:
    found = resolve_environment(f"{toy}:Toy")
    assert issubclass(found, Environment) and found.name == "toy"
    assert resolve_environment(f"{toy}:Toy") is found


def test_options_are_typed(toy: Path) -> None:
    environment = build_environment(EnvironmentSection(name=f"{toy}:Toy", options={"size": 7}))
    assert environment.options.size == 7
    assert check_options(EnvironmentSection(name=f"{toy}:Toy")).size == 3


def test_built_in_names() -> None:
    assert {"household", "alfworld"} <= set(environment_names())
    assert resolve_environment("household").name == "household"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hausehold", "there is no environment 'hausehold': did you mean 'household'?"),
        ("xyzzy", "choose alfworld, household, search-qa, webshop or path/to/file.py:Class"),
        ("nowhere.py:Toy", "names nowhere.py, which does not exist"),
        ("world.py", "names a file without a class"),
        ("{toy}:Tay", "names the class 'Tay', which is not there: did you mean 'Toy'?"),
        ("{toy}:NotOne", "is not a class of sdar_envs.base.Environment"),
    ],
)
def test_names_that_are_none(toy: Path, name: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve_environment(name.format(toy=toy))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["import no_such_package\n", "def f(:\n", "1 / 0\n"])
def test_a_file_that_cannot_be_imported(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(EnvironmentSetupError, match="cannot be imported") as caught:
        resolve_environment(f"{file}:Toy")
    assert "\n" not in str(caught.value)


def test_an_unknown_option_names_the_nearest(toy: Path) -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'environment\.options\.size'\?"):
        check_options(EnvironmentSection(name=f"{toy}:Toy", options={"siz": 1}))
