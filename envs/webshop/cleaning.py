"""Records of the catalogue's files to products, by the rules of upstream's ``load_products``.

Products
- An asin that is the text ``nan``, or longer than 10 characters, is left out, before anything else is looked at;
  so is every asin after its first time (``import_products.py``).
- ``query`` is lower-cased and stripped; ``name``, ``category``, ``product_category`` stay as they are. Nothing
  reads ``category``: where it is no text, it is empty.
- ``small_description`` is a list of bullets, or a text that is the one bullet.
- ``pricing``: missing, null or empty is no price (the shop takes 100 dollars). Otherwise what follows each ``$``
  is a price when all but digits and points is dropped; of several, the first two are the range.
- ``customization_options``: null or empty has no options; a null option is left out. Names are lower-cased (the
  last of equal ones counts); values are stripped, ``/`` becomes `` | ``, and lower-cased; doubles stay.
- All other keys (images, ratings, sellers, reviews …) are ignored.

Instructions
- An asin without an entry, or an entry without ``attributes``, has no attributes.
- No ``instruction``, or one without ``instruction_attributes``, gives no synthetic goal; goals of people
  without ``instruction_attributes`` are left out, before anything else of them is looked at.

Two rules are milder than upstream, which stops at such records: a null ``full_description`` or
``small_description`` is empty, and so is an empty list of bullets.
"""

from __future__ import annotations

import math
import re
from typing import Any

from sdar_envs.webshop.json_files import Damage, short
from sdar_envs.webshop.product import Product

LONGEST_ASIN = 10

Row = dict[str, Any]


def read_asin(record: Any) -> str:
    """The asin of a product's record; ``is_left_out`` says whether the rest matters."""
    if not isinstance(record, dict):
        raise Damage(f"is {_kind(record)}, not a product")
    asin = _text(record, "asin")
    if not asin:
        raise Damage("has an empty 'asin'")
    return asin


def is_left_out(asin: str) -> bool:
    return asin == "nan" or len(asin) > LONGEST_ASIN


def read_product(record: Row, entry: Row | None) -> Product:
    """A product from its record and its entry as ``read_instructions`` returned it.

    Raises:
        Damage: a key is missing, or a value is not what it should be.
    """
    entry = entry or {}
    attributes = tuple(entry.get("instruction_attributes", ()))
    category = record.get("category")
    return Product(
        asin=record["asin"],
        name=_text(record, "name"),
        query=_text(record, "query").lower().strip(),
        category=category if isinstance(category, str) else "",
        product_category=_text(record, "product_category"),
        description=_text(record, "full_description", or_null=True),
        bullets=_bullets(record),
        prices=_prices(record.get("pricing")),
        options=_options(record),
        attributes=tuple(entry.get("attributes", ())),
        instruction=entry.get("instruction", "") if attributes else "",
        instruction_attributes=attributes,
    )


def read_instructions(entry: Any) -> Row:
    """The parts of an entry of ``items_ins_v2*.json`` that are there."""
    if not isinstance(entry, dict):
        raise Damage(f"is {_kind(entry)}, not a mapping")
    found: Row = {}
    for key in ("attributes", "instruction_attributes"):
        if entry.get(key) is not None:
            found[key] = _texts(entry, key)
    if entry.get("instruction") is not None:
        found["instruction"] = _text(entry, "instruction")
    return found


def read_human(entries: Any) -> list[Row]:
    """The goals that people wrote for a product: instruction, attributes, options; nothing else without attributes."""
    if not isinstance(entries, list):
        raise Damage(f"is {_kind(entries)}, not a list")
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise Damage(f"has {_kind(entry)}, not a mapping, as instruction {number + 1}")
        attributes = _texts(entry, "instruction_attributes")
        found.append(
            {
                "instruction": _text(entry, "instruction") if attributes else "",
                "attributes": attributes,
                "options": _texts(entry, "instruction_options") if attributes else [],
            }
        )
    return found


def _bullets(record: Row) -> tuple[str, ...]:
    if isinstance(record.get("small_description"), list):
        return tuple(_texts(record, "small_description"))
    return (_text(record, "small_description", or_null=True),)


def _prices(pricing: Any) -> tuple[float, ...]:
    if pricing is None or pricing == "":
        return ()
    if not isinstance(pricing, str):
        raise Damage(f"has {_kind(pricing)} as 'pricing', not a text")
    try:
        prices = tuple(float(re.sub(r"[^\d.]", "", part)) for part in pricing.split("$")[1:])
    except ValueError:
        prices = ()
    if not prices or not all(map(math.isfinite, prices)):
        raise Damage(f"has the 'pricing' {short(pricing)}, which is no price after a $")
    return prices[:2]


def _options(record: Row) -> dict[str, tuple[str, ...]]:
    given = _value(record, "customization_options")
    if not given:
        return {}
    if not isinstance(given, dict):
        raise Damage(f"has {_kind(given)} as 'customization_options', not a mapping")
    options = {}
    for name, values in given.items():
        if values is None:
            continue
        if not isinstance(values, list):
            raise Damage(f"has {_kind(values)} as its option {short(name)}, not a list")
        cleaned = []
        for value in values:
            if not isinstance(value, dict) or not isinstance(value.get("value"), str):
                raise Damage(f"has an option {short(name)} with a choice that has no text as 'value'")
            cleaned.append(value["value"].strip().replace("/", " | ").lower())
        options[name.lower()] = tuple(cleaned)
    return options


def _value(record: Row, key: str) -> Any:
    if key not in record:
        raise Damage(f"has no {key!r}")
    return record[key]


def _text(record: Row, key: str, or_null: bool = False) -> str:
    value = _value(record, key)
    if value is None and or_null:
        return ""
    if not isinstance(value, str):
        raise Damage(f"has {_kind(value)} as {key!r}, not a text")
    return value


def _texts(record: Row, key: str) -> list[str]:
    values = _value(record, key)
    if not isinstance(values, list):
        raise Damage(f"has {_kind(values)} as {key!r}, not a list of texts")
    for value in values:
        if not isinstance(value, str):
            raise Damage(f"has {_kind(value)} in {key!r}, not a text")
    return values


def _kind(value: Any) -> str:
    """What a JSON value is, for a sentence."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "a number"
