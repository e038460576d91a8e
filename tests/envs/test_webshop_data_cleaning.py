"""How records become products: upstream's rules, one by one (``sdar_envs.webshop.cleaning``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webshop_files import entry, imported, record, written

from sdar_envs.webshop.cleaning import read_product
from sdar_envs.webshop.index_text import index_text
from sdar_envs.webshop.product import Product, from_json, to_json


def test_a_whole_record() -> None:
    assert read_product(record(), entry()) == Product(
        asin="B000000001",
        name="Ada Wool Scarf",
        query="wool scarf",
        category="fashion",
        product_category="Clothing › Scarves › Wool",
        description="A scarf that is warm.",
        bullets=("Made of wool", "Hand wash"),
        prices=(19.5,),
        options={"color": ("red | blue", "green")},
        attributes=("wool", "hand wash"),
        instruction="find me a wool scarf",
        instruction_attributes=("wool",),
    )


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"pricing": None}, "prices", ()),
        ({"pricing": ""}, "prices", ()),
        ({"pricing": ...}, "prices", ()),
        ({"pricing": "$1,299.00"}, "prices", (1299.0,)),
        ({"pricing": "$5"}, "prices", (5.0,)),
        ({"pricing": "from $5.25 each"}, "prices", (5.25,)),
        ({"pricing": "$10.50$20.99"}, "prices", (10.5, 20.99)),
        ({"pricing": "$10.50 - $20.99"}, "prices", (10.5, 20.99)),
        ({"pricing": "$3.00$1.00$2.00"}, "prices", (3.0, 1.0)),
        ({"small_description": []}, "bullets", ()),
        ({"small_description": "one text"}, "bullets", ("one text",)),
        ({"small_description": None}, "bullets", ("",)),
        ({"full_description": None}, "description", ""),
        ({"full_description": ""}, "description", ""),
        ({"customization_options": None}, "options", {}),
        ({"customization_options": {}}, "options", {}),
        ({"customization_options": ""}, "options", {}),
        ({"customization_options": []}, "options", {}),
        ({"customization_options": {"Color": None}}, "options", {}),
        ({"customization_options": {"Color": []}}, "options", {"color": ()}),
        ({"customization_options": {"Fit": [{"value": "A"}, {"value": "a"}]}}, "options", {"fit": ("a", "a")}),
        (
            {"customization_options": {"SIZE": [{"value": "1"}], "Size": [{"value": "2"}]}},
            "options",
            {"size": ("2",)},
        ),
        ({"customization_options": {"Größe": [{"value": " 38/40 Ü "}]}}, "options", {"größe": ("38 | 40 ü",)}),
        ({"query": "  SHOES "}, "query", "shoes"),
        ({"name": "  Ünï 【wool】 \u0000 \U0001f9e3"}, "name", "  Ünï 【wool】 \u0000 \U0001f9e3"),
        ({"images": ..., "average_rating": "n/a", "new_key": {"deep": [1]}}, "name", "Ada Wool Scarf"),
    ],
)
def test_a_rule(changes: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(read_product(record(**changes), None), field) == value


@pytest.mark.parametrize(
    ("given_entry", "attributes", "instruction", "goals"),
    [
        (None, (), "", 0),
        ({}, (), "", 0),
        (entry(attributes=...), (), "find me a wool scarf", 2),
        (entry(attributes=None), (), "find me a wool scarf", 2),
        (entry(attributes=[]), (), "find me a wool scarf", 2),
        (entry(instruction=None), ("wool", "hand wash"), "", 0),
        (entry(instruction=...), ("wool", "hand wash"), "", 0),
        (entry(instruction_attributes=None), ("wool", "hand wash"), "", 0),
        (entry(instruction_attributes=[]), ("wool", "hand wash"), "", 0),
    ],
)
def test_instructions(
    given_entry: Any, attributes: tuple[str, ...], instruction: str, goals: int, tmp_path: Path
) -> None:
    store = imported(tmp_path, None, {} if given_entry is None else {"B000000001": given_entry, "B999": entry()})
    product = store.product("B000000001")
    assert (product.attributes, product.instruction) == (attributes, instruction)
    assert len(store.goals()) == goals
    left_out = store.manifest.counts["instructions_without_attributes"]
    assert left_out == int(given_entry is not None and given_entry.get("instruction_attributes", 1) in (None, []))
    store.close()


def test_asins_that_are_left_out(tmp_path: Path) -> None:
    """Nothing else of such a record is looked at, as upstream."""
    products = [
        {"asin": "nan"},
        record("B1", name="first"),
        {"asin": "B1234567890"},
        record("B1", name="second", pricing="nonsense"),
        record("B123456789"),
        record("nan "),
    ]
    store = imported(tmp_path, products)
    assert [store.product(asin).name for asin in ("B1", "B123456789", "nan ")] == ["first", *["Ada Wool Scarf"] * 2]
    assert len(store) == store.manifest.counts["products"] == 3
    assert store.manifest.counts["doubled_asins"] == 1
    assert store.manifest.counts["unusable_asins"] == 2
    with pytest.raises(KeyError):
        store.product("nan")
    store.close()


def test_of_equal_keys_the_last_counts(tmp_path: Path) -> None:
    twice = '{"B000000001": {"attributes": ["old"]}, "B000000001": {"attributes": ["new"]}}'
    store = imported(tmp_path, None, twice)
    assert store.product("B000000001").attributes == ("new",)
    store.close()


def test_goals_of_people(tmp_path: Path) -> None:
    human = {
        "B000000001": [written(instruction_attributes=[]), written(), written(instruction_options=[])],
        "B999": [written()],
    }
    store = imported(tmp_path, None, None, human)
    assert [goal.id for goal in store.goals("human")] == ["B000000001/human-1", "B000000001/human-2"]
    assert [goal.options for goal in store.goals("human")] == [("green",), ()]
    assert store.manifest.counts["human_without_attributes"] == 1
    store.close()


def test_the_text_that_is_searched() -> None:
    product = read_product(record(customization_options={"Color": [{"value": "Red"}, {"value": "B/W"}]}), entry())
    assert index_text(product) == "ada wool scarf a scarf that is warm. made of wool color: red, b | w"
    two = {"Color": [{"value": "Red"}], "Size": [{"value": "S"}, {"value": "M"}]}
    bare = read_product(record(customization_options=two, full_description="", small_description=[]), None)
    assert index_text(bare) == "ada wool scarf   color: red, and size: s, m"


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)


@given(
    st.builds(
        Product,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXTS,
        st.lists(st.floats(0, 1e6), max_size=2).map(tuple),
        st.dictionaries(TEXT, TEXTS, max_size=3),
        TEXTS,
        TEXT,
        TEXTS,
    )
)
def test_a_product_survives_the_store(product: Product) -> None:
    assert from_json(to_json(product)) == product
