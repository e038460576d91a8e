"""Stores that were changed: one sentence, from playing and training too."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from webshop_files import PLACES, entry, imported, record, refused, write, written

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.product import NoProduct, from_json, to_json
from sdar_envs.webshop.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    asins = [f"B{number}" for number in range(6)]
    people = {asin: [written()] for asin in asins}
    imported(folder, [record(asin) for asin in asins], {asin: entry() for asin in asins}, people).close()
    return folder / "store"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "store")
    return tmp_path / "store"


def played(folder: Path) -> None:
    """What training and playing read of a store."""
    environment = Webshop(WebshopOptions(data=str(folder), test=2))
    from sdar_envs.webshop import environment as module

    module._shared.cache_clear()
    for split in environment.splits:
        for task in environment.tasks(split)[:2]:
            environment.reset(task)
            environment.step("search[wool scarf]")
            environment.step(f"click[{task.data['goal']['asin'].lower()}]")
            environment.step("click[buy now]")
    environment.facts()


MANIFESTS: dict[str, Any] = {
    "deep": "[" * 100_000,
    "no counts": {"counts": {}},
    "a count of nothing": {"counts": None},
    "a count too large": {"counts": {"products": 10**30}},
    "a count below nothing": {"counts": {"products": -1}},
    "a truth for a count": {"counts": {"products": True}},
    "a fraction": {"counts": {"products": 6.0}},
    "another count": {"counts": {"products": 5}},
    "other goals": {"counts": {"synthetic_goals": 10**9}},
    "other goals of people": {"counts": {"human_goals": 3}},
    "sources of numbers": {"sources": [1]},
    "no sources": {"sources": None},
    "a digest of numbers": {"digest": 7},
    "a digest that is none": {"digest": "x"},
    "bytes of text": {"database_bytes": "x"},
    "a catalogue of text": {"catalogue": "x"},
    "a format of lists": {"format": [1]},
    "a key too many": {"__class__": 1},
}


@pytest.mark.parametrize("damage", MANIFESTS)
def test_a_manifest_is_read_strictly(store: Path, damage: str) -> None:
    file = store / "store.json"
    change = MANIFESTS[damage]
    if isinstance(change, dict):
        content = json.loads(file.read_text())
        for key, value in change.items():
            merged = key == "counts" and value
            content[key] = content["counts"] | value if merged else value
        change = json.dumps(content)
    file.write_text(change)
    refused(lambda: played(store), str(store), "`sdar data webshop`")
    refused(lambda: import_store(write(store.parent / "source"), store), str(store))


@pytest.mark.parametrize("name", ["store.sqlite", "store.json"])
@pytest.mark.parametrize("place", PLACES)
def test_in_a_stores_files_place(store: Path, name: str, place: str) -> None:
    shutil.copy(store / name, store.parent / "elsewhere.json")
    (store / name).unlink()
    PLACES[place][0](store / name)
    refused(lambda: played(store), str(store))


def test_damage_at_any_byte_of_the_database_is_a_sentence(made: Path, tmp_path: Path) -> None:
    """From playing too, which reads only some of it: what it reads is as it was, or is refused."""
    random = Random(0)
    content = bytearray((made / "store.sqlite").read_bytes())
    shutil.copytree(made, tmp_path / "store")
    found = 0
    for _ in range(150):
        place, kept = random.randrange(len(content)), bytes(content)
        for _ in range(random.choice((1, 8, 200))):
            content[(place + random.randrange(200)) % len(content)] ^= 1 << random.randrange(8)
        (tmp_path / "store" / "store.sqlite").write_bytes(content)
        try:
            played(tmp_path / "store")
        except EnvironmentSetupError as error:
            found += 1
            assert str(error).isprintable() and ": remove the folder and make it again" in str(error)
        content[:] = kept
    assert found > 10


TABLES = {
    "a view without end": "DROP TABLE human; CREATE VIEW human AS WITH RECURSIVE x(number) AS (SELECT 1 UNION ALL "
    "SELECT number + 1 FROM x) SELECT number, 1 AS product, 1 AS place, '' AS content FROM x",
    "a column that is computed": "DROP TABLE human; CREATE TABLE human (number INTEGER PRIMARY KEY, product, place, "
    "content AS (hex(zeroblob(100000000))))",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON products BEGIN SELECT 1; END",
    "a table too many": "CREATE TABLE more (x)",
    "a table missing": "DROP TABLE synthetic",
    "no products": "DELETE FROM products",
    "a product missing": "DELETE FROM products WHERE number = 5",
    "a goal of nothing": "UPDATE human SET product = 99",
    "goals of nothing": "UPDATE synthetic SET product = 99",
    "another start": "UPDATE synthetic SET start = 7 WHERE start = (SELECT MAX(start) FROM synthetic)",
    "bytes": "UPDATE products SET content = x'ff00'",
    "not JSON": "UPDATE products SET content = '{'",
    "deep": f"UPDATE products SET content = '{'[' * 100_000}'",
    "no product": "UPDATE products SET content = '{}'",
    "a price of text": "UPDATE products SET content = replace(content, '[19.5]', '[\"x\"]')",
    "a name of numbers": "UPDATE products SET content = replace(content, '\"Ada Wool Scarf\"', '7')",
    "options of text": 'UPDATE products SET content = replace(content, \'["red | blue","green"]\', \'"x"\')',
}


@pytest.mark.parametrize("damage", TABLES)
def test_tables_that_are_not_a_stores(store: Path, damage: str) -> None:
    database = sqlite3.connect(store / "store.sqlite")
    database.executescript(TABLES[damage])
    database.commit()
    database.execute("VACUUM")
    database.close()
    file = store / "store.json"
    size = (store / "store.sqlite").stat().st_size
    file.write_text(json.dumps(json.loads(file.read_text()) | {"database_bytes": size}))
    human = WebshopOptions(data=str(store), test=1, goals="human")
    if "human" in TABLES[damage] or "goal of" in damage:
        refused(lambda: Webshop(human).tasks("test")[0], "store.sqlite is damaged")
    else:
        refused(lambda: played(store), "store.sqlite is damaged")


def test_products_are_read_strictly(made: Path) -> None:
    opened = Store.open(made)
    (product, *_) = opened.products()
    opened.close()
    row = json.loads(to_json(product))
    assert from_json(json.dumps(row)) == product
    for change in (
        {"more": 1},
        {"prices": [1]},
        {"prices": [1.0, 2.0, 3.0]},
        {"prices": None},
        {"bullets": "abc"},
        {"options": []},
        {"options": {"a": "bc"}},
        {"attributes": [None]},
        {"query": None},
    ):
        with pytest.raises(NoProduct):
            from_json(json.dumps(row | change))
    for text in ("", "[]", "7", "[" * 100_000, json.dumps({"asin": "x"}), None, b"\xff"):
        with pytest.raises(NoProduct):
            from_json(text)
