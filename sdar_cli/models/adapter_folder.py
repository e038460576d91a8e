"""A folder of LoRA weights: its configuration, and the base that this names."""

from __future__ import annotations

import re
from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.models.settings_files import SIZES, object_of
from sdar_cli.paths import is_folder, user_path

PATTERNS = ("rank_pattern", "alpha_pattern")
"""Keys of an adapter's configuration whose own keys are names of modules."""
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


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
    settings = object_of(file)
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
    for name in ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save", *PATTERNS):
        names = settings.get(name)
        if name in PATTERNS and isinstance(names, dict):
            names = [key.removeprefix("^") for key in names]
        if not _is_names(names):
            raise ModelError(f"{file} has {name} that are no list of names: list the modules by name")
    return settings


def check_base(path: str, base: str, *, own: str | None, trust_remote_code: bool) -> None:
    """
    Args:
        own: the recipe's model.

    Raises:
        ModelError: the base is an adapter too; or its code would be run, and it is another than the recipe's model or
            the base of the adapter's own run: whose code that is, a file says and no user.
    """
    if is_adapter(base):
        raise ModelError(f"{path!r} holds LoRA weights over others, {base!r}: merge those into whole weights first")
    if trust_remote_code and not _is_own(base, path, own):
        raise ModelError(
            f"{path!r} holds LoRA weights whose base {base!r} is not the recipe's model, so its code is not trusted: "
            "set model.path to the base, or do not ask for trust_remote_code"
        )


def _is_own(base: str, adapter: str, own: str | None) -> bool:
    if base == own:
        return True
    if not is_folder(base):
        return False
    folder, run = user_path(base).resolve(), user_path(adapter).resolve().parents[:2]
    return folder in (one / "base" for one in run) or (own is not None and folder == user_path(own).resolve())


def _is_names(value: Any) -> bool:
    """None, one of PEFT's own words, or names; not the regular expressions that PEFT takes too, since one can be made
    that never ends."""
    if isinstance(value, list):
        return all(isinstance(name, str) and re.fullmatch(r"[\w.-]{1,500}", name) for name in value)
    return value is None or (isinstance(value, str) and re.fullmatch(r"[\w-]{1,500}", value) is not None)
