"""Validation errors as sentences: what was wrong, in which file, at which key, and what to do."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from sdar_cli.errors import shortened, without_credentials

MOST = 20
"""Complaints about one recipe; what is wrong in more places is told by these."""
Where = Callable[[str], str]
"""Dotted key → the place that set it, for example ``my.yaml:12`` or ``the override gate.bata=5``."""


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The section class behind an annotation such as ``Lora | None``, or None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for part in typing.get_args(annotation):
            if (found := nested_model(part)) is not None:
                return found
    return None


def schema_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a schema, sections included."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if (nested := nested_model(field.annotation)) is not None:
            keys.extend(schema_keys(nested, f"{prefix}{name}."))
    return keys


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    found = get_close_matches(word, list(choices), n=1, cutoff=cutoff)
    return found[0] if found else None


def nearest_key(dotted: str, keys: Iterable[str]) -> str | None:
    """The key that was probably meant: a sibling with a similar name, or the same name elsewhere."""
    keys = list(keys)
    parent, _, name = dotted.rpartition(".")
    siblings = [key for key in keys if key.rpartition(".")[0] == parent]
    if (sibling := nearest(name, [key.rpartition(".")[2] for key in siblings])) is not None:
        return f"{parent}.{sibling}" if parent else sibling
    same_name = [key for key in keys if key.rpartition(".")[2] == name]
    if len(same_name) == 1:
        return same_name[0]
    return nearest(dotted, keys)


def unknown_key(dotted: str, where: str, keys: Iterable[str]) -> str:
    """The sentence for a key that the schema does not have."""
    keys = list(keys)
    if (meant := nearest_key(dotted, keys)) is not None:
        return f"{where}: there is no key {dotted!r}: did you mean {meant!r}?"
    parent = dotted.rpartition(".")[0]
    siblings = sorted(key for key in keys if key.rpartition(".")[0] == parent)
    if siblings:
        return f"{where}: there is no key {dotted!r}: choose from {', '.join(siblings)}"
    return f"{where}: there is no key {dotted!r}: remove it"


def sentences(
    error: ValidationError,
    where: Where,
    keys: Iterable[str],
    prefix: str = "",
    aliases: Mapping[str, str] = {},
) -> list[str]:
    """One sentence for every wrong key, at most ``MOST``; several complaints about one key (a union's) count once.

    Args:
        where: names the place that set a dotted key.
        keys: the dotted keys that exist.
        prefix: put before every key (``environment.options.``).
        aliases: dotted keys that users type for another one (``gate.temperature``).
    """
    known = {*keys, *aliases}
    by_key: dict[str, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        dotted = _dotted(item["loc"], known, prefix, item["type"])
        by_key.setdefault(dotted, []).append(dict(item))
    return [_sentence(dotted, items, where, known) for dotted, items in islice(by_key.items(), MOST)]


def _dotted(location: tuple[int | str, ...], known: set[str], prefix: str, kind: str) -> str:
    """Pydantic's location as a key; the tails that unions add (``list[str]``) are dropped."""
    dotted = prefix.rstrip(".")
    for part in location:
        candidate = f"{dotted}.{part}" if dotted else str(part)
        if kind not in ("extra_forbidden", "missing") and candidate not in known:
            break
        dotted = candidate
    return dotted


def _sentence(dotted: str, items: list[Mapping[str, Any]], where: Where, known: set[str]) -> str:
    first = items[0]
    kind, value = first["type"], first["input"]
    place = where(dotted)
    if kind == "extra_forbidden":
        return unknown_key(dotted, place, known)
    if kind == "missing":
        return f"{place}: the key {dotted!r} is missing: set it"
    if kind == "value_error":
        return f"{place}: {_hidden(str(first['ctx']['error']), value)}"
    wanted = " or ".join(dict.fromkeys(_wanted(item) for item in items))
    hint = _literal_hint(items, value)
    return f"{place}: {dotted} is {_short(value)}, but must be {wanted}: {hint}"


def _wanted(item: Mapping[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    comparisons = {
        "greater_than": ("gt", "a number above"),
        "greater_than_equal": ("ge", "a number of at least"),
        "less_than": ("lt", "a number below"),
        "less_than_equal": ("le", "a number of at most"),
    }
    if kind in comparisons:
        name, words = comparisons[kind]
        return f"{words} {context[name]:g}"
    names = {
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "string_type": "text",
        "list_type": "a list",
        "tuple_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a section with keys",
        "model_attributes_type": "a section with keys",
    }
    if kind in names:
        return names[kind]
    if kind == "literal_error":
        return str(context["expected"])
    message = str(item["msg"])
    return "something else (" + message[0].lower() + message[1:] + ")"


def _literal_hint(items: list[Mapping[str, Any]], value: Any) -> str:
    choices = [
        word.strip("'")
        for item in items
        if item["type"] == "literal_error"
        for word in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")
    ]
    if isinstance(value, str) and (meant := nearest(value, choices)) is not None:
        return f"did you mean {meant!r}?"
    return "correct the value"


def _short(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(_without_credentials(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _without_credentials(value: Any) -> Any:
    """The first parts of a value, without the credentials in them."""
    if isinstance(value, str):
        return shortened(without_credentials(value, alone=True))
    if isinstance(value, Mapping):
        return {_without_credentials(name): _without_credentials(part) for name, part in islice(value.items(), MOST)}
    return [_without_credentials(part) for part in islice(value, MOST)] if isinstance(value, list) else value


def _hidden(message: str, value: Any) -> str:
    """The message without the credentials in a value that it may show, before anything of it is cut off."""
    for text in islice(_texts(value), 1000):
        shown = without_credentials(text, alone=True)
        if shown != text:
            message = message.replace(text, shown).replace(repr(text)[1:-1], shown)
    return without_credentials(message)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(name)
            yield from _texts(part)
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _texts(part)
