"""Environments by name: built in, by entry point ``sdar.environments``, or ``path/to/file.py:Class``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sdar_cli.errors import EnvironmentSetupError, RecipeError, several
from sdar_cli.paths import is_file, user_path
from sdar_cli.recipe.explain import nearest, schema_keys, sentences
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_envs import BUILTIN
from sdar_envs.base import Environment, Options

ENTRY_POINTS = "sdar.environments"


def environment_names() -> list[str]:
    """All names that ``environment.name`` accepts beside paths."""
    return sorted({*BUILTIN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def resolve_environment(name: str) -> type[Environment]:
    """The environment class behind a name.

    Raises:
        RecipeError: the name or the class is unknown.
        EnvironmentSetupError: it exists, but cannot be imported.
    """
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].partition(":")
        return _checked(_attribute(_import(module, name), attribute, name), name)
    file, colon, attribute = name.rpartition(":")
    if colon and file.endswith(".py"):
        return _checked(_attribute(_import_file(user_path(file), name), attribute, name), name)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            try:
                found = point.load()
            except (Exception, SystemExit) as error:
                raise EnvironmentSetupError(_cannot_import(name, error)) from error
            return _checked(found, name)
    if name.endswith(".py"):
        raise RecipeError(f"the environment {name!r} names a file without a class: write path/to/file.py:Class")
    meant = nearest(name, environment_names())
    hint = f"did you mean {meant!r}?" if meant else f"choose {', '.join(environment_names())} or path/to/file.py:Class"
    raise RecipeError(f"there is no environment {name!r}: {hint}")


def check_options(section: EnvironmentSection, where: Callable[[str], str] | None = None) -> Options:
    """The section's options, typed by the environment's own ``Options``.

    Args:
        where: names the place that set a dotted key; by default the environment.

    Raises:
        RecipeError: a key is unknown or a value wrong; one sentence each, joined by newlines.
    """
    environment = resolve_environment(section.name)
    try:
        return environment.Options.model_validate_json(json.dumps(section.options))
    except ValidationError as error:
        prefix = "environment.options."
        place = where or (lambda dotted: f"the environment {section.name!r}")
        known = [*schema_keys(environment.Options, prefix)]
        raise RecipeError(several(sentences(error, place, known, prefix))) from None


def build_environment(section: EnvironmentSection) -> Environment:
    """The prototype of an environment: the instance that lists tasks, writes prompts and parses."""
    return resolve_environment(section.name)(check_options(section))


def _import(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentSetupError(_cannot_import(name, error)) from error


def _import_file(path: Path, name: str) -> Any:
    if not is_file(path):
        raise RecipeError(f"the environment {name!r} names {path}, which does not exist: correct the path")
    path = path.resolve()
    module_name = f"sdar_file_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"the environment file {path} cannot be imported: give a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise EnvironmentSetupError(_cannot_import(name, error)) from error
    return module


def _attribute(module: Any, attribute: str, name: str) -> Any:
    if not hasattr(module, attribute):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        meant = nearest(attribute, classes)
        hint = f"did you mean {meant!r}?" if meant else "name a class of that file"
        raise RecipeError(f"the environment {name!r} names the class {attribute!r}, which is not there: {hint}")
    return getattr(module, attribute)


def _checked(candidate: Any, name: str) -> type[Environment]:
    if not (isinstance(candidate, type) and issubclass(candidate, Environment)):
        raise RecipeError(f"the environment {name!r} is not a class of sdar_envs.base.Environment: derive it from that")
    return candidate


def _cannot_import(name: str, error: BaseException) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SystemExit):
        reason = f"it leaves Python with sys.exit({error.code!r})"
    return f"the environment {name!r} cannot be imported ({reason}): install what it needs or mend its file"
