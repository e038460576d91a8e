"""Damaged files: one sentence that names file and record, and nothing half-imported.

Each class of damage stands beside a file that differs little from it and is imported.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from webshop_files import entry, imported, record, write, written

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.json_files import read_list
from sdar_envs.webshop.json_records import DEEPEST

PRODUCTS, INSTRUCTIONS, HUMAN = "items_shuffle.json", "items_ins_v2.json", "items_human_ins.json"
GOOD = record("B0")
BEYOND = "holds a number beyond 64 bits after record 1"
SECOND = r"record 2 \(asin 'B1'\) "

PRODUCT_DAMAGE: dict[str, tuple[Any, str]] = {
    "empty file": ("", "is empty"),
    "white space": (" \n\t", "is empty"),
    "a mapping": ({"B0": GOOD}, r"does not hold a list \(it starts with '\{'\)"),
    "a text": ('"x"', "does not hold a list"),
    "another kind of file": (b"\x1f\x8b\x08", "does not hold a list"),
    "a byte order mark": (b"\xef\xbb\xbf[]", "does not hold a list"),
    "no product": ([], "holds no product"),
    "only unusable ones": ([{"asin": "nan"}], "holds no product"),
    "cut in a record": ('[{"asin": "nan"}, {"asin": "na', "ends in the middle, after record 1"),
    "cut after a record": ('[{"asin": "nan"}, {"asin": "nan"}', "ends in the middle, after record 2"),
    "cut at the start": ("[", "ends in the middle, at its start"),
    "something after the end": ('[{"asin": "nan"}] {', "is not JSON after record 1"),
    "a trailing comma": ('[{"asin": "nan"},]', "is not JSON after record 1"),
    "NaN": ('[{"asin": "nan"}, {"asin": "B0", "pricing": NaN}]', "is not JSON after record 1"),
    "Infinity": ("[Infinity]", "is not JSON at its start"),
    "single quotes": ("[{'asin': 'B0'}]", "is not JSON at its start"),
    "Latin 1": ('[{"asin": "nan"}, {"asin": "B0", "name": "é"}]'.encode("latin-1"), "is not UTF-8 after record 1"),
    "a bad byte": (b'[{"asin": "B0\xff"}]', "is not UTF-8 at its start"),
    **{
        f"the number {sign}{name}": (f'[{{"asin": "nan"}}, {{"asin": "nan", "x": [{sign}{number}]}}]', BEYOND)
        for name, number in (
            ("9 a hundred thousand times", "9" * 100_000),
            ("9 4,301 times", "9" * 4301),
            ("2^63", str(2**63)),
            ("1e999", "1e999"),
            ("of a huge exponent", "1e" + "9" * 5000),
            ("of a huge whole part", "9" * 5000 + ".5"),
        )
        for sign in (("", "-") if name == "2^63" else ("",))
    },
    **{
        f"nested too deeply, {name}": ('[{"asin": "nan"}, ' + content, "is nested too deeply after record 1")
        for name, content in (
            ("open lists", "[" * 10_000),
            ("both", '[{"a": ' * 10_000),
            ("one more", "[" * DEEPEST + "]" * DEEPEST + "]"),
            ("within a record", '{"asin": "nan", "x": ' + "[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1) + "}]"),
            ("and no JSON", "[" * DEEPEST + "}"),
        )
    },
    "nested too deeply at once": ("[" * 10_000, "is nested too deeply at its start"),
    "a number": ([GOOD, 3], "record 2 is a number, not a product"),
    "null": ([GOOD, None], "record 2 is null, not a product"),
    "a list": ([GOOD, [GOOD]], "record 2 is a list, not a product"),
    "no asin": ([GOOD, record(...)], "record 2 has no 'asin'"),
    "asin null": ([GOOD, record(None)], "record 2 has null as 'asin', not a text"),
    "asin a number": ([GOOD, record(17)], "record 2 has a number as 'asin', not a text"),
    "asin empty": ([GOOD, record("")], "record 2 has an empty 'asin'"),
    **{
        f"no {key}": ([GOOD, record("B1", **{key: ...})], f"{SECOND}has no '{key}'")
        for key in (
            "name",
            "query",
            "product_category",
            "full_description",
            "small_description",
            "customization_options",
        )
    },
    **{
        f"{key} {kind}": ([GOOD, record("B1", **{key: value})], f"{SECOND}has {kind} as '{key}', not a text")
        for key in ("name", "query", "product_category")
        for kind, value in (("null", None), ("a number", 3), ("a list", ["x"]), ("true", True))
    },
    "description a list": ([GOOD, record("B1", full_description=["x"])], f"{SECOND}has a list as 'full_description'"),
    "a bullet null": ([GOOD, record("B1", small_description=["x", None])], f"{SECOND}has null in 'small_description'"),
    "bullets a mapping": ([GOOD, record("B1", small_description={})], f"{SECOND}has a mapping as 'small_description'"),
    **{
        f"price {pricing!r}": ([GOOD, record("B1", pricing=pricing)], f"{SECOND}has the 'pricing' .*no price after a")
        for pricing in ("19.50", "free", "$", "$ ", "$x", "$1.2.3", "$1$", "$.", "$" + "9" * 400)
    },
    "price a number": ([GOOD, record("B1", pricing=19.5)], f"{SECOND}has a number as 'pricing', not a text"),
    "price a list": ([GOOD, record("B1", pricing=[19.5])], f"{SECOND}has a list as 'pricing', not a text"),
    "options a text": ([GOOD, record("B1", customization_options="Color")], f"{SECOND}has a text as 'customization_"),
    "options a list": ([GOOD, record("B1", customization_options=[1])], f"{SECOND}has a list as 'customization_opt"),
    "an option a text": (
        [GOOD, record("B1", customization_options={"Color": "red"})],
        f"{SECOND}has a text as its option 'Color', not a list",
    ),
    **{
        f"a choice {choice!r}": (
            [GOOD, record("B1", customization_options={"Color": [{"value": "red"}, choice]})],
            f"{SECOND}has an option 'Color' with a choice that has no text as 'value'",
        )
        for choice in ("red", None, {}, {"value": None}, {"value": 3})
    },
}
"""Class → content of items_shuffle.json, and what is said of it."""

INSTRUCTION_DAMAGE: dict[str, tuple[Any, str]] = {
    "empty file": ("", "is empty"),
    "a list": ([entry()], "does not hold a mapping"),
    "cut": ('{"B0": {}, "B1": {"attri', "ends in the middle, after asin 'B0'"),
    "NaN": ('{"B0": {}, "B1": NaN}', "is not JSON after asin 'B0'"),
    "a bad byte": (b'{"B0": {}, "B1": "\xff"}', "is not UTF-8 after asin 'B0'"),
    "a huge number": ('{"B0": {}, "B1": {"x": ' + "9" * 5000 + "}}", "holds a number beyond 64 bits after asin 'B0'"),
    "nested too deeply": ('{"B0": {}, "B1": ' + '{"":' * 10_000, "is nested too deeply after asin 'B0'"),
    "an entry null": ({"B1": None}, "asin 'B1' is null, not a mapping"),
    "an entry a list": ({"B1": ["x"]}, "asin 'B1' is a list, not a mapping"),
    "attributes a text": ({"B1": entry(attributes="wool")}, "asin 'B1' has a text as 'attributes', not a list"),
    "an attribute null": ({"B1": entry(attributes=[None])}, "asin 'B1' has null in 'attributes', not a text"),
    "instruction a number": ({"B1": entry(instruction=3)}, "asin 'B1' has a number as 'instruction'"),
    "its attributes a text": (
        {"B1": entry(instruction_attributes="wool")},
        "asin 'B1' has a text as 'instruction_attributes'",
    ),
}

HUMAN_DAMAGE: dict[str, tuple[Any, str]] = {
    "a list": ([written()], "does not hold a mapping"),
    "entries a mapping": ({"B1": written()}, "asin 'B1' is a mapping, not a list"),
    "an entry a text": ({"B1": [written(), "x"]}, "asin 'B1' has a text, not a mapping, as instruction 2"),
    "no instruction": ({"B1": [written(instruction=...)]}, "asin 'B1' has no 'instruction'"),
    "no attributes": ({"B1": [written(instruction_attributes=...)]}, "asin 'B1' has no 'instruction_attributes'"),
    "instruction a number": ({"B1": [written(instruction=3)]}, "asin 'B1' has a number as 'instruction'"),
    "no options": ({"B1": [written(instruction_options=...)]}, "asin 'B1' has no 'instruction_options'"),
    "an option a number": ({"B1": [written(instruction_options=[3])]}, "asin 'B1' has a number in 'instruction_opt"),
    "cut": ('{"B0": [], "B1": [', "ends in the middle, after asin 'B0'"),
}


def refused(tmp_path: Path, contents: tuple[Any, ...], name: str, complaint: str) -> None:
    source = write(tmp_path / "source", *contents)
    with pytest.raises(EnvironmentSetupError, match=complaint) as caught:
        import_store(source, tmp_path / "store")
    sentence = str(caught.value)
    assert sentence.startswith(f"{source / name}")
    assert sentence.endswith(": restore the file from its source")
    assert "\n" not in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("damage", PRODUCT_DAMAGE)
def test_damaged_products(damage: str, tmp_path: Path) -> None:
    content, complaint = PRODUCT_DAMAGE[damage]
    refused(tmp_path, (content,), PRODUCTS, complaint)


@pytest.mark.parametrize("damage", INSTRUCTION_DAMAGE)
def test_damaged_instructions(damage: str, tmp_path: Path) -> None:
    content, complaint = INSTRUCTION_DAMAGE[damage]
    refused(tmp_path, (None, content), INSTRUCTIONS, complaint)


@pytest.mark.parametrize("damage", HUMAN_DAMAGE)
def test_damaged_instructions_of_people(damage: str, tmp_path: Path) -> None:
    content, complaint = HUMAN_DAMAGE[damage]
    refused(tmp_path, (None, None, content), HUMAN, complaint)


VALID: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "an empty mapping of instructions": (None, {}),
    "an empty mapping of people's": (None, None, {}),
    "instructions for unknown asins": (None, {"B9": entry()}, {"B9": [written()]}),
    "an empty list of people's": (None, None, {"B000000001": []}),
    "unknown keys": ([record(extra=[{"deep": None}])], {"B000000001": entry(extra=1)}),
    "no image": ([record(images=None)],),
    "white space around": (' \n[{"asin": "nan"}, ' + "%s" + " ]\n ",),
    **{
        f"{number} in other keys": (f'[{{"asin": "nan", "x": {number}, "y": [{number}]}}, %s]',)
        for number in ("1.5", "3", "-0", "1e300", "1e-999", str(2**63 - 1), str(1 - 2**63))
    },
    "a long fraction in other keys": ('[{"asin": "nan", "x": 0.' + "1" * 5000 + "}, %s]",),
    "texts of digits": ([record(name="9" * 100_000, pricing="$19" + "." + "9" * 5000)],),
    "an escaped surrogate pair": (r'[{"asin": "nan", "x": "\ud83e\udde3"}, %s]',),
    "nested deep": ('[{"asin": "nan", "x": ' + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2) + "}, %s]",),
    "often nested deep": ('[{"asin": "nan", "x": [' + ("[" * 900 + "]" * 900 + ", ") * 20 + "1]}, %s]",),
    "texts of brackets": ([record(name="[" * 100_000, full_description='{"\\[' * 50_000)],),
    "keys of brackets": ([record(**{'[{"\\' * 50_000: ["[{" * 100_000]})],),
    **{f"category {value!r}": ([record(category=value)],) for value in (..., 3)},
    **{
        f"people's {name} {value!r}, without attributes": (
            None,
            None,
            {"B000000001": [written(instruction_attributes=[], **{name: value}), written()]},
        )
        for name in ("instruction", "instruction_options")
        for value in (..., 3)
    },
    "an empty name": ([record(name="")],),
}


@pytest.mark.parametrize("control", VALID)
def test_valid_controls(control: str, tmp_path: Path) -> None:
    import json

    contents = [
        content.replace("%s", json.dumps(record())) if isinstance(content, str) else content
        for content in VALID[control]
    ]
    store = imported(tmp_path, *contents)
    assert len(store) == 1
    store.check()
    store.close()


def test_memory_grows_with_a_record_not_with_its_depth(tmp_path: Path) -> None:
    """A parser that keeps the path to each open list takes 900 MB for the keys of this one."""
    file = tmp_path / "deep.json"
    file.write_text('[{"' + "k" * 1_000_000 + '": ' + "[" * 900 + "]" * 900 + "}]")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_list(file, lambda done: None)) == 1
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
