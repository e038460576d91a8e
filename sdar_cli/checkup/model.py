"""Whether a recipe's model is here: a folder with all of its files, the hub's cache, or at least on the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdar_cli.checkup.finding import Finding, from_sentence
from sdar_cli.checkup.services import PATIENCE, offline
from sdar_cli.errors import ModelError, RunError
from sdar_cli.models.adapter_folder import is_adapter
from sdar_cli.models.folder import INDEX, WHOLE, check_folder
from sdar_cli.models.settings_files import LARGEST
from sdar_cli.paths import is_folder, user_path
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.recipe.schema import Recipe

SUBJECT = "model"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model")
"""One of these says which tokens there are."""


def model(recipe: Recipe, runs_root: Path) -> Finding:
    """What training starts from."""
    if recipe.init_from is not None:
        return _start(recipe.init_from, runs_root)
    if recipe.model.path is None:
        return Finding(SUBJECT, "ok", "made and warmed up by the run")
    return _path(recipe.model.path)


def _start(reference: str, runs_root: Path) -> Finding:
    from sdar_cli.runs.resolve import ModelFolder, resolve_run

    try:
        target = resolve_run(reference, runs_root)
    except RunError as error:
        return from_sentence(SUBJECT, str(error))
    if isinstance(target, ModelFolder):
        return _path(target.reference)
    checkpoint = target.latest_checkpoint()
    if checkpoint is None:
        remedy = "name a run that has trained, or a model folder, in init_from"
        return Finding(SUBJECT, "problem", f"the run {target.name} has no checkpoint yet", remedy)
    return Finding(SUBJECT, "ok", str(checkpoint.path))


def _path(path: str) -> Finding:
    if is_folder(path):
        return _folder(user_path(path))
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        return Finding(SUBJECT, "problem", f"no folder {path}", "correct model.path, or give --model FOLDER")
    return _cached(path) or _on_the_hub(path)


def _folder(folder: Path) -> Finding:
    def there(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    adapter = is_adapter(str(folder))
    lacking = None if adapter else _lacking(there)
    if lacking is not None:
        remedy = "restore it from its source, or give another folder: --model FOLDER"
        return Finding(SUBJECT, "problem", f"{folder} holds no {lacking}", remedy)
    try:
        check_folder(str(folder))
    except ModelError as error:
        return from_sentence(SUBJECT, str(error))
    return Finding(SUBJECT, "ok", f"{folder}, an adapter" if adapter else str(folder))


def _cached(path: str) -> Finding | None:
    """None where the cache does not hold all of it."""
    from huggingface_hub import try_to_load_from_cache

    def there(name: str) -> Path | None:
        found = try_to_load_from_cache(path, name)
        return Path(found) if isinstance(found, str) else None

    try:
        lacking = _lacking(there)
    except ValueError:  # no repository's name
        return Finding(SUBJECT, "problem", f"{path} is neither a folder nor a hub id", "correct model.path")
    return Finding(SUBJECT, "ok", f"{path}, in the cache") if lacking is None else None


def _lacking(there: Callable[[str], Path | None]) -> str | None:
    """The first file that is missing."""
    if there("config.json") is None:
        return "config.json"
    index = there(INDEX)
    if index is not None:
        try:
            shards = sorted(set(read_json(index, LARGEST)["weight_map"].values()))
        except (Unreadable, KeyError, TypeError, AttributeError):
            return f"readable {INDEX}"
    else:
        shards = [WHOLE]
    for name in shards:
        if there(name) is None:
            return name
    return None if any(there(name) for name in TOKENIZER) else "tokenizer.json"


def _on_the_hub(path: str) -> Finding:
    """Asks the hub, briefly."""
    elsewhere = "or give a local folder: --model FOLDER"
    if (name := offline()) is not None:
        found = f"{path} is not in the cache, and {name} forbids to ask the hub"
        return Finding(SUBJECT, "problem", found, f"unset {name}, {elsewhere}")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        told = HfApi().model_info(path, files_metadata=True, timeout=PATIENCE)
    except GatedRepoError:
        found = f"{path} is gated, and there is no token that may read it"
        return Finding(SUBJECT, "problem", found, f"accept its terms on the hub and set HF_TOKEN, {elsewhere}")
    except RepositoryNotFoundError:
        found = f"{path} is neither a folder here nor a model on the hub that this account sees"
        return Finding(SUBJECT, "problem", found, f"correct model.path, set HF_TOKEN if it is private, {elsewhere}")
    except (HfHubHTTPError, OSError, RuntimeError, ValueError) as error:
        found = f"{path} is not in the cache, and the hub does not answer ({type(error).__name__})"
        return Finding(SUBJECT, "problem", found, f"mend the connection, {elsewhere}")
    except Exception as error:  # the HTTP client's own, whichever the hub's library uses
        found = f"{path} is not in the cache, and the hub does not answer ({type(error).__name__})"
        return Finding(SUBJECT, "problem", found, f"mend the connection, {elsewhere}")
    files = {file.rfilename: file.size or 0 for file in told.siblings or ()}
    weights = sum(size for name, size in files.items() if name.endswith(".safetensors"))
    if not any(name.endswith(".safetensors") for name in files):
        return Finding(
            SUBJECT, "problem", f"{path} has no safetensors weights on the hub", f"take another, {elsewhere}"
        )
    return Finding(SUBJECT, "ok", f"{path}, on the hub: {weights / 2**30:.1f} GiB to fetch")
