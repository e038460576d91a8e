"""Small files in WebShop's format, to be imported whole or damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.store import Store


def record(asin: Any = "B000000001", **changes: Any) -> dict[str, Any]:
    """An element of items_shuffle.json; a change to ``...`` drops the key."""
    whole = {
        "asin": asin,
        "name": "Ada Wool Scarf",
        "query": " Wool Scarf ",
        "category": "fashion",
        "product_category": "Clothing › Scarves › Wool",
        "full_description": "A scarf that is warm.",
        "small_description": ["Made of wool", "Hand wash"],
        "pricing": "$19.50",
        "images": ["https://example.org/1.jpg"],
        "customization_options": {"Color": [{"value": "Red/Blue ", "image": None}, {"value": "Green"}], "Size": None},
        "average_rating": 4.5,
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def entry(**changes: Any) -> dict[str, Any]:
    """A value of items_ins_v2.json."""
    whole = {
        "attributes": ["wool", "hand wash"],
        "instruction": "find me a wool scarf",
        "instruction_attributes": ["wool"],
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def written(**changes: Any) -> dict[str, Any]:
    """An element of a value of items_human_ins.json."""
    whole = {
        "instruction": "i would like a warm scarf.",
        "instruction_attributes": ["wool"],
        "instruction_options": ["green"],
        "worker_id": "x",
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def write(folder: Path, products: Any = None, instructions: Any = None, human: Any = None, *, suffix: str = "") -> Path:
    """The three files, of one product where nothing else is said; text and bytes are written as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        f"items_shuffle{suffix}.json": [record()] if products is None else products,
        f"items_ins_v2{suffix}.json": {"B000000001": entry()} if instructions is None else instructions,
        "items_human_ins.json": {"B000000001": [written()]} if human is None else human,
    }
    for name, content in contents.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def imported(folder: Path, *contents: Any) -> Store:
    """The store made of these contents."""
    import_store(write(folder / "source", *contents), folder / "store")
    return Store.open(folder / "store")


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a folder": (Path.mkdir, "is a folder, not a file"),
    "a pipe": (os.mkfifo, "is a pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a link that leaves"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot be followed"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "does not exist"),
    "a link out": (lambda path: path.symlink_to(path.parents[1] / "elsewhere.json"), "is a link that leaves"),
}
"""What may lie in a file's place, and what is said of it; ``elsewhere.json`` lies beside the folder."""


def refused(call: Callable[[], Any], *words: str) -> str:
    """The one sentence that the call raises, which holds these words."""
    with pytest.raises(EnvironmentSetupError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence and ": " in sentence and len(sentence) < 900
    for word in words:
        assert word in sentence
    return sentence
