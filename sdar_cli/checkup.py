"""What ``sdar doctor`` looks at: packages, devices, engines, data, tools and room; one remedy a problem."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from sdar_cli.paths import cache_root, user_path

Verdict = Literal["ok", "absent", "problem"]
"""``absent``: not there, and needed only for some recipes."""

NEEDED_BYTES = 5 * 2**30
RANGES = {
    "torch": ("2.7", None),
    "transformers": ("5.3", "5.18"),
    "trl": ("1.16", "1.17"),
    "peft": ("0.18", None),
    "accelerate": ("1.10", None),
    "mlflow": ("3.10", "4"),
}
"""Package → first version that works, first that does not."""


@dataclass(frozen=True, slots=True)
class Finding:
    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(runs_root: Path) -> list[Finding]:
    """All findings, in the order of the table."""
    data = (*_alfworld_games(), *_webshop_store(), *_search_qa_questions())
    return [*_python(), *_packages(), *_devices(), *_engines(), *_tools(), *data, *_room(runs_root)]


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 13):
        yield Finding("Python", "ok", version)
    else:
        yield Finding("Python", "problem", version, "make an environment with Python 3.11 or 3.12")


def _packages() -> Iterator[Finding]:
    for package, (first, beyond) in RANGES.items():
        wanted = f"{package}>={first}" + (f",<{beyond}" if beyond else "")
        version = _installed(package)
        if version is None:
            yield Finding(package, "problem", "not installed", f"pip install '{wanted}'")
        elif _number(version) < _number(first) or (beyond is not None and _number(version) >= _number(beyond)):
            yield Finding(package, "problem", version, f"pip install '{wanted}'")
        else:
            yield Finding(package, "ok", version)


def _devices() -> Iterator[Finding]:
    yield Finding("CPU", "ok", f"{len(os.sched_getaffinity(0))} cores, {_memory()} of memory")
    if find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            yield Finding(f"GPU {index}", "ok", f"{card.name}, {card.total_memory / 2**30:.0f} GiB")
    elif torch.version.cuda is None:
        yield Finding("GPU", "absent", "torch is a CPU build", "on a GPU machine, install a CUDA build of torch")
    else:
        yield Finding("GPU", "absent", "none visible", "check nvidia-smi and CUDA_VISIBLE_DEVICES")


def _engines() -> Iterator[Finding]:
    version = _installed("vllm")
    if version is not None:
        yield Finding("vLLM", "ok", version)
    else:
        yield Finding("vLLM", "absent", "not installed", "for engine.kind=vllm: pip install 'sdar[vllm]'")
    missing = [package for package in ("alfworld", "textworld") if _installed(package) is None]
    if missing:
        found = f"without {' and '.join(missing)}"
        yield Finding("ALFWorld's engine", "absent", found, "pip install 'sdar[alfworld]'")
    else:
        found = f"alfworld {_installed('alfworld')}, textworld {_installed('textworld')}"
        yield Finding("ALFWorld's engine", "ok", found)
    for subject, extra, purpose, packages in (
        ("retrieval server", "retriever", "sdar retriever serve", ("fastapi", "uvicorn")),
        ("dense retrieval", "dense", "sdar retriever with vectors", ("faiss-cpu",)),
    ):
        lacking = [package for package in packages if _installed(package) is None]
        if lacking:
            remedy = f"for {purpose}: pip install 'sdar[{extra}]'"
            yield Finding(subject, "absent", f"without {' and '.join(lacking)}", remedy)
        else:
            yield Finding(subject, "ok", ", ".join(f"{package} {_installed(package)}" for package in packages))
    if find_spec("en_core_web_sm") is not None:
        yield Finding("WebShop's titles", "ok", "compared by nouns, with en_core_web_sm")
    else:
        remedy = "to score as upstream: pip install spacy, python -m spacy download en_core_web_sm"
        yield Finding("WebShop's titles", "absent", "compared by words, without en_core_web_sm", remedy)


def _tools() -> Iterator[Finding]:
    for tool, package in (("g++", "g++"), ("make", "make")):
        path = shutil.which(tool)
        if path is not None:
            yield Finding(tool, "ok", path)
        else:
            remedy = f"to install ALFWorld's engine: install {package} with the system's package manager"
            yield Finding(tool, "absent", "not found", remedy)


def _alfworld_games() -> Iterator[Finding]:
    given = os.environ.get("ALFWORLD_DATA")
    folder = user_path(given or "~/.cache/alfworld")
    if (folder / "json_2.1.1").is_dir():
        yield Finding("ALFWorld's games", "ok", str(folder))
    elif given:
        remedy = "point ALFWORLD_DATA at the folder that holds json_2.1.1, or sdar data alfworld --fetch"
        yield Finding("ALFWorld's games", "problem", f"no json_2.1.1 in {folder}", remedy)
    else:
        remedy = "for the official games: sdar data alfworld --fetch"
        yield Finding("ALFWorld's games", "absent", f"not in {folder}", remedy)


def _webshop_store() -> Iterator[Finding]:
    from sdar_cli.errors import EnvironmentSetupError
    from sdar_envs.webshop.location import official_folder
    from sdar_envs.webshop.manifest import MANIFEST
    from sdar_envs.webshop.store import Store

    subject, folder = "WebShop's store", official_folder(None)
    try:
        store = Store.open(folder)
    except EnvironmentSetupError as error:
        found = str(error).rpartition(": ")[0]
        if (folder / MANIFEST).exists():
            yield Finding(subject, "problem", found, "remove the folder, then sdar data webshop --from FOLDER")
        elif folder.with_name(f"{folder.name}.draft").is_dir():
            yield Finding(subject, "absent", found, "run the same sdar data webshop --from FOLDER again")
        elif os.environ.get("SDAR_WEBSHOP"):
            remedy = "point SDAR_WEBSHOP at an imported store, or import it there: sdar data webshop --from FOLDER"
            yield Finding(subject, "problem", f"no store in {folder}", remedy)
        else:
            remedy = "for the official products: sdar data webshop --from FOLDER"
            yield Finding(subject, "absent", f"not in {folder}", remedy)
    else:
        yield Finding(subject, "ok", f"{folder}, {len(store):,} products")
        store.close()


def _search_qa_questions() -> Iterator[Finding]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    subject, given = "Search-QA's questions", os.environ.get("SDAR_SEARCH_QA")
    if not given:
        remedy = "for the official questions: point it at the folder of train.parquet and test.parquet"
        yield Finding(subject, "absent", "SDAR_SEARCH_QA is not set", remedy)
        return
    folder, counts = user_path(given), []
    for name in ("train.parquet", "test.parquet"):
        try:
            counts.append(pq.read_metadata(folder / name).num_rows)
        except (pa.ArrowException, OSError) as error:
            missing = isinstance(error, FileNotFoundError)
            found = f"no {name} in {folder}" if missing else f"{folder / name} cannot be read"
            remedy = "point SDAR_SEARCH_QA at the folder that holds it" if missing else "restore it from its source"
            yield Finding(subject, "problem", found, remedy)
            return
    yield Finding(subject, "ok", f"{folder}, {counts[0]:,} to train on and {counts[1]:,} to test")


def _room(runs_root: Path) -> Iterator[Finding]:
    places = (("runs folder", runs_root, "--runs or SDAR_RUNS"), ("cache", cache_root(), "SDAR_CACHE"))
    for subject, folder, setting in places:
        there = _nearest_existing(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            remedy = f"make it writable, or name another with {setting}"
            yield Finding(subject, "problem", f"{folder} cannot be written", remedy)
            continue
        free = shutil.disk_usage(there).free
        found = f"{folder}, {free / 2**30:.0f} GiB free"
        if free < NEEDED_BYTES:
            yield Finding(subject, "problem", found, f"free 5 GiB, or name another with {setting}")
        else:
            yield Finding(subject, "ok", found)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _number(version: str) -> tuple[int, ...]:
    """The release part of a version, comparable: ``2.13.0+cpu`` → (2, 13, 0)."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        digits = "".join(letter for letter in part if letter.isdigit())
        if not digits or digits != part:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _memory() -> str:
    import psutil

    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB"


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
