"""Files of a shop that nobody should have written, and stores that were changed: one sentence, from every command."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from webshop_files import entry, imported, record, write, written

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop import import_products, json_files
from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.json_text import HalfCharacters
from sdar_envs.webshop.product import NoProduct, from_json, to_json
from sdar_envs.webshop.store import Store


def refused(call: Callable[[], Any], *words: str) -> str:
    with pytest.raises(EnvironmentSetupError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence and ": " in sentence and len(sentence) < 900
    for word in words:
        assert word in sentence
    return sentence


def not_imported(tmp_path: Path, *words: str) -> None:
    refused(lambda: import_store(tmp_path / "source", tmp_path / "new" / "store"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["source"], "not even the folders on the way"


# --- files ---


def options(count: int, values: int = 2) -> dict[str, Any]:
    return {f"o{number}": [{"value": str(value)} for value in range(values)] for number in range(count)}


@pytest.mark.parametrize("count", [20, 63, 64, 5000])
def test_options_that_explode(tmp_path: Path, count: int) -> None:
    write(tmp_path / "source", [record(customization_options=options(count)), record("B1")])
    not_imported(tmp_path, "record 1 (asin 'B000000001') has more than 1,000,000 choices of options")


def test_options_that_explode_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_products, "MOST_GOALS", 100)
    products = [record(f"B{number}", customization_options=options(6)) for number in range(3)]
    write(tmp_path / "source", products, {f"B{number}": entry() for number in range(3)})
    not_imported(tmp_path, "record 2 brings the choices of options to more than 100")


def test_many_choices_are_fine(tmp_path: Path) -> None:
    store = imported(tmp_path, [record(customization_options=options(19))])
    assert store.manifest.counts["synthetic_goals"] == 2**19
    assert store.goals()[2**19 - 1].options[-1] == ("o9", "1")
    store.close()


HALVES = (r"\ud800", r"\udfff", r"\uD83E", r"x\udc00y", r"\ud83e\ud83e\udde3", r"\ud83eudde3", r"\ud800\\udc00")
WHOLE = (r"\ud83e\udde3", r"\\ud800", r"\\\\ud800", r"\ud7ff", r"\ue000", r"\"\\\"ud8", r"\uD83E\uDDE3\n")


@pytest.mark.parametrize("text", HALVES)
@pytest.mark.parametrize("which", ["name", "key", "ignored", "instruction"])
def test_halves_of_characters(tmp_path: Path, text: str, which: str) -> None:
    files: list[Any] = [json.dumps([record(name="MARK" if which == "name" else "x", MORE="MORE")]), None]
    if which == "instruction":
        files[1] = json.dumps({"B000000001": entry(instruction="MARK")}).replace("MARK", text)
    files[0] = files[0].replace({"name": "MARK", "key": '"MORE":', "ignored": '"MORE"'}.get(which, "!"), "@@", 1)
    files[0] = files[0].replace("@@", {"name": text, "key": f'"{text}":', "ignored": f'"{text}"'}.get(which, ""))
    write(tmp_path / "source", *files)
    not_imported(tmp_path, "holds half of a surrogate pair (\\u")


@given(st.lists(st.sampled_from([*HALVES, *WHOLE, '", "', "é", "\\\\"]), max_size=8), st.integers(1, 20))
def test_halves_are_found_wherever_a_piece_ends(parts: list[str], piece: int) -> None:
    text = f'["{"".join(parts)}"]'
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
        good = True
    except UnicodeEncodeError:
        good = False
    content, found, halves = text.encode(), "", HalfCharacters()
    for start in range(0, len(content), piece):
        found = found or halves.find(content[start : start + piece])
    assert bool(found or halves.find(b"")) is not good


def test_a_record_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "LARGEST_RECORD", 1 << 20)
    write(tmp_path / "source", [record("B0"), record(name="x" * (2 << 20))])
    not_imported(tmp_path, "MiB in one record, after record 1")


def test_long_names_are_cut_in_sentences(tmp_path: Path) -> None:
    write(tmp_path / "source", None, {"A" * 1_000_000: None})
    not_imported(tmp_path, f"asin '{'A' * 39}…' is null")


FILES = ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (Path.mkdir, "is a folder, not a file"),
    "a pipe": (os.mkfifo, "is a pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a link that leaves"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot be followed"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "does not exist"),
    "a link out": (lambda path: path.symlink_to(path.parents[1] / "elsewhere.json"), "is a link that leaves"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILES)
def test_in_a_files_place(tmp_path: Path, name: str, place: str) -> None:
    make, complaint = PLACES[place]
    file = write(tmp_path / "source") / name
    shutil.copy(file, tmp_path / "elsewhere.json")
    file.unlink()
    make(file)
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"), str(file), complaint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere.json", "source"]


def test_a_folder_that_is_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path / "source"))
    inner = tmp_path / "source" / "kept"
    inner.mkdir()
    (tmp_path / "source" / FILES[0]).rename(inner / "x.json")
    (tmp_path / "source" / FILES[0]).symlink_to("kept/x.json")
    import_store(tmp_path / "link", tmp_path / "store")


def test_somebody_elses_folder_in_the_drafts_place_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "source")
    mine = tmp_path / "store.draft"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"), f"{mine} holds something else")
    assert (mine / "thesis.txt").read_text() == "years of work"
    mine.rename(tmp_path / "mine")
    mine.symlink_to(tmp_path / "mine")
    refused(lambda: import_store(tmp_path / "source", tmp_path / "store"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"\xff" * 4000, b"x" * 4096])
@pytest.mark.parametrize("name", ["store.sqlite", "instructions.sqlite", "sources.json"])
def test_a_damaged_draft_does_not_stay_in_the_way(tmp_path: Path, damage: bytes, name: str) -> None:
    """At most one run complains; the next imports."""
    write(tmp_path / "source")

    class Stop(BaseException):
        pass

    def stop(*_: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        import_store(tmp_path / "source", tmp_path / "store", None, stop)
    (tmp_path / "store.draft" / name).write_bytes(damage)
    try:
        import_store(tmp_path / "source", tmp_path / "store")
    except EnvironmentSetupError as error:
        assert "run the same command again" in str(error)
        import_store(tmp_path / "source", tmp_path / "store")
    Store.open(tmp_path / "store").check()


# --- stores ---


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
