"""A generated catalogue as the real one's three JSON files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from sdar_envs.webshop.catalogue_items import Catalogue, Item, draw_items
from sdar_envs.webshop.catalogue_words import ASKING, PEOPLE_ASKING, PRAISE
from sdar_envs.webshop.json_files import HUMAN, INSTRUCTIONS, PRODUCTS

PEOPLE_EVERY = 5
"""One product in so many has instructions by people."""


def write_files(catalogue: Catalogue, folder: Path) -> None:
    """Write the three files into ``folder``: the same bytes on every machine."""
    seed = catalogue.seed
    _write(folder / f"{PRODUCTS}.json", "[]", (_line(product_record(item, seed)) for item in draw_items(catalogue)))
    entries = ((item.asin, instruction_entry(item, seed)) for item in draw_items(catalogue))
    _write(folder / f"{INSTRUCTIONS}.json", "{}", (f"{_line(asin)}: {_line(entry)}" for asin, entry in entries))
    people = ((item.asin, human_entries(item, seed)) for item in draw_items(catalogue) if asked_by_people(item))
    _write(folder / HUMAN, "{}", (f"{_line(asin)}: {_line(entry)}" for asin, entry in people))


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(file: Path, brackets: str, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.write(brackets[0])
        for number, line in enumerate(lines):
            out.write(f",\n{line}" if number else f"\n{line}")
        out.write(f"\n{brackets[1]}\n")


def product_record(item: Item, seed: int) -> dict[str, Any]:
    """An element of ``items_shuffle.json``, with some of the keys that an import ignores."""
    named = ", ".join(item.attributes)
    path = (item.family.department, item.kind.section, item.kind.noun)
    options = {
        name.title(): [{"value": value.title(), "image": None, "is_selected": False} for value in values]
        for name, values in item.options.items()
    }
    return {
        "asin": item.asin,
        "category": item.family.name,
        "query": item.kind.noun.title(),
        "product_category": " › ".join(part.title() for part in path),
        "name": f"{item.brand} {f'{item.style} {item.kind.noun}, {named}'.title()}",
        "full_description": f"This is {item.what} by {item.brand}.",
        "small_description": [named.capitalize(), *_draw(item, seed).sample(PRAISE, 2)],
        "pricing": item.pricing,
        "images": [],
        "brand": item.brand,
        "average_rating": "",
        "customization_options": options,
    }


def instruction_entry(item: Item, seed: int) -> dict[str, Any]:
    """A value of ``items_ins_v2.json``."""
    text = _draw(item, seed).choice(ASKING).format(what=item.what, attributes=_joined(item.attributes))
    return {
        "attributes": list(item.attributes),
        "instruction": text,
        "instruction_attributes": list(item.attributes),
    }


def asked_by_people(item: Item) -> bool:
    return item.number % PEOPLE_EVERY == 0


def human_entries(item: Item, seed: int) -> list[dict[str, Any]]:
    """A value of ``items_human_ins.json``: one instruction for one choice of options."""
    rng = _draw(item, seed)
    wanted = [rng.choice(values) for values in item.options.values()]
    options = f" i like {' and '.join(wanted)}." if wanted else ""
    text = rng.choice(PEOPLE_ASKING).format(what=item.what, attributes=_joined(item.attributes), options=options)
    return [
        {
            "asin": item.asin,
            "instruction": text,
            "instruction_attributes": list(item.attributes),
            "instruction_options": wanted,
        }
    ]


def _joined(attributes: tuple[str, ...]) -> str:
    return f"{', '.join(attributes[:-1])} and {attributes[-1]}"


def _draw(item: Item, seed: int) -> Random:
    return Random(f"{seed}/{item.number}/words")
