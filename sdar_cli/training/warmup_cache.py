"""Warm-ups by content hash: the same recipe, environment and skills never train the same base twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.files import write_json
from sdar_cli.paths import cache_root
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.runs.disk import disk, make_folder
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.manifest import damage
from sdar_cli.runs.whole import put_in_place, remove_whole, seal
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener
from sdar_cli.training.warmup import WarmupReport, run_warmup, warmup_seed
from sdar_cli.training.warmup_process import fill_cache

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.skills.bank import SkillBank
    from sdar_envs.base import Environment

REPORT = "warmup.json"
LARGEST = 64 * 1024**2
"""Bytes of a report."""
YOUNG = 60.0
"""Seconds that a folder may be without its lock, as it was made a moment ago."""


@dataclass(frozen=True, slots=True)
class WarmBase:
    """A warmed-up base in the cache."""

    key: str
    folder: Path
    report: Mapping
    """``WarmupReport`` as plain data."""


def warmup_key(recipe: Recipe, environment: Environment, bank: SkillBank) -> str:
    """SHA-256 of all that a warm-up depends on: sections of the recipe, environment, skills, code, package versions."""
    from importlib import metadata

    content = {
        "code": code_digest(type(environment)),
        "warmup": recipe.warmup.model_dump(mode="json") | {"required_success": None},
        "seed": warmup_seed(recipe),
        "weights_seed": recipe.seed,
        "model": recipe.model.model_dump(mode="json"),
        "environment": environment.name,
        "options": environment.options.model_dump(mode="json"),
        "skills": recipe.skills.model_dump(mode="json") | {"corrupt": None},
        "bank": bank.digest,
        "rollout": {name: getattr(recipe.rollout, name) for name in ("context", "history", "max_prompt_tokens")},
        "packages": {name: metadata.version(name) for name in ("torch", "transformers", "trl")},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_digest(environment: type[Environment]) -> str:
    """Hash of the sources that shape a base: the environment's, the tiny models', the warm-up's, the prompts'."""
    import inspect

    own = Path(inspect.getfile(environment))
    package = Path(__file__).parent.parent
    files = [own] if own.parent.name not in environment.__module__.split(".") else sorted(own.parent.rglob("*.py"))
    files += sorted((package / "models").glob("*.py")) + sorted((package / "training").glob("warmup*.py"))
    files += [package / "training" / "demonstrations.py", package / "rollout" / "context.py"]
    files += sorted((package / "skills").glob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def warm_base(recipe: Recipe, environment: Environment, bank: SkillBank, listener: Listener) -> WarmBase:
    """The warmed-up base of a recipe: from the cache, or trained now and kept there.

    Raises:
        RunFailed: the disk of the cache is full or broken, or a process that was to fill it did not.
    """
    key = warmup_key(recipe, environment, bank)
    folder = cache_root() / "warmups" / key[:32]
    report = _cached(folder, listener)
    if report is None and ranks.world() > 1:
        fill_cache(recipe, listener)
        if (report := _cached(folder, listener)) is None:
            raise RunFailed(
                f"the warm-up's process left no whole warm-up in {folder}: have the disk looked at, or repeat the "
                "command with --nproc 1"
            )
    if report is not None:
        listener.message(f"warm-up {key[:8]} found in the cache")
        return WarmBase(key, folder, report)
    with disk(folder.parent, "the warm-up"), _scratch(folder) as scratch:
        told = asdict(_train(recipe, environment, bank, scratch, listener)) | {"folder": None}
        write_json(scratch / "model" / REPORT, told)
        seal(scratch / "model")
        if not put_in_place(scratch / "model", folder):
            listener.message(f"warm-up {key[:8]} was put into the cache by another process meanwhile")
            told = read_report(folder)
    return WarmBase(key, folder, told)


def _cached(folder: Path, listener: Listener) -> Mapping | None:
    """The report of a warm-up whose every byte is as it was written; another is removed, which is said."""
    if not folder.is_dir():
        return None
    found = _identity(folder)
    what = damage(folder, deep=True)
    if what is None:
        try:
            return read_report(folder)
        except Unreadable as error:
            what = f"has a {REPORT} that {error}"
    if _identity(folder) != found:  # another process has made it again while this one read
        return _cached(folder, listener)
    listener.message(f"the warm-up {folder.name[:8]} in the cache {what}: it is trained again")
    with disk(folder.parent, "the removal of a damaged warm-up"), suppress(FileNotFoundError):
        remove_whole(folder)
    return None


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another that took its name since; None where there is none."""
    try:
        told = folder.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_mtime_ns


def read_report(folder: Path) -> Mapping:
    """Raises Unreadable."""
    told = read_json(folder / REPORT, LARGEST)
    if not isinstance(told, dict) or not {field.name for field in fields(WarmupReport)} <= told.keys():
        raise Unreadable("is no report of a warm-up")
    is_whole = type(told["updates"]) is int and type(told["seconds"]) in (int, float) and isinstance(told["log"], list)
    if not is_whole or not all(isinstance(row, dict) for row in told["log"]):
        raise Unreadable("is no report of a warm-up")
    return told


@contextmanager
def _scratch(final: Path) -> Iterator[Path]:
    """A folder beside an entry of the cache, locked while it is in use; those of killed processes are removed."""
    make_folder(final.parent)
    for path in final.parent.glob(".*-*"):
        with suppress(FileNotFoundError):
            if not RunLock(path).is_held() and time.time() - path.stat().st_mtime > YOUNG:
                shutil.rmtree(path, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name[:8]}-", dir=final.parent))
    try:
        with RunLock(scratch):
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _train(
    recipe: Recipe, environment: Environment, bank: SkillBank, scratch: Path, listener: Listener
) -> WarmupReport:
    from sdar_cli.models.tiny import create

    listener.phase("warm-up: demonstrations")
    if recipe.model.tiny is not None:
        start = create(recipe, environment, bank, scratch / "random").folder
    else:
        start = Path(recipe.model.path)
    (scratch / "model").mkdir()

    def progress(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done <= 10:
            listener.phase("warm-up", total)
        listener.advance(done, total, f"loss {metrics['loss']:.3f}, token accuracy {metrics['token_accuracy']:.1%}")

    return run_warmup(recipe, environment, start, scratch / "model", progress)
