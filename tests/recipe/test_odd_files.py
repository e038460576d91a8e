"""What a recipe, an override, a space or an environment's file may hold, and where it may lie, without an exception."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sdar_cli.environments import check_options, resolve_environment
from sdar_cli.errors import LONGEST, EnvironmentSetupError, RecipeError, SdarError, several
from sdar_cli.paths import user_path
from sdar_cli.recipe.explain import MOST
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.overrides import parse_override
from sdar_cli.recipe.schema import EnvironmentSection, Recipe
from sdar_cli.recipe.yaml_reader import parse, read_file
from sdar_cli.sweep.space import SpaceError, read_word, split_commas


def test_a_pipe_and_a_device_do_not_hold_anyone_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(RecipeError, match="is a pipe, not a file: give the path of a readable"):
        read_file(tmp_path / "pipe.yaml")
    with pytest.raises(RecipeError, match="is a device, not a file"):
        read_file(Path("/dev/zero"))


@pytest.mark.parametrize("escape", ["\\0", "\\a", "\\e", "\\x7f", "\\x9b", "\\ud800", "\\uDFFF", "\\udc00\\ud800"])
def test_no_text_holds_what_no_text_has(escape: str) -> None:
    for text in (f'a: "x{escape}y"', f'"x{escape}": 1', f'a: ["{escape}"]'):
        with pytest.raises(RecipeError, match=r"x:1 holds the character U\+[0-9A-F]{4}, which no text has: remove it"):
            parse(text, "x")


def test_pairs_of_escapes_are_the_letter_that_json_means() -> None:
    assert parse('"\\ud83e\\udd8a": "a\\ud83e\\udd8ab"', "x").value == {"🦊": "a🦊b"}


def test_a_key_has_a_length() -> None:
    assert parse("k" * 200 + ": 1", "x").value == {"k" * 200: 1}
    with pytest.raises(RecipeError, match="has a key of 201 letters: no key is that long"):
        parse("k" * 201 + ": 1", "x")


def test_the_keys_of_tags_hold_dots_in_an_override_too() -> None:
    for text in ("tracking.tags={team.name: ours}", "tracking={tags: {team.name: ours}}"):
        key, value = parse_override(text)
        assert (value if key == "tracking.tags" else value["tags"]) == {"team.name": "ours"}
    with pytest.raises(RecipeError, match="write it as keys within a section"):
        parse_override("gate={a.b: 1}")


def test_an_override_has_a_length_and_a_depth() -> None:
    assert parse_override("a." * 23 + "a=1")[1] == 1
    with pytest.raises(RecipeError, match="has no readable key"):
        parse_override("a." * 24 + "a=1")
    with pytest.raises(RecipeError, match="has 70012 letters: put what is long into a file"):
        parse_override("description=" + "x" * 70_000)


@pytest.mark.parametrize(
    "override",
    [
        *("rollout.tasks=1000000001", "train.steps=1" + "0" * 31, "rollout.history=4294967296", "evaluation.tasks=1e9"),
        *(
            "model.template_kwargs={a: .nan}",
            "model.template_kwargs={a: [{b: .inf}]}",
            "model.template_kwargs={a: 1e999}",
        ),
        *("environment.options={things: 1" + "0" * 30 + "}", "environment.options.wrong_rules=.nan"),
        *("environment.options.things='12'", "environment.options.walk=1", "environment.options.wrong_rules='0.5'"),
    ],
)
def test_numbers_are_those_that_a_run_can_hold(override: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe("quickstart", overrides=[override])


def test_all_counts_have_a_bound() -> None:
    """An unbounded one becomes an OverflowError in some loop, hours later."""

    def counts(section: object, prefix: str = "") -> list[str]:
        found = []
        for name, value in section:
            if isinstance(value, int) and not isinstance(value, bool):
                found.append(prefix + name)
            elif hasattr(value, "model_fields_set"):
                found += counts(value, f"{prefix}{name}.")
        return found

    recipe = load_recipe("quickstart").recipe
    assert isinstance(recipe, Recipe)
    found = counts(recipe)
    assert {"train.keep_best", "rollout.tasks", "seed", "model.tiny.width", "warmup.batch"} < set(found)
    for key in found:
        with pytest.raises(RecipeError, match=rf"{key} is {10**12}, but must be "):
            load_recipe("quickstart", overrides=[f"{key}={10**12}"])


@pytest.mark.parametrize(
    "key",
    [
        *("environment.timeout", "environment.worker_memory", "engine.patience", "engine.request_timeout"),
        "tracking.spool",
    ],
)
def test_no_clock_and_no_memory_takes_any_number(key: str) -> None:
    """As milliseconds of a poll, bytes or a thread's timeout, what is larger is an OverflowError in the middle of a
    run."""
    assert load_recipe("quickstart", overrides=[f"{key}=1e6"])
    for number in ("1000001", "1e7", "1e10", "1e305", "0"):
        with pytest.raises(RecipeError, match=key):
            load_recipe("quickstart", overrides=[f"{key}={number}"])


def test_many_mistakes_are_told_by_some(tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text("environment: household\n" + "".join(f"wrong_{number}: {number}\n" for number in range(5000)))
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(file))
    assert len(str(caught.value).splitlines()) == MOST


def test_a_file_at_the_bounds_is_read_in_time(tmp_path: Path) -> None:
    file = tmp_path / "tags.yaml"
    file.write_text("extends: quickstart\ntracking:\n  tags:\n" + "".join(f"    t{n}: x\n" for n in range(9000)))
    before = time.process_time()
    assert len(load_recipe(str(file)).origins) > 9000
    assert time.process_time() - before < 10, "with every key looked for among all, it takes a minute"


def test_a_value_of_many_parts_is_shown_in_time() -> None:
    before = time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe("quickstart", overrides=["seed=[" + "'a:b@c', " * 6000 + "]"])
    assert "b@c" not in str(caught.value).replace("***@c", "") and len(str(caught.value)) < 300
    assert time.process_time() - before < 10, "without a bound it takes minutes"


def test_a_sentence_is_a_line() -> None:
    for end in "\n\r\v\f\x1c\x85\u2028\u2029":
        assert len(str(SdarError(f"{end}a{end}b: c")).splitlines()) == 1
    assert str(SdarError(several(["a\nb", "c"]))) == "a\\nb\nc"
    long = str(SdarError("head " + "x" * 10**6 + " tail: do this"))
    assert len(long) <= LONGEST and long.startswith("head x") and long.endswith("x tail: do this")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "~\0x", "~\ud800"])
def test_nobody_has_a_home(name: str) -> None:
    assert user_path(name) == Path(name)
    with pytest.raises(RecipeError):
        load_recipe(name)


# Spaces of a study


@pytest.mark.parametrize(
    "word",
    [
        *("gate.beta=0..1e308/1e-300", "gate.beta=-1e308..1e308", "gate.beta=log:1e-999..1", "gate.beta=0..1/1e-400"),
        *("gate.beta=" + "1," * 1001 + "0", "description=" + "x" * 70_000 + ",y"),
    ],
)
def test_an_axis_is_one_that_can_be_counted(word: str) -> None:
    with pytest.raises(SpaceError):
        read_word(word)


def test_splitting_takes_time_by_the_letter() -> None:
    text = "[a, 'b, c'], d," * 70_000
    before = time.process_time()
    assert len(split_commas(text)) == 140_001
    assert time.process_time() - before < 10


# Environments in files


def environment(tmp_path: Path, code: str) -> str:
    (tmp_path / "world.py").write_text(code)
    return f"{tmp_path}/world.py:World"


@pytest.mark.parametrize("code", ["import sys\nsys.exit(7)", "raise SystemExit", "1/0", "x = '", "\0"])
def test_a_file_that_leaves_python_is_a_sentence(tmp_path: Path, code: str) -> None:
    with pytest.raises(EnvironmentSetupError, match="cannot be imported"):
        resolve_environment(environment(tmp_path, code))


def test_a_folder_that_is_no_utf8_has_environments(toy: Path) -> None:
    folder = toy.parent / "caf\udce9"
    folder.mkdir()
    (folder / "toy.py").write_text(toy.read_text("utf-8"))
    assert resolve_environment(f"{folder}/toy.py:Toy").name == "toy"


OWN_OPTIONS = """
from pathlib import Path
from sdar_envs import base

class World(base.Environment):
    name = "world"

    class Options(base.Options):
        folder: Path = Path()
        pair: tuple[int, int] = (1, 2)
        share: float = 0.5

    tasks = reset = step = parse = prompt = lambda self, *words: None
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., object]:
    name = environment(tmp_path, OWN_OPTIONS)
    return lambda **options: check_options(EnvironmentSection(name=name, options=options))


def test_options_take_what_yaml_can_say(own: Callable[..., object]) -> None:
    found = own(folder="/data", pair=[3, 4], share=1)
    assert (found.folder, found.pair, found.share) == (Path("/data"), (3, 4), 1.0)


@pytest.mark.parametrize("options", [{"share": "0.5"}, {"pair": ["3", 4]}, {"pair": [True, 4]}, {"folder": 3}])
def test_options_take_no_text_for_a_number(own: Callable[..., object], options: dict) -> None:
    with pytest.raises(RecipeError):
        own(**options)
