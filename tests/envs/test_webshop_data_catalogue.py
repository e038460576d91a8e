"""Generated catalogues: the same everywhere, in the real format, and such that goals can be decided."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop import catalogue as catalogue_module
from sdar_envs.webshop.catalogue import Catalogue, generate
from sdar_envs.webshop.catalogue_files import write_files
from sdar_envs.webshop.catalogue_items import DECIDABLE, GENERATOR, draw_items
from sdar_envs.webshop.catalogue_words import BRANDS, FAMILIES
from sdar_envs.webshop.families import family
from sdar_envs.webshop.store import Store

WORD = re.compile(r"[a-z]+|\d+")


@pytest.fixture(scope="module")
def store() -> Store:
    return Store.open(generate(Catalogue(DECIDABLE, 0)))


def test_the_files_are_the_same_on_every_machine(tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_files(Catalogue(100, 0), folder)
        digests.append({file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in folder.iterdir()})
    assert digests[0] == digests[1]
    # Whoever changes these changes every generated catalogue: raise GENERATOR with them.
    expected = {
        "items_shuffle.json": "73e1f0ba2d6a",
        "items_ins_v2.json": "55f57334a99a",
        "items_human_ins.json": "89b93d89a343",
    }
    assert (GENERATOR, digests[0]) == (1, expected)


def test_the_format_is_the_real_one(tmp_path: Path) -> None:
    write_files(Catalogue(70, 1), tmp_path)
    products, instructions, people = (
        json.loads((tmp_path / name).read_text(encoding="utf-8"))
        for name in ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
    )
    required = {"asin", "name", "query", "category", "product_category", "full_description", "small_description"}
    required |= {"pricing", "images", "customization_options"}
    assert all(required <= set(product) for product in products)
    assert all(re.fullmatch(r"B[A-Z2-9]{9}", product["asin"]) for product in products)
    assert len({product["asin"] for product in products}) == len(instructions) == 70
    assert all(len(product["product_category"].split(" › ")) == 3 for product in products)
    assert {product["category"] for product in products} == {family.name for family in FAMILIES}
    assert all(set(entry) == {"attributes", "instruction", "instruction_attributes"} for entry in instructions.values())
    assert len(people) == 14
    prices = [product["pricing"] for product in products]
    assert None in prices
    assert any(price and price.count("$") == 2 for price in prices)
    counts = {len(product["customization_options"]) for product in products}
    values = {len(values) for product in products for values in product["customization_options"].values()}
    assert (counts, values) == ({0, 1, 2}, {2, 3, 4})


@pytest.mark.parametrize("size", [1, 50, DECIDABLE])
@pytest.mark.parametrize("seed", [0, 1, 2, 99])
def test_attributes_decide_between_products_of_a_kind(size: int, seed: int) -> None:
    items = list(draw_items(Catalogue(size, seed)))
    assert len(items) == len({item.asin for item in items}) == size
    by_kind: dict[str, list[set[str]]] = {}
    for item in items:
        by_kind.setdefault(item.kind.noun, []).append(set(item.attributes))
    for sets in by_kind.values():
        assert not any(one <= other or other <= one for one, other in combinations(sets, 2))


def test_words_name_one_thing_each() -> None:
    nouns = [kind.noun for family in FAMILIES for kind in family.kinds]
    assert len(nouns) == len(set(nouns)) == 42
    assert len(set(BRANDS)) == len(BRANDS)
    for group in FAMILIES:
        for kind in group.kinds:
            assert len(set(kind.attributes)) == 8
            words = [set(attribute.split()) for attribute in kind.attributes]
            assert not any(one <= other or other <= one for one, other in combinations(words, 2))
            assert not set(group.styles) & set().union(*words)
            assert not {value for values in group.options.values() for value in values} & set(kind.attributes)


def test_few_words(store: Store) -> None:
    """A word-level model has to hold them: titles, options and instructions have fewer than 400."""
    words: set[str] = set()
    for goal in (*store.goals(), *store.goals("human")):
        product = store.product(goal.asin)
        options = [word for name, values in product.options.items() for word in (name, *values)]
        words.update(WORD.findall(" ".join([goal.instruction, product.name, *options]).lower()))
    assert len(words) < 400
    assert {word for word in words if word.isdigit()} <= {"00", *map(str, range(6, 11)), *map(str, range(20, 150, 10))}


def test_goals_name_what_titles_say(store: Store) -> None:
    for goal in store.goals():
        product = store.product(goal.asin)
        title, sentence = product.name.lower(), goal.instruction
        assert set(goal.attributes) == set(product.attributes)
        assert all(attribute in title and attribute in sentence for attribute in goal.attributes)
        assert product.query in title.split(",")[0].split()
        assert product.query in sentence
        assert all(f"{name}: {value}" in sentence for name, value in goal.options)
        assert product.price <= goal.price_upper
        assert not set(map(str.lower, BRANDS)) & set(sentence.split())


def test_the_sentence_names_the_family(store: Store) -> None:
    for goal in (*store.goals(), *store.goals("human")):
        assert family(goal.instruction) == store.product(goal.asin).category, goal.instruction


def first_page(store: Store, step: int) -> float:
    goals = list(store.goals())[::step]
    return sum(goal.asin in store.search(goal.instruction, 10) for goal in goals) / len(goals)


def test_the_instruction_finds_its_product(store: Store) -> None:
    goals = list(store.goals())[::9]
    assert all(store.search(store.product(goal.asin).instruction, 1) == [goal.asin] for goal in goals)


def test_a_large_catalogue_repeats_attributes_and_is_still_found_in() -> None:
    large = Store.open(generate(Catalogue(3000, 0)))
    assert first_page(large, 101) > 0.95
    items = list(draw_items(Catalogue(3000, 0)))
    assert len({(item.kind.noun, frozenset(item.attributes)) for item in items}) < 3000
    large.close()


def test_generating_again_does_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    told: list[tuple[int, int]] = []
    folder = generate(Catalogue(8, 0), lambda *at: told.append(at))
    assert told[-1] == (8, 8)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    before = (folder / "store.json").stat().st_mtime_ns
    assert generate(Catalogue(8, 0)) == folder
    assert (folder / "store.json").stat().st_mtime_ns == before
    store = Store.open(folder)
    assert store.manifest.catalogue == {"size": 8, "seed": 0, "generator": GENERATOR}
    assert store.digest == json.loads((folder / "store.json").read_text())["digest"]
    store.close()


def test_generated_twice_at_a_time_it_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))
    meet = threading.Barrier(2)
    fill = catalogue_module.fill

    def both_at_once(*arguments: Any) -> None:
        meet.wait(60)
        fill(*arguments)

    monkeypatch.setattr(catalogue_module, "fill", both_at_once)
    threads = [threading.Thread(target=generate, args=(Catalogue(20, 0),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = Catalogue(20, 0).folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    Store.open(folder).check()


def test_a_stopped_generation_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path))

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(Catalogue(8, 0), stop)
    assert list((tmp_path / "webshop").iterdir()) == []


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentSetupError, match=r"cannot be written to .*: set SDAR_CACHE to a folder"):
        generate(Catalogue(8, 0))
