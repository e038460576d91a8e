"""A model's folder, looked at before any library reads it: whoever made it, what is wrong is one sentence.

Weights are safetensors and nothing else; configurations are JSON with sizes that a model can have, which fit the
weights; nothing that a library opens is a pipe. All of it is seen without torch, in milliseconds.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.models.adapter_folder import ADAPTER, ADAPTER_WEIGHTS, adapter_settings
from sdar_cli.models.safetensors_header import shapes
from sdar_cli.models.settings_files import config_of, ends_of, object_of, parts_of, short
from sdar_cli.paths import is_folder, user_path
from sdar_cli.reading import Missing, Unreadable, read_text

CONFIG, GENERATION, TEMPLATE = "config.json", "generation_config.json", "chat_template.jinja"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SETTINGS = (GENERATION, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json")
"""Further files that libraries read as JSON objects."""
MOST_FILES = 20_000
OTHERS = re.compile(r".*\.(bin|pt|pth|pkl|pickle|ckpt|h5|msgpack|gguf|npz|onnx)", re.IGNORECASE)
"""Weights in a form that is not read: most of these can run code."""
_OPENED = re.compile(
    r".*\.(safetensors|json|jinja|txt|model|py|tokenizer|tiktoken|vocab|codes|bpe|spm)|" + OTHERS.pattern, re.IGNORECASE
)
"""Files that a library may open in a model's folder."""
_LAYER = re.compile(r"model\.layers\.([0-9]{1,6})\..*")
_EMBEDDING = "model.embed_tokens.weight"


def check_folder(path: str, *, weights: bool = True) -> None:
    """A path that looks local must be there, and be a model; a hub id passes.

    Args:
        weights: look at these too.

    Raises:
        ModelError: there is no such folder, or a library could not make a model of what is in it.
    """
    if not is_folder(path):
        if path.startswith((".", "/", "~")) or path.count("/") > 1:
            raise ModelError(
                f"there is no model folder {path!r}: correct model.path, or give a hub id such as Qwen/Qwen3-1.7B"
            )
        return
    folder = user_path(path)
    _check_kinds(folder)
    read_template(folder)
    adapter = (folder / ADAPTER).is_file()
    if not adapter and not (folder / CONFIG).is_file():
        raise ModelError(f"the folder {path!r} holds no config.json: give the folder of a Hugging Face model")
    config = config_of(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    for name in SETTINGS:
        settings = object_of(folder / name, there=False)
        if name == GENERATION:
            ends_of(settings, folder / name)
    if adapter:
        adapter_settings(path)
    if weights:
        _check_weights(folder, config, adapter=adapter)


def declared_ends(path: str) -> set[int] | None:
    """Of a folder: by its generation_config.json, else by its config.json; None where it is no folder."""
    if not is_folder(path):
        return None
    folder = user_path(path)
    for name in (GENERATION, CONFIG):
        settings = object_of(folder / name, there=False)
        if settings:
            parts = parts_of(settings, folder / name) if name == CONFIG else [settings]
            return set().union(*(ends_of(part, folder / name) for part in parts))
    return set()


def _check_kinds(folder: Path) -> None:
    """No pipe, device or socket under a name that a library opens, which would block it."""
    try:
        for number, entry in enumerate(_entries(folder)):
            if number > MOST_FILES:
                raise ModelError(f"the folder {folder} holds more than {MOST_FILES} files: give a model's own folder")
            try:
                mode = entry.stat().st_mode
            except OSError:  # a link that leads nowhere is no file that anything would open
                continue
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and _OPENED.fullmatch(entry.name):
                raise ModelError(f"{entry.path} is no ordinary file: give the folder of a Hugging Face model")
    except OSError as error:
        raise ModelError(f"the folder {folder} cannot be read ({error.strerror}): give another model") from None


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Of the folder, and of that of further templates."""
    for one in (folder, folder / "additional_chat_templates"):
        if one.is_dir():
            with os.scandir(one) as listed:
                yield from listed


def read_template(folder: Path) -> str | None:
    """The text of a chat template that has a file of its own. Raises ModelError."""
    try:
        return read_text(folder / TEMPLATE, 1 << 20)
    except Missing:
        return None
    except Unreadable as error:
        raise ModelError(f"{folder / TEMPLATE} {error}: restore it from its source") from None


def _check_weights(folder: Path, config: Mapping[str, Any], *, adapter: bool) -> None:
    if adapter:
        _shapes(folder, ADAPTER_WEIGHTS)
        return
    named = config.get("transformers_weights")
    if named is not None and not _is_plain(named, (".safetensors", ".safetensors.index.json")):
        raise ModelError(f"{folder / CONFIG} names weights that are no safetensors in its folder: give another model")
    name = named or next((name for name in (WHOLE, INDEX) if (folder / name).is_file()), WHOLE)
    found = _sharded(folder, name) if name.endswith(".json") else _shapes(folder, name)
    _check_fit(folder, config, found)


def _shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    try:
        return shapes(folder / name)
    except Missing:
        raise _without(folder, name) from None
    except Unreadable as error:
        raise ModelError(f"{folder / name} {error}: restore it from its source, or give another model") from None


def _without(folder: Path, name: str) -> ModelError:
    other = next((found for found in sorted(os.listdir(folder)) if OTHERS.fullmatch(found)), None)
    if other is None:
        return ModelError(f"the folder {str(folder)!r} holds no {name}: give a complete Hugging Face folder")
    return ModelError(
        f"the folder {str(folder)!r} holds {other} and no {name}, and sdar reads weights in the safetensors format "
        "only, since others can run code: give a folder that was saved with it"
    )


def _sharded(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all shards; each holds what the index says."""
    file = folder / name
    places = object_of(file).get("weight_map")
    if not isinstance(places, dict) or not all(_is_plain(shard, (".safetensors",)) for shard in places.values()):
        raise ModelError(f"{file} is no index of safetensors in its folder: restore it from its source")
    held = {shard: _shapes(folder, shard) for shard in sorted(set(places.values()))}
    for tensor, shard in places.items():
        if tensor not in held[shard]:
            raise ModelError(f"{folder / shard} lacks the tensor {short(tensor)} of {INDEX}: restore both")
    return {tensor: shape for found in held.values() for tensor, shape in found.items()}


def _check_fit(folder: Path, config: Mapping[str, Any], found: Mapping[str, tuple[int, ...]]) -> None:
    """Numbers that the weights show, where both use the names of Llama and Qwen."""
    shape = found.get(_EMBEDDING, ())
    said: dict[str, int] = dict(zip(("vocab_size", "hidden_size"), shape, strict=False))
    layers = {int(match[1]) for name in found if (match := _LAYER.fullmatch(name))}
    if layers and not config.get("num_nextn_predict_layers"):
        said["num_hidden_layers"] = max(layers) + 1
    for name, number in said.items():
        if type(config.get(name)) is int and config[name] != number:
            raise ModelError(
                f"{folder / CONFIG} says {name} {config[name]}, and the weights beside it have {number}: restore both "
                "from one source"
            )


def _is_plain(name: Any, endings: tuple[str, ...]) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"[\w.-]{1,200}", name)) and name.endswith(endings)
