"""Panels: drawn evenly, the same everywhere, whole on disk, never overlapping training."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from sdar_cli.errors import EnvironmentSetupError, PanelError
from sdar_cli.evaluation.panel import Panel
from sdar_envs.base import Action, Environment, History, Invalid, Message, Observation, Options, Step, Task

FROZEN_IDS = (
    "test/b/9",
    "test/a/4",
    "test/b/12",
    "test/a/8",
    "test/b/0",
    "test/a/10",
)
FROZEN_DIGEST = "395dded76bd3801310affaf7ff11795c0b5f1be9809afa35c8bc6f0883e93d80"


class ToyOptions(Options):
    rules: int = 0
    folder: str = Field("", exclude=True)


class Toy(Environment):
    name = "toy"
    Options = ToyOptions

    def __init__(self, sizes: dict[str, int], options: ToyOptions | None = None) -> None:
        super().__init__(options or ToyOptions())
        self.sizes = sizes

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task(f"{split}/{kind}/{i}", kind) for kind, size in self.sizes.items() for i in range(size)]

    def reset(self, task: Task) -> Observation:
        raise NotImplementedError

    def step(self, action: str) -> Step:
        raise NotImplementedError

    def parse(self, response: str) -> Action | Invalid:
        raise NotImplementedError

    def prompt(self, history: History) -> list[Message]:
        raise NotImplementedError


def types_of(panel: Panel) -> Counter[str]:
    return Counter(task_id.split("/")[1] for task_id in panel.task_ids)


def test_types_share_a_panel_as_evenly_as_the_split_allows() -> None:
    environment = Toy({"clean": 100, "heat": 100, "look": 3, "two": 10})
    assert types_of(Panel.make(environment, "test", 43, 0)) == {"clean": 15, "heat": 15, "look": 3, "two": 10}


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 12), min_size=1),
    st.integers(0, 5),
    st.data(),
)
@settings(max_examples=60)
def test_a_panel_is_even_unrepeated_and_nested(sizes: dict[str, int], seed: int, data: st.DataObject) -> None:
    total = sum(sizes.values())
    size = data.draw(st.integers(1, total))
    environment = Toy(sizes)
    panel = Panel.make(environment, "test", size, seed)
    assert len(panel) == size == len(set(panel.task_ids))
    counts = types_of(panel)
    full = max(counts.values())
    for kind, available in sizes.items():
        assert counts[kind] >= min(available, full - 1)
    assert Panel.make(environment, "test", total, seed).task_ids[:size] == panel.task_ids


def test_a_panel_depends_on_the_seed_and_not_on_the_order_of_the_split() -> None:
    panel = Panel.make(Toy({"a": 20, "b": 20}), "test", 10, 0)
    assert panel == Panel.make(Toy({"b": 20, "a": 20}), "test", 10, 0)
    assert panel.task_ids != Panel.make(Toy({"a": 20, "b": 20}), "test", 10, 1).task_ids


def test_the_drawing_is_frozen() -> None:
    """A change here makes results of earlier versions incomparable: do not mend the numbers."""
    panel = Panel.make(Toy({"a": 20, "b": 20}), "test", 6, 0)
    assert panel.task_ids == FROZEN_IDS
    assert panel.digest == FROZEN_DIGEST


def test_the_hash_knows_every_part_and_no_folder() -> None:
    def digest(split: str = "test", size: int = 5, seed: int = 0, **options: object) -> str:
        return Panel.make(Toy({"a": 9}, ToyOptions(**options)), split, size, seed).digest

    base = digest()
    assert base == digest(folder="elsewhere")
    others = [digest(split="train"), digest(size=4), digest(seed=1), digest(rules=1)]
    assert len({base, *others}) == 5


def test_a_panel_that_cannot_be_drawn_names_the_number_available() -> None:
    with pytest.raises(PanelError, match=r"which has 9: set evaluation\.tasks to a number from 1 to 9"):
        Panel.make(Toy({"a": 9}), "test", 10, 0)
    with pytest.raises(PanelError, match="from 1 to 9"):
        Panel.make(Toy({"a": 9}), "test", 0, 0)
    with pytest.raises(PanelError, match=r"no split 'valid': set evaluation\.split to one of train, test"):
        Panel.make(Toy({"a": 9}), "valid", 1, 0)


def test_tasks_come_in_the_panels_order() -> None:
    environment = Toy({"a": 9, "b": 9})
    panel = Panel.make(environment, "test", 7, 0)
    assert [task.id for task in panel.tasks(environment)] == list(panel.task_ids)


def test_tasks_of_another_world_are_refused() -> None:
    panel = Panel.make(Toy({"a": 9, "b": 9}), "test", 18, 0)
    with pytest.raises(PanelError, match="9 of 18 tasks of the panel are not in split 'test' of toy, for example"):
        panel.tasks(Toy({"a": 9}))
    with pytest.raises(PanelError, match="with other options"):
        panel.tasks(Toy({"a": 9, "b": 9}, ToyOptions(rules=3)))

    class Other(Toy):
        name = "other"

    with pytest.raises(PanelError, match="drawn from toy, not from other"):
        panel.tasks(Other({"a": 9, "b": 9}))


def test_overlap_with_training_is_named() -> None:
    environment = Toy({"a": 9})
    panel = Panel.make(environment, "test", 9, 0)
    panel.check_disjoint(environment.tasks("train"))
    train = [*environment.tasks("train"), Task("test/a/3", "a")]
    with pytest.raises(PanelError, match="1 of 9 tasks of the panel are training tasks, for example 'test/a/3'"):
        panel.check_disjoint(train)


def test_a_split_that_lists_a_task_twice_is_refused() -> None:
    class Twice(Toy):
        def tasks(self, split: str) -> Sequence[Task]:
            return [Task("same", "a"), Task("same", "a"), Task("other", "a")]

    with pytest.raises(PanelError, match="lists 1 tasks twice"):
        Panel.make(Twice({}), "test", 1, 0)


def test_saving_and_loading_gives_the_same_panel(tmp_path: Path) -> None:
    panel = Panel.make(Toy({"a": 9, "ü ": 9}), "test", 12, 3)
    panel.save(tmp_path / "new" / "panel.json")
    assert Panel.load(tmp_path / "new" / "panel.json") == panel
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["panel.json"]


def test_a_task_that_no_file_can_hold_is_a_sentence() -> None:
    with pytest.raises(PanelError, match=r"half of a surrogate pair, which no file can hold: give it another"):
        Panel.make(Toy({"a": 9, "ü\ud800 ": 9}), "test", 12, 3)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("seed", 1, "was edited"),
        ("task_ids", ["test/a/0"], "was edited"),
        ("digest", "0" * 64, "was edited"),
        ("task_ids", [], "empty, repeated"),
        ("task_ids", ["x", "x"], "empty, repeated"),
        ("task_ids", [1], "empty, repeated"),
        ("task_ids", "abc", "no 'task_ids' of type list"),
        ("seed", True, "no 'seed' of type int"),
        ("split", None, "no 'split' of type str"),
        ("task_types", ["a"] * 4, "was edited"),
        ("task_types", ["b"] * 5, "was edited: its checksum"),
        ("task_types", None, "no 'task_types' of type list"),
        ("settings", {"rules": 1}, "was edited: its checksum"),
        ("settings", [], "no 'settings' of type dict"),
        ("checksum", "0" * 64, "was edited: its checksum"),
        ("format", 1, "not of format 1 or 2"),
        ("format", 3, "not of format 1 or 2"),
        ("format", None, "not of format 1 or 2"),
        ("extra", 2, "not of format 1 or 2"),
    ],
)
def test_an_edited_file_is_refused(tmp_path: Path, key: str, value: object, sentence: str) -> None:
    path = tmp_path / "panel.json"
    Panel.make(Toy({"a": 9}), "test", 5, 0).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(PanelError, match=sentence) as error:
        Panel.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("place", [0, 11, 12, 40, 63])
def test_the_hashes_of_an_edited_file_are_shown_where_they_differ(tmp_path: Path, place: int) -> None:
    path = tmp_path / "panel.json"
    Panel.make(Toy({"a": 9}), "test", 5, 0).save(path)
    content = json.loads(path.read_text())
    whole = content["digest"]
    for changed in (whole[:place] + "z" + whole[place + 1 :], whole[:place], f"{whole}z"):
        path.write_text(json.dumps(content | {"digest": changed}))
        with pytest.raises(PanelError) as error:
            Panel.load(path)
        is_now, was = re.search(r"hashes to (\S*), not to (\S*), so", str(error.value)).groups()
        assert is_now != was and len(is_now) <= 13 and len(was) <= 13
        assert is_now.removeprefix("…") in whole and was.removeprefix("…") in changed


def test_a_file_of_format_1_is_read_and_comes_back(tmp_path: Path) -> None:
    made = Panel.make(Toy({"a": 9, "b": 9}, ToyOptions(rules=3)), "test", 5, 0)
    made.save(tmp_path / "new.json")
    content = json.loads((tmp_path / "new.json").read_text())
    old = {key: value for key, value in content.items() if key not in ("task_types", "settings", "checksum")}
    (tmp_path / "old.json").write_text(json.dumps(old | {"format": 1}))
    loaded = Panel.load(tmp_path / "old.json")
    assert loaded == made and loaded.digest == made.digest
    assert (loaded.task_types, loaded.settings, loaded.by_type) == ((), {}, {})
    loaded.save(tmp_path / "again.json")
    assert Panel.load(tmp_path / "again.json").digest == made.digest
    assert len(loaded.tasks(Toy({"a": 9, "b": 9}, ToyOptions(rules=3)))) == 5
    with pytest.raises(PanelError, match="with other options: evaluate with"):
        loaded.tasks(Toy({"a": 9, "b": 9}))


def test_a_panel_knows_its_types_and_the_options_it_was_drawn_with(tmp_path: Path) -> None:
    panel = Panel.make(Toy({"b": 9, "a": 2}, ToyOptions(rules=3, folder="x")), "test", 7, 0)
    panel.save(tmp_path / "panel.json")
    loaded = Panel.load(tmp_path / "panel.json")
    assert loaded.by_type == {"a": 2, "b": 5} and list(loaded.by_type) == ["a", "b"]
    assert [task_id.split("/")[1] for task_id in loaded.task_ids] == list(loaded.task_types)
    assert loaded.settings == {"rules": 3}
    with pytest.raises(PanelError, match=r"with other options \(rules is 3 in the panel and 0 here\): evaluate"):
        loaded.tasks(Toy({"b": 9, "a": 2}))


@pytest.mark.parametrize(
    ("there", "error", "says"),
    [
        (("train",), EnvironmentSetupError, "fetch the data"),
        (("train", "dev"), PanelError, r"no split 'test': set evaluation\.split to one of train, dev"),
    ],
)
def test_a_split_whose_data_are_missing_names_the_environments_remedy(
    there: tuple[str, ...], error: type[Exception], says: str
) -> None:
    """An instance that lists a part of its class's splits lacks data; one with others has other splits."""

    class Partial(Toy):
        def tasks(self, split: str) -> Sequence[Task]:
            raise EnvironmentSetupError("fetch the data")

    environment = Partial({"a": 9})
    environment.splits = there
    with pytest.raises(error, match=says):
        Panel.make(environment, "test", 1, 0)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"3", b"[" * 100_000])
def test_a_file_that_is_no_panel_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "panel.json"
    path.write_bytes(content)
    with pytest.raises(PanelError, match="give a file that sdar wrote"):
        Panel.load(path)
    with pytest.raises(PanelError, match=r"none\.json does not exist: give a file"):
        Panel.load(tmp_path / "none.json")
