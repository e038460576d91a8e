"""A model's folder, looked at before any library reads it: whoever made it, what is wrong is one sentence.

Weights are safetensors and nothing else; configurations are JSON with sizes that a model can have, which fit the
weights; nothing is a pipe. All of it is seen without torch, in milliseconds.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.models.safetensors_header import shapes
from sdar_cli.paths import is_folder, user_path
from sdar_cli.reading import Missing, Unreadable, parse_json, read_json, read_text

CONFIG, GENERATION, TEMPLATE = "config.json", "generation_config.json", "chat_template.jinja"
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SETTINGS = (GENERATION, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json")
"""Further files that libraries read as JSON objects."""
LARGEST = 16 << 20
"""Bytes of a file of settings."""
MOST_FILES = 20_000
OTHERS = re.compile(r".*\.(bin|pt|pth|pkl|pickle|ckpt|h5|msgpack|gguf|npz|onnx)", re.IGNORECASE)
"""Weights in a form that is not read: most of these can run code."""
SIZES = {
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "num_hidden_layers": 1 << 12,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "head_dim": 1 << 16,
    "vocab_size": 1 << 24,
    "max_position_embeddings": 1 << 31,
}
"""Numbers of a ``config.json``, and the largest that each may be."""
_INFINITE = re.compile(r"(?<=[\s\[:,])-?Infinity(?=[\s\],}])")
"""Which Python's JSON writes, and which configurations of state-space models hold."""
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
    adapter = (folder / ADAPTER).is_file()
    if not adapter and not (folder / CONFIG).is_file():
        raise ModelError(f"the folder {path!r} holds no config.json: give the folder of a Hugging Face model")
    config = read_config(folder) if (folder / CONFIG).is_file() else {}
    for name in SETTINGS:
        settings = _object(folder / name, there=False)
        if name == GENERATION:
            ends_of(settings, folder / name)
    if adapter:
        adapter_settings(path)
    if weights:
        _check_weights(folder, config, adapter=adapter)


def is_adapter(path: str) -> bool:
    """Whether LoRA weights lie in the folder."""
    return (user_path(path) / ADAPTER).is_file()


def adapter_base(path: str) -> str:
    """The folder or hub id of the weights under an adapter. Raises ModelError where it is not said."""
    return adapter_settings(path)["base_model_name_or_path"]


def adapter_settings(path: str) -> dict[str, Any]:
    """An adapter's configuration, its base and rank well-formed.

    Raises:
        ModelError: it cannot be read, or PEFT would fail at it, import a module that it names, or repeat layers.
    """
    file = user_path(path) / ADAPTER
    settings = _object(file)
    base, rank = settings.get("base_model_name_or_path"), settings.get("r")
    if not base:
        raise ModelError(f"{path!r} holds LoRA weights without their base: set base_model_name_or_path in {ADAPTER}")
    if not isinstance(base, str) or "\0" in base:
        raise ModelError(f"{file} has a base_model_name_or_path that is no text: name the folder or hub id of the base")
    if settings.get("peft_type") != "LORA":
        raise ModelError(f"{file} is about another adapter than LoRA (peft_type): give a LoRA folder, or whole weights")
    if type(rank) is not int or not 0 < rank <= SIZES["hidden_size"]:
        raise ModelError(f"{file} has no rank r that an adapter can have: restore it from its source")
    for name in ("megatron_config", "layer_replication"):
        if settings.get(name):
            raise ModelError(f"{file} asks for {name}, which sdar does not do: give an adapter without it")
    for name in ("target_modules", "exclude_modules", "layers_pattern"):
        if not _is_names(settings.get(name)):
            raise ModelError(f"{file} has {name} that are no list of names: list the modules by name")
    return settings


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's ``config.json``, whose sizes a model can have. Raises ModelError."""
    return config_of(folder / CONFIG)


def config_of(file: Path) -> dict[str, Any]:
    """What ``read_config`` reads, of a file. Raises ModelError."""
    config = _object(file)
    for part in _parts(config, file):
        ends_of(part, file)
        for name, most in SIZES.items():
            value = part.get(name)
            for number in value if isinstance(value, list) else [value]:
                if number is not None and (type(number) is not int or not 1 <= number <= most):
                    raise ModelError(
                        f"{file} has a {name} that no model has ({_short(number)}): restore it from its source"
                    )
        heads, width = part.get("num_attention_heads"), part.get("hidden_size")
        if type(heads) is int and type(width) is int and part.get("head_dim") is None and width < heads:
            raise ModelError(f"{file} has more attention heads than hidden_size: restore it from its source")
    return config


