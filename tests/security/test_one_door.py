"""Files that others wrote come through ``sdar_cli.reading``: whoever reads past it stands here, with the reason.

The list shrinks. A new entry needs a reason why nobody else can have written what is read, or what bounds it there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

OURS = "comes with the package"
KERNEL = "files of the kernel"
OWN = "written by this process, or by one that it started and whose file nobody else has"
BOUNDED = "read in bounded parts, from a file that was looked at first"
CHECKED = "read by the library that is made for it, once the file or its folder was looked at"
TENSORS = "tensors and plain data alone, of a checkpoint whose bytes its manifest vouches for"
CODE = "an environment's code, which is to be run"
WIRE = "no file: text that its reader has bounded"

PAST_THE_DOOR = {
    "envs/alfworld/archives.py": "opened by the door, unpacked in bounded parts",
    "envs/alfworld/engine.py": OURS,
    "envs/alfworld/environment.py": OURS,
    "envs/alfworld/generated.py": OWN,
    "envs/alfworld/problem.py": OURS,
    "envs/bm25/building.py": OWN,
    "envs/bm25/format.py": BOUNDED,
    "envs/bm25/index.py": CHECKED,
    "envs/household/skills_text.py": OURS,
    "envs/search_qa/client.py": WIRE,
    "envs/search_qa/corpus.py": BOUNDED,
    "envs/search_qa/environment.py": OURS,
    "envs/search_qa/official.py": "opened by the door, read in bounded parts",
    "envs/search_qa/prompts.py": WIRE,
    "envs/webshop/batches.py": OWN,
    "envs/webshop/database.py": "a file that was looked at; nothing is asked of it before its tables were",
    "envs/webshop/environment.py": OURS,
    "envs/webshop/import_instructions.py": OWN,
    "envs/webshop/product.py": "rows of a store whose file was checked",
    "envs/webshop/stored_goals.py": "rows of a store whose file was checked",
    "sdar_cli/checkup/data.py": "opened by the door, and only its end is read",
    "sdar_cli/checkup/services.py": CHECKED,
    "sdar_cli/cli/methods.py": OURS,
    "sdar_cli/cli/recipes.py": OURS,
    "sdar_cli/cli/streams.py": KERNEL,
    "sdar_cli/cli/sweep_display.py": OWN,
    "sdar_cli/compare/html/page.py": OURS,
    "sdar_cli/compare/paper.py": OURS,
    "sdar_cli/engines/wire.py": WIRE,
    "sdar_cli/environments.py": CODE,
    "sdar_cli/evaluation/players.py": CHECKED,
    "sdar_cli/evaluation/transcripts.py": "the bytes came through the door",
    "sdar_cli/export/weights.py": CHECKED,
    "sdar_cli/launch/speaker.py": OWN,
    "sdar_cli/models/load.py": CHECKED,
    "sdar_cli/models/template_probe.py": WIRE,
    "sdar_cli/retriever/corpus.py": BOUNDED,
    "sdar_cli/retriever/encoder.py": CHECKED,
    "sdar_cli/retriever/protocol.py": WIRE,
    "sdar_cli/retriever/scan.py": BOUNDED,
    "sdar_cli/retriever/vectors.py": CHECKED,
    "sdar_cli/rollout/recorded.py": "opened by the door, unpacked in bounded parts",
    "sdar_cli/rollout/worker.py": CODE,
    "sdar_cli/rollout/worker_process.py": KERNEL,
    "sdar_cli/runs/lock.py": BOUNDED,
    "sdar_cli/runs/old_marker.py": BOUNDED,
    "sdar_cli/skills/skill.py": "YAML of a text that was read and bounded, by a loader of plain values",
    "sdar_cli/sweep/crew.py": OWN,
    "sdar_cli/sweep/journal_lock.py": BOUNDED,
    "sdar_cli/sweep/processes.py": KERNEL,
    "sdar_cli/sweep/storage.py": CHECKED,
    "sdar_cli/tracking/journal.py": BOUNDED,
    "sdar_cli/tracking/journal_tail.py": BOUNDED,
    "sdar_cli/tracking/landing.py": WIRE,
    "sdar_cli/tracking/registry.py": OWN,
    "sdar_cli/tracking/spool_file.py": BOUNDED,
    "sdar_cli/tracking/tables.py": WIRE,
    "sdar_cli/tracking/trace_files.py": "the bytes came through the door",
    "sdar_cli/tracking/write.py": WIRE,
    "sdar_cli/training/checkpoints/divided_file.py": TENSORS,
    "sdar_cli/training/checkpoints/divided_zero3.py": TENSORS,
    "sdar_cli/training/ema.py": TENSORS,
    "sdar_cli/training/checkpoints/optimiser_state.py": TENSORS,
    "sdar_cli/training/ranks_errors.py": WIRE,
    "sdar_cli/training/checkpoints/resumable.py": "the bytes came through the door",
    "sdar_cli/training/warmup_cache.py": "the package's sources, and an environment's, whose code has run by then",
    "sdar_cli/training/warmup_process.py": WIRE,
}
READERS = {"read_text", "read_bytes"}
METHODS = {"from_pretrained", "exec_module", "extractall"}
"""Methods that read, whatever they are of."""
LOADERS = {
    "json": {"load", "loads", "JSONDecoder"},
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "dbm": {"open"},
    "torch": {"load", "jit"},
    "torch.jit": {"load"},
    "safetensors": {"safe_open"},
    "safetensors.torch": {"load", "load_file", "load_model"},
    "safetensors.numpy": {"load", "load_file"},
    "numpy": {"load", "loadtxt", "genfromtxt", "fromfile", "memmap"},
    "numpy.lib.format": {"open_memmap", "read_array"},
    "numpy.lib": {"format"},
    "pandas": {"read_csv", "read_json", "read_parquet", "read_pickle", "read_table"},
    "pyarrow.parquet": {"ParquetFile", "ParquetDataset", "read_table", "read_schema", "read_metadata"},
    "faiss": {"read_index"},
    "yaml": {"load", "safe_load", "full_load", "unsafe_load", "load_all", "safe_load_all"},
    "tomllib": {"load", "loads"},
    "configparser": {"ConfigParser", "RawConfigParser"},
    "csv": {"reader", "DictReader"},
    "xml.etree.ElementTree": {"parse", "fromstring", "iterparse"},
    "sqlite3": {"connect"},
    "zipfile": {"ZipFile", "PyZipFile", "Path"},
    "tarfile": {"open", "TarFile"},
    "shutil": {"unpack_archive"},
    "gzip": {"open", "decompress", "GzipFile"},
    "zlib": {"decompress", "decompressobj"},
    "bz2": {"open", "decompress", "BZ2File", "BZ2Decompressor"},
    "lzma": {"open", "decompress", "LZMAFile", "LZMADecompressor"},
    "mmap": {"mmap"},
    "io": {"open", "FileIO"},
    "codecs": {"open"},
    "linecache": {"getline", "getlines"},
    "fileinput": {"input", "FileInput"},
    "runpy": {"run_path"},
    "os": {"fdopen", "read", "pread", "preadv"},
    "optuna.storages.journal": {"JournalFileBackend"},
}
NO_FILES = {"self", "deliver", "store"}
"""Whose ``open()`` is none of a path."""
OPENERS = {"builtins.open": 1, "io.open": 1, "codecs.open": 1, "os.fdopen": 1, "gzip.open": 1}
OPENERS |= {"bz2.open": 1, "lzma.open": 1, "tarfile.open": 1, "zipfile.ZipFile": 1}
OPENERS |= {"numpy.memmap": 2, "numpy.lib.format.open_memmap": 1}
"""Where the mode stands among the arguments of what writes too."""


def readings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every call that reads a file, or makes values of what a file may hold."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_reading(node, names):
            yield node.lineno, ast.unparse(node)


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name in the source → what it stands for: ``np`` → ``numpy``, ``loads`` → ``json.loads``."""
    yield "open", "builtins.open"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _is_reading(call: ast.Call, names: Mapping[str, str]) -> bool:
    called = call.func
    whole = _dotted(called, names)
    module, _, name = whole.rpartition(".")
    if whole == "builtins.open" or name in LOADERS.get(module, ()):
        return whole not in OPENERS or _reads(call, OPENERS[whole])
    if not isinstance(called, ast.Attribute):
        return False
    if called.attr == "open":
        if not call.args:
            return _last(called.value) not in NO_FILES and _reads(call, 0)
        return _names_a_mode(call.args[0]) and _reads(call, 0)
    return called.attr in METHODS or (called.attr in READERS and module != "sdar_cli.reading")


