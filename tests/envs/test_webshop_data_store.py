"""A store on disk: what opens, what is found damaged, and how it is searched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from webshop_files import imported, record

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop.catalogue import generate
from sdar_envs.webshop.catalogue_items import Catalogue
from sdar_envs.webshop.location import official_folder, store_folder
from sdar_envs.webshop.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    names = ("Red Wool Scarf", "Blue Wool Hat", "Green Cotton Shirt", "Wool Socks")
    imported(folder, [record(f"B{number}", name=name) for number, name in enumerate(names)]).close()
    return folder / "store"


@pytest.fixture
def store(made: Path) -> Iterator[Store]:
    opened = Store.open(made)
    yield opened
    opened.close()


def test_search_gives_asins_best_first(store: Store) -> None:
    assert store.search("green shirts")[0] == "B2"
    assert store.search("red scarf", 1) == ["B0"]
    assert store.search("cotton", 50) == ["B2"]
    assert store.search("piano") == store.search("") == []
    # all four have the words of the description, and are equal in them but for their lengths
    assert sorted(store.search("warm wool", 50)) == ["B0", "B1", "B2", "B3"]


def test_products_by_asin(store: Store) -> None:
    assert store.product("B3").name == "Wool Socks"
    assert store.product("B3") is store.product("B3")
    assert len(store) == 4
    for unknown in ("b3", "B9", ""):
        with pytest.raises(KeyError):
            store.product(unknown)


def test_a_store_is_never_written_to(made: Path) -> None:
    for path in [made, *made.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(made.rglob("*"))
    store = Store.open(made)
    store.search("wool")
    store.check()
    store.close()
    assert sorted(made.rglob("*")) == before
    for path in [made, *made.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def manifest_changed(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "store.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no database": (lambda folder: (folder / "store.sqlite").unlink(), "is not whole"),
    "short database": (lambda folder: (folder / "store.sqlite").write_bytes(b"SQLite"), "is not as long as"),
    "cut manifest": (lambda folder: (folder / "store.json").write_text("{"), "is damaged"),
    "not a mapping": (lambda folder: (folder / "store.json").write_text("3"), "is damaged"),
    "another format": (manifest_changed(format=0), "another format"),
    "unknown key": (manifest_changed(extra=0), "is damaged"),
    "no index": (lambda folder: shutil.rmtree(folder / "index"), "there is no whole index"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_whole_does_not_open(damage: str, made: Path, tmp_path: Path) -> None:
    change, complaint = DAMAGE[damage]
    shutil.copytree(made, tmp_path / "store")
    Store.open(tmp_path / "store").close()
    change(tmp_path / "store")
    with pytest.raises(EnvironmentSetupError, match=complaint) as caught:
        Store.open(tmp_path / "store")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("old", "new"), [(b"Wool Socks", b"Wool Sacks"), (b"Clothing", b"Clothinq")])
def test_check_finds_changed_content(old: bytes, new: bytes, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "store")
    file = tmp_path / "store" / "store.sqlite"
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new))
    store = Store.open(tmp_path / "store")
    with pytest.raises(EnvironmentSetupError, match=r"is damaged .*: remove the folder and make it again"):
        store.check()
    store.close()


def test_an_absent_store_names_the_ways_to_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSetupError, match="sdar data webshop --from FOLDER") as caught:
        Store.open(tmp_path / "store")
    for way in (str(tmp_path / "store"), "environment.options.data", "SDAR_WEBSHOP", "products=generated"):
        assert way in str(caught.value)


def test_where_a_store_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    monkeypatch.delenv("SDAR_WEBSHOP", raising=False)
    options = SimpleNamespace(products="official", data=None, size=70, seed=3)
    assert store_folder(options) == official_folder(None) == tmp_path / "webshop" / "official"
    monkeypatch.setenv("SDAR_WEBSHOP", "~/shop")
    assert store_folder(options) == Path("~/shop").expanduser()
    options.data = "/elsewhere"
    assert store_folder(options) == Path("/elsewhere")
    options.products = "generated"
    assert store_folder(options) == Catalogue(70, 3).folder
    assert store_folder(options).parent == tmp_path / "webshop"
    assert len({Catalogue(size, seed).folder for size in (70, 71) for seed in (3, 4)}) == 4


@pytest.mark.parametrize("kind", ["synthetic", "human"])
def test_a_goal_is_known_by_its_id(kind: Literal["synthetic", "human"]) -> None:
    store = Store.open(generate(Catalogue(40, 5)))
    goals = store.goals(kind)
    assert [goals.number(goal.id) for goal in goals] == list(range(len(goals)))
    last = goals[-1]
    for unknown in ("", "x", last.asin, f"{last.asin}/", f"{last.asin}/00", f"{last.asin}/{'9' * 30}"):
        assert goals.number(unknown) is None
    for unknown in (f"{last.asin}/human-9999", f"{last.asin}/human-٣", "B000000000/0", "B000000000/human-0"):
        assert goals.number(unknown) is None
    store.close()