def ends_of(settings: Mapping[str, Any], file: Path) -> set[int]:
    """The tokens that end a turn as a configuration declares them.

    Raises:
        ModelError: ``eos_token_id`` is neither a token nor a list of some.
    """
    value = settings.get("eos_token_id")
    ends = value if isinstance(value, list) else [] if value is None else [value]
    if len(ends) > 1000 or any(type(end) is not int or not 0 <= end < SIZES["vocab_size"] for end in ends):
        raise ModelError(f"{file} has an eos_token_id that is no token ({_short(value)}): give its number, or a list")
    return set(ends)


def declared_ends(path: str) -> set[int] | None:
    """Of a folder: by its generation_config.json, else by its config.json; None where it is no folder."""
    if not is_folder(path):
        return None
    folder = user_path(path)
    for name in (GENERATION, CONFIG):
        settings = _object(folder / name, there=False)
        if settings:
            parts = _parts(settings, folder / name) if name == CONFIG else [settings]
            return set().union(*(ends_of(part, folder / name) for part in parts))
    return set()


def _check_kinds(folder: Path) -> None:
    """No pipe, device or socket among the files, which would block whoever opens them."""
    try:
        for number, entry in enumerate((*os.scandir(folder), *_templates(folder))):
            if number > MOST_FILES:
                raise ModelError(f"the folder {folder} holds more than {MOST_FILES} files: give a model's own folder")
            try:
                mode = entry.stat().st_mode
            except OSError:  # a link that leads nowhere is no file that anything would open
                continue
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ModelError(f"{entry.path} is no ordinary file: give the folder of a Hugging Face model")
        read_template(folder)
    except OSError as error:
        raise ModelError(f"the folder {folder} cannot be read ({error.strerror}): give another model") from None


def _templates(folder: Path) -> Iterator[os.DirEntry[str]]:
    further = folder / "additional_chat_templates"
    return os.scandir(further) if further.is_dir() else iter(())


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
    places = _object(file).get("weight_map")
    if not isinstance(places, dict) or not all(_is_plain(shard, (".safetensors",)) for shard in places.values()):
        raise ModelError(f"{file} is no index of safetensors in its folder: restore it from its source")
    held = {shard: _shapes(folder, shard) for shard in sorted(set(places.values()))}
    for tensor, shard in places.items():
        if tensor not in held[shard]:
            raise ModelError(f"{folder / shard} lacks the tensor {_short(tensor)} of {INDEX}: restore both")
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


def _object(file: Path, *, there: bool = True) -> dict[str, Any]:
    """A file's JSON object; empty for one that need not be ``there``."""
    try:
        try:
            value = read_json(file, LARGEST)
        except Missing:
            if there:
                raise
            return {}
        except Unreadable as error:
            if "Infinity" not in str(error):
                raise
            value = parse_json(_INFINITE.sub("0", read_text(file, LARGEST)))
        if not isinstance(value, dict):
            raise Unreadable("holds no JSON object")
    except Unreadable as error:
        raise ModelError(f"{file} {error}: restore it from its source, or give another model") from None
    return value


def _parts(config: Mapping[str, Any], file: Path) -> Sequence[Mapping[str, Any]]:
    """The configuration, and that of its language model where it has others too."""
    inner = config.get("text_config")
    if inner is None:
        return [config]
    if not isinstance(inner, dict):
        raise ModelError(f"{file} has a text_config that is no JSON object: restore it from its source")
    return [config, inner]


def _is_plain(name: Any, endings: tuple[str, ...]) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"[\w.-]{1,200}", name)) and name.endswith(endings)


def _is_names(value: Any) -> bool:
    """None, one of PEFT's own words, or names; not the regular expressions that PEFT takes too, since one can be made
    that never ends."""
    if isinstance(value, list):
        return all(isinstance(name, str) and re.fullmatch(r"[\w.-]{1,500}", name) for name in value)
    return value is None or (isinstance(value, str) and re.fullmatch(r"[\w-]{1,500}", value) is not None)


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:59] + "…"
