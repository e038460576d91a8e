"""What a file of safetensors says it holds, read and checked without reading the weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from sdar_cli.reading import Unreadable, open_regular, parse_json

LARGEST = 100_000_000
"""Bytes of a header, as the format has it."""
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Of an element; the size of a type that is not among them is not looked at."""


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in the file, by name.

    Raises:
        Unreadable: it is no whole file of safetensors: the header is no JSON of that form, or its tensors do not fill
            the rest of the file exactly.
    """
    with open_regular(path) as file:
        file.seek(0, 2)
        room = file.tell() - 8
        file.seek(0)
        if room < 0:
            raise Unreadable("is cut short: it has no header of safetensors")
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST:
            raise Unreadable("is not in the safetensors format")
        if length > room:
            raise Unreadable("is cut short: its header goes beyond its end")
        header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise Unreadable("is not in the safetensors format")
    header.pop("__metadata__", None)
    _fill(header, room - length)
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def _fill(header: Mapping[str, Any], room: int) -> None:
    """Tensors follow one another from the first byte to the last."""
    places = sorted((*_place(name, entry), name) for name, entry in header.items())
    reached = 0
    for start, end, name in places:
        if start != reached:
            raise Unreadable(f"is damaged: the tensor {name[:80]!r} does not begin where the one before it ends")
        reached = end
    if reached != room:
        what = "cut short" if reached > room else "longer than its tensors"
        raise Unreadable(f"is {what}: {reached} bytes of weights are said to be there, {room} are")


def _place(name: str, entry: Any) -> tuple[int, int]:
    match entry:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [start, end]} if all(
            type(number) is int and number >= 0 for number in (*shape, start, end)
        ):
            if kind not in BITS or prod(shape) * BITS[kind] == 8 * (end - start):
                return start, end
    raise Unreadable(f"is damaged: the header's entry of the tensor {name[:80]!r} makes no sense")