def _dotted(called: ast.expr, names: Mapping[str, str]) -> str:
    """What is called, by its full name where it was imported; "" for what an expression gives."""
    if isinstance(called, ast.Name):
        return names.get(called.id, called.id)
    if isinstance(called, ast.Attribute) and (before := _dotted(called.value, names)):
        return f"{before}.{called.attr}"
    return ""


def _last(value: ast.expr) -> str:
    return value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""


def _names_a_mode(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) and str(argument.value) in ("r", "rb", "rt", "r+", "rb+", "r+b")


def _reads(call: ast.Call, place: int) -> bool:
    """Whether the mode, the argument at that place or named so, is none or one of reading."""
    mode = call.args[place] if len(call.args) > place else None
    mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), mode)
    return not isinstance(mode, ast.Constant) or "r" in str(mode.value)


def test_foreign_files_come_through_one_door(repository: Path) -> None:
    found: list[str] = []
    for room in ("sdar_cli", "envs"):
        for file in sorted((repository / room).rglob("*.py")):
            name = file.relative_to(repository).as_posix()
            if name in PAST_THE_DOOR or name == "sdar_cli/reading.py":
                continue
            found += [f"{name}:{line}: {text}" for line, text in readings(file.read_text("utf-8"))]
    assert not found, "read through sdar_cli.reading, or give a reason:\n" + "\n".join(found)


