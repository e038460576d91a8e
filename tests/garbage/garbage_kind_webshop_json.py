"""WebShop's three JSON files, imported into a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from garbage_places import sparse
from harness import Call, Kind, Make, Outcome

NAMES = ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
PRODUCTS: list[Any] = [
    {
        "asin": asin,
        "name": f"Wool Scarf {asin} größer 🦊",
        "query": " Wool Scarf ",
        "category": "fashion",
        "product_category": "Clothing › Scarves",
        "full_description": "A scarf that is warm.",
        "small_description": ["Made of wool", "日本語"],
        "pricing": "$19.50",
        "customization_options": {"Color": [{"value": "Red/Blue "}, {"value": "Green"}]},
        "average_rating": 4.5,
    }
    for asin in ("B000000001", "B2")
]
INSTRUCTIONS: dict[str, Any] = {
    "B000000001": {"attributes": ["wool"], "instruction": "find a scarf", "instruction_attributes": ["wool"]},
    "B9": {},
}
HUMAN: dict[str, Any] = {
    "B2": [{"instruction": "a warm one.", "instruction_attributes": ["wool"], "instruction_options": ["green"]}]
}
TREES = (PRODUCTS, INSTRUCTIONS, HUMAN)
P, Q, H = range(3)
OPTION = (0, "customization_options", "Color")
TEXTS: tuple[list[m.Keys], ...] = (
    [
        *((number, key) for number in (0, 1) for key in ("asin", "name", "query", "product_category", "pricing")),
        (0, "small_description", 1),
        (*OPTION, 0, "value"),
        (1, "full_description"),
    ],
    [("B000000001", "attributes", 0), ("B000000001", "instruction"), ("B000000001", "instruction_attributes", 0)],
    [("B2", 0, "instruction"), ("B2", 0, "instruction_attributes", 0), ("B2", 0, "instruction_options", 0)],
)
"""Texts that an import reads, by file."""
KEYED: tuple[list[m.Keys], ...] = (
    [
        (number, key)
        for number in (0, 1)
        for key in ("asin", "name", "query", "product_category", "full_description", "small_description", OPTION[1])
    ],
    [],
    [("B2", 0, key) for key in ("instruction", "instruction_attributes", "instruction_options")],
)
"""Keys that may not be missing."""


def lay(folder: Path, *contents: bytes | str | None, suffix: str = "", words: Any = ()) -> Call:
    (folder / "source").mkdir()
    for number, (name, tree) in enumerate(zip(NAMES, TREES, strict=True)):
        content = contents[number] if number < len(contents) else None
        content = json.dumps(tree) if content is None else content
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (folder / "source" / (name if number == H else name.replace(".json", f"{suffix}.json"))).write_bytes(data)
    given = list(words) or ["--from", "source"]
    return Call(["data", "webshop", *given, "--data", "new/store", "--json"], outputs=("new",))


def one(folder: Path, which: int, content: bytes | str) -> Call:
    return lay(folder, *(content if number == which else None for number in range(3)))


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    """The hash of all products and goals, and the counts."""
    found = json.loads(outcome.out)
    return {key: found[key] for key in ("digest", "products", "synthetic_goals", "human_goals", "with_options")}


def _file(random: Random) -> int:
    return random.randrange(3)


def cut(folder: Path, random: Random) -> Call:
    which = _file(random)
    return one(folder, which, m.cut(json.dumps(TREES[which]).encode(), random))


def encoding(folder: Path, random: Random) -> Call:
    which = _file(random)
    return one(folder, which, m.not_utf8(json.dumps(TREES[which], ensure_ascii=False).encode(), random))


def spliced(make: Callable[[Random], str], folder: Path, random: Random) -> Call:
    which = _file(random)
    return one(folder, which, m.spliced(TREES[which], random.choice(TEXTS[which]), make(random)))


def size(folder: Path, random: Random) -> Call:
    """Files of ten gigabytes: of zeros, or of one record that does not end."""
    which = _file(random)
    call = lay(folder)
    file = folder / "source" / NAMES[which]
    if random.random() < 0.1:
        file.write_bytes((b"[" if which == P else b"{") + b" " * (17 << 20) + b"1")
    elif random.random() < 0.3:
        file.write_bytes((b'["' if which == P else b'{"') + b"x" * (17 << 20) + b'"')
    else:
        sparse(file, 10 << 30)
    return call


def bomb(folder: Path, random: Random) -> Call:
    """A few options whose choices nobody can count."""
    tree = deepcopy(PRODUCTS)
    count, values = random.choice(((64, 2), (65, 2), (20, 2), (5000, 2), (40, 3), (7, 10), (300, 9), (2, 1001)))
    choices = [{"value": str(value)} for value in range(values)]
    tree[random.randrange(2)][OPTION[1]] = {f"o{number}": choices for number in range(count)}
    both = INSTRUCTIONS | {"B2": INSTRUCTIONS["B000000001"]}
    return lay(folder, json.dumps(tree), json.dumps(both))


def retyped(folder: Path, random: Random) -> Call:
    which = _file(random)
    keys = [key for key in TEXTS[which] if key[-1] != "pricing"]
    key, tree = random.choice(keys), TREES[which]
    values = m.other_types(m.get(tree, key))
    # "nothing" is a value of these
    values = [value for value in values if value is not None or key[-1] not in ("full_description", "instruction")]
    return one(folder, which, json.dumps(m.put(tree, key, random.choice(values))))


def number(folder: Path, random: Random) -> Call:
    which = _file(random)
    at = random.choice([*TEXTS[which], *([(0, "average_rating")] if which == P else [])])
    return one(folder, which, m.spliced(TREES[which], at, m.odd_number(random)))


def missing(folder: Path, random: Random) -> Call:
    which = random.choice((P, H))
    if random.random() < 0.1:
        call = lay(folder)
        (folder / "source" / NAMES[random.choice((P, Q))]).unlink()
        return call
    return one(folder, which, json.dumps(m.without(TREES[which], random.choice(KEYED[which]))))


def misspelt(folder: Path, random: Random) -> Call:
    which = random.choice((P, H))
    return one(folder, which, json.dumps(m.misspelt(TREES[which], random.choice(KEYED[which]), random)))


def empty(folder: Path, random: Random) -> Call:
    which = _file(random)
    content = m.nothing(random)
    if which != P and random.random() < 0.2:
        content = b"[{}]"
    return one(folder, which, b"{}" if which == P and content in (b"[]", b"[1, 2]") else content)


def place(folder: Path, random: Random) -> Call:
    which = _file(random)
    call = lay(folder)
    without = frozenset({"missing"} if which == H else ())
    return j.displaced(call, folder / "source" / NAMES[which], random, without)


def escape(folder: Path, random: Random) -> Call:
    call = lay(folder)
    which, way = _file(random), random.randrange(4)
    file = folder / "source" / NAMES[which]
    if way == 0:
        file.rename(folder / "elsewhere.json")
        file.symlink_to(random.choice(("../elsewhere.json", folder / "elsewhere.json")))
    elif way == 1:
        words = random.choice(
            ("~nobody_here/x", "n" * 300, "/dev/zero", "source/../../x", "a\nb\x1b[2J", "source/none")
        )
        return Call(["data", "webshop", "--from", words, "--data", "new/store", "--json"])
    elif way == 2:
        (folder / "source" / "items_shuffle_2.json").write_text("[]")
    else:  # the store's place is taken by something of the user's
        taken = folder / "new" / random.choice(("store", "store.draft"))
        taken.mkdir(parents=True)
        (taken / "thesis.txt").write_text("years of work")
    return call


def mixed(folder: Path, random: Random) -> Call:
    which = _file(random)
    raw = random.choice((m.half_pair, m.odd_number, m.nested))(random)
    content = m.spliced(TREES[which], random.choice(TEXTS[which]), raw).encode()
    return one(folder, which, content + random.choice((b"\xff", b"}", b"\x00", b"]]")))


REFUSED: dict[str, Make] = {
    "cut": cut,
    "encoding": encoding,
    "surrogate": partial(spliced, m.half_pair),
    "depth": partial(spliced, m.nested),
    "size": size,
    "bomb": bomb,
    "type": retyped,
    "number": number,
    "missing": missing,
    "misspelt": misspelt,
    "empty": empty,
    "place": place,
    "escape": escape,
    "mixed": mixed,
}


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    return lay(folder, *(m.json_spelling(tree, random) for tree in TREES))


def more(folder: Path, random: Random) -> Call:
    """Keys that nobody reads, records that are left out, asins that nothing has."""
    products, instructions, human = deepcopy(TREES)
    for record in products:
        record |= {random.choice(m.WORDS): random.choice((1, None, [], {"a": [1.5e300]}, "\x1b[2J", 2**63 - 1))}
        record["category"] = random.choice(("fashion", record["category"]))
    products += random.choice(
        ([], [{"asin": "nan"}], [{"asin": "x" * 11}], [deepcopy(products[0]) | {"name": "again"}])
    )
    instructions |= {f"X{number}": random.choice(({}, {"attributes": None})) for number in range(random.randrange(9))}
    human |= {"X": []}
    return lay(folder, *map(json.dumps, (products, instructions, human)))


def named(folder: Path, random: Random) -> Call:
    """Other names of the same ending, the file of products named, folders through links."""
    suffix = random.choice(("_1000", "_größer", " x"))
    way = random.randrange(3)
    source = "source" if way == 0 else "link" if way == 1 else f"source/items_shuffle{suffix}.json"
    (folder / "link").symlink_to(random.choice(("source", folder / "source")))
    return lay(folder, suffix=suffix, words=("--from", source))


def linked(folder: Path, random: Random) -> Call:
    call = lay(folder)
    (folder / "source" / "kept").mkdir()
    for name in random.sample(NAMES, random.randint(1, 3)):
        (folder / "source" / name).rename(folder / "source" / "kept" / f"{name}.x")
        (folder / "source" / name).symlink_to(f"kept/{name}.x")
    return call


def spaced(folder: Path, random: Random) -> Call:
    space = " \n\t\r"
    texts = [json.dumps(tree).encode() for tree in TREES]
    return lay(folder, *(random.choice(space).encode() * random.randrange(5000) + text + b"\n" * 99 for text in texts))


KIND = Kind(
    "webshop_json",
    plain,
    REFUSED,
    {"spelling": spelt, "more": more, "name": named, "link": linked, "space": spaced},
    read_back,
    {
        "flip": lambda folder, random: one(folder, P, m.flip(json.dumps(PRODUCTS).encode(), random)),
        "control": lambda folder, random: one(
            folder, P, json.dumps(m.put(PRODUCTS, random.choice(TEXTS[P]), f"$1{random.choice(m.CONTROL)}"))
        ),
    },
)
