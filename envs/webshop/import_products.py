"""Second part of an import: products and goals into ``store.sqlite``.

    products    number (from 0, the number of its document in the index), asin, content (JSON of the product)
    synthetic   start (number of the first goal), product: for each product that has synthetic goals
    human       number (from 0), product, place (in the file's list), content (JSON of the instruction)

A product's synthetic goals are made from it when they are read (``goals.py``): a few products have thousands.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdar_envs.webshop import batches
from sdar_envs.webshop.cleaning import is_left_out, read_asin, read_product
from sdar_envs.webshop.goals import count_synthetic
from sdar_envs.webshop.import_instructions import Instructions
from sdar_envs.webshop.json_files import Damage, DamagedFile, Sources, read_list
from sdar_envs.webshop.manifest import COUNTS, DATABASE
from sdar_envs.webshop.product import Product, to_json

MOST_CHOICES = 1_000_000
"""Of one product's options: a few real ones have thousands."""
MOST_GOALS = 100_000_000
"""Synthetic ones of a store, which are shuffled in memory."""
_TABLES = (
    "products (number INTEGER PRIMARY KEY, asin TEXT NOT NULL UNIQUE, content TEXT NOT NULL)",
    "synthetic (start INTEGER PRIMARY KEY, product INTEGER NOT NULL)",
    "human (number INTEGER PRIMARY KEY, product INTEGER NOT NULL, place INTEGER NOT NULL, content TEXT NOT NULL)",
)


def import_products(sources: Sources, draft: Path, read: Callable[[int], None]) -> dict[str, int]:
    """Write ``store.sqlite`` into the draft, going on where an earlier call was stopped; returns ``COUNTS``."""
    instructions = Instructions(draft)
    try:
        with batches.open_database(draft / DATABASE) as database:
            for table in _TABLES:
                database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            done = batches.Done.load(database, "products")
            done.counts = dict.fromkeys(COUNTS, 0) | done.counts
            if done.finished:
                read(sources.products.stat().st_size)
                return done.counts
            done.begin(database)
            for number, (where, record) in enumerate(read_list(sources.products, read), start=1):
                if number <= done.records:
                    continue
                _add(database, done, instructions, record, f"{sources.products}: {where}")
                done.records = number
                done.save_now_and_then(database)
            if not done.counts["products"]:
                raise DamagedFile(f"{sources.products} holds no product")
            done.finish(database)
    finally:
        instructions.close()
    return done.counts


def _add(database: sqlite3.Connection, done: batches.Done, instructions: Instructions, record: Any, where: str) -> None:
    try:
        asin = read_asin(record)
    except Damage as damage:
        raise DamagedFile(f"{where} {damage}") from None
    if is_left_out(asin):
        done.count("unusable_asins")
        return
    if database.execute("SELECT 1 FROM products WHERE asin = ?", (asin,)).fetchone():
        done.count("doubled_asins")
        return
    number = done.counts["products"]
    entry = instructions.entry(asin)
    try:
        product = read_product(record, entry)
        if count_synthetic(product) > MOST_CHOICES:
            raise Damage(f"has more than {MOST_CHOICES:,} choices of options")
    except Damage as damage:
        raise DamagedFile(f"{where} (asin {asin!r}) {damage}") from None
    content = to_json(product)
    database.execute("INSERT INTO products VALUES (?, ?, ?)", (number, asin, content))
    done.count("products")
    done.count("with_options", bool(product.options))
    if entry is not None and entry.get("instruction") and not product.instruction:
        done.count("instructions_without_attributes")
    _add_goals(database, done, instructions, number, product, where)


def _add_goals(
    database: sqlite3.Connection,
    done: batches.Done,
    instructions: Instructions,
    number: int,
    product: Product,
    where: str,
) -> None:
    if goals := count_synthetic(product):
        database.execute("INSERT INTO synthetic VALUES (?, ?)", (done.counts["synthetic_goals"], number))
        done.count("synthetic_goals", goals)
        if done.counts["synthetic_goals"] > MOST_GOALS:
            raise DamagedFile(f"{where} brings the choices of options to more than {MOST_GOALS:,}")
    for place, entry in enumerate(instructions.human(product.asin)):
        if entry["attributes"]:
            content = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
            database.execute(
                "INSERT INTO human VALUES (?, ?, ?, ?)", (done.counts["human_goals"], number, place, content)
            )
            done.count("human_goals")
        else:
            done.count("human_without_attributes")
