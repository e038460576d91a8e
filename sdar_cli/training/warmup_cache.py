"""Warm-ups by content hash: the same recipe, environment and skills never train the same base twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.paths import cache_root
from sdar_cli.training import ranks
from sdar_cli.training.events import Listener
from sdar_cli.training.warmup import WarmupReport, run_warmup, warmup_seed
from sdar_cli.training.warmup_process import fill_cache

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.skills.bank import SkillBank
    from sdar_envs.base import Environment

REPORT = "warmup.json"


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
    """The warmed-up base of a recipe: from the cache, or trained now and kept there."""
    key = warmup_key(recipe, environment, bank)
    folder = cache_root() / "warmups" / key[:32]
    if ranks.world() > 1 and not (folder / REPORT).is_file():
        fill_cache(recipe, listener)
    if (folder / REPORT).is_file():
        listener.message(f"warm-up {key[:8]} found in the cache")
        return WarmBase(key, folder, json.loads((folder / REPORT).read_text(encoding="utf-8")))
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=folder.parent))
    try:
        report = _train(recipe, environment, bank, scratch, listener)
        plain = asdict(report) | {"folder": None}
        (scratch / "model" / REPORT).write_text(json.dumps(plain, indent=1), encoding="utf-8")
        if not folder.exists():
            (scratch / "model").rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return WarmBase(key, folder, plain)


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
