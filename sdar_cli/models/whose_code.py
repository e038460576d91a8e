"""Whose code may be run where a person asked for a model's own: the recipe's model's, and what a run made of it.

An adapter's folder is a file of somebody's that names a base, and may bring a tokenizer's code: neither is what the
person named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdar_cli.errors import ModelError
from sdar_cli.models.adapter_folder import adapter_base, is_adapter
from sdar_cli.models.settings_files import object_of, short
from sdar_cli.paths import is_folder, user_path

FILES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
"""Those whose ``auto_map`` says where code is."""


def check_base(path: str, base: str, *, own: str | None, trust_remote_code: bool) -> None:
    """
    Args:
        own: the recipe's model; for weights of a run, what that run started from (``own_model``).

    Raises:
        ModelError: the base is an adapter too; or its code would be run, and it is another than the recipe's model or
            the base of the adapter's own run: whose code that is, a file says and no user.
    """
    if is_adapter(base):
        raise ModelError(f"{path!r} holds LoRA weights over others, {base!r}: merge those into whole weights first")
    if trust_remote_code and not _is_own(base, path, own):
        raise ModelError(
            f"{path!r} holds LoRA weights whose base {base!r} is not the recipe's model, so its code is not trusted: "
            "name the base in model.path of the recipe, or do not ask for trust_remote_code"
        )


def check_code(path: str, *, own: str | None) -> None:
    """Look at the code that an adapter's folder would bring, before any of it is run; whole weights pass.

    Raises:
        ModelError: it lies in the folder, which is neither the recipe's model nor a run's; or is that of a repository
            other than the recipe's model, or the base and whose code that names.
    """
    if not is_adapter(path):
        return
    folder, base = user_path(path), adapter_base(path)
    for name in FILES:
        for reference in _references(folder / name):
            repository, elsewhere, _ = reference.partition("--")
            if elsewhere:
                known = repository == base or reference in _references(user_path(base) / name)
                trusted = repository == own or (known and _is_own(base, path, own))
            else:
                trusted = _is_same(path, own) or _run_of(path) is not None
            if not trusted:
                raise ModelError(
                    f"{folder / name} would run code of its own ({short(reference)} in auto_map), and an adapter's is "
                    "not trusted: remove auto_map there, or do not ask for trust_remote_code"
                )


def _is_own(base: str, adapter: str, own: str | None) -> bool:
    if base == own:
        return True
    if not is_folder(base):
        return False
    run, started_from = _run_of(adapter), _run_of(own) if own is not None and is_folder(own) else None
    if started_from is not None and _run_of(base) == started_from:  # which has trained on, and has other checkpoints
        return True
    return _is_same(base, own) or (run is not None and user_path(base).resolve() == run / "base")


def _run_of(folder: str) -> Path | None:
    """The run that a model's folder is a checkpoint or an export of."""
    above = user_path(folder).resolve().parents[1:2]
    return next((run for run in above if (run / "run.json").is_file()), None)


def _is_same(path: str, own: str | None) -> bool:
    return own is not None and is_folder(own) and user_path(path).resolve() == user_path(own).resolve()


def _references(file: Path) -> list[str]:
    """Where a file of settings says that code is; none where there is no such file."""
    return list(_texts(object_of(file, there=False).get("auto_map")))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