def test_the_list_names_files(repository: Path) -> None:
    gone = [name for name in PAST_THE_DOOR if not (repository / name).is_file()]
    assert not gone


def test_the_list_names_readers_alone(repository: Path) -> None:
    idle = [name for name in PAST_THE_DOOR if not any(readings((repository / name).read_text("utf-8")))]
    assert not idle, "these read nothing: take them off the list"


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("path.read_text('utf-8')", True),
        ("from sdar_cli import reading; reading.read_text(path, 10)", False),
        ("from sdar_cli.reading import read_text; read_text(path, 10)", False),
        ("import json; json.loads(x)", True),
        ("import json as j; j.loads(x)", True),
        ("from json import loads; loads(x)", True),
        ("from json import load as parsed; parsed(x)", True),
        ("import json; json.dumps(x)", False),
        ("open(path)", True),
        ("open(path, mode='rb')", True),
        ("open(path, mode)", True),
        ("open(path, 'w')", False),
        ("import io; io.open(path)", True),
        ("path.open('rb')", True),
        ("path.open(mode='rb')", True),
        ("path.open()", True),
        ("(folder / name).open(encoding='utf-8')", True),
        ("path.open('wb')", False),
        ("path.open(mode='wb')", False),
        ("store.open()", False),
        ("Store.open(folder)", False),
        ("import gzip; gzip.decompress(x)", True),
        ("import zlib; zlib.decompressobj(31)", True),
        ("import torch; torch.load(x)", True),
        ("import numpy as np; np.load(x)", True),
        ("import numpy as np; np.lib.format.open_memmap(x, 'w+')", False),
        ("import numpy as np; np.memmap(x, np.uint8, 'r')", True),
        ("import yaml; yaml.safe_load(x)", True),
        ("from yaml import safe_load; safe_load(x)", True),
        ("import sqlite3; sqlite3.connect(x)", True),
        ("from zipfile import ZipFile; ZipFile(x)", True),
        ("import zipfile; zipfile.ZipFile(x, 'w')", False),
        ("import tarfile; tarfile.open(x)", True),
        ("import pyarrow.parquet as pq; pq.ParquetFile(x)", True),
        ("from safetensors import safe_open; safe_open(x, 'pt')", True),
        ("from safetensors.torch import load_file; load_file(x)", True),
        ("import mmap; mmap.mmap(x, 0)", True),
        ("AutoModel.from_pretrained(x)", True),
        ("import os; os.fdopen(handle, 'wb')", False),
        ("import os; os.pread(handle, 9, 0)", True),
    ],
)
def test_what_counts_as_reading(source: str, reads: bool) -> None:
    assert bool(list(readings(source))) == reads
