"""A folder of LoRA weights: its configuration, and the base that this names."""

from __future__ import annotations

from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.models.module_patterns import are_names, ends
from sdar_cli.models.settings_files import SIZES, object_of
from sdar_cli.paths import user_path

PATTERNS = ("rank_pattern", "alpha_pattern")
"""Keys of an adapter's configuration whose own keys are modules, by regular expressions."""
EXPRESSIONS = ("target_modules", "exclude_modules")
"""Those which PEFT takes for a regular expression where they are no list."""
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
    settings = object_of(file, any_number=False)
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
        if not _name_modules(name, settings.get(name)):
            raise ModelError(
                f"{file} has {name} that are neither names of modules nor a plain regular expression of them "
                "(docs/lora.md): list the modules by name"
            )
    return settings


def _name_modules(name: str, value: Any) -> bool:
    if name in PATTERNS:
        return value is None or (isinstance(value, dict) and ends(*value, prefix=1))
    return are_names(value) or (name in EXPRESSIONS and isinstance(value, str) and ends(value))
