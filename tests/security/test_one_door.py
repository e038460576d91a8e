"""Files that others wrote come through ``sdar_cli.reading``: whoever reads past it stands here, with the reason.

The list shrinks. A new entry needs a reason why nobody else can have written what is read, or what bounds it there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

OURS = "comes with the package"
KERNEL = "files of the kernel"
OWN = "written by this process, or by one that it started and whose file nobody else has"
BOUNDED = "read in bounded parts, from a file that was looked at first"
WIRE = "no file: text that its reader has bounded"
MOVING = "to be moved behind the door"

PAST_THE_DOOR = {
    "envs/alfworld/engine.py": OURS,
    "envs/alfworld/environment.py": OURS,
    "envs/alfworld/generated.py": OWN,
    "envs/alfworld/problem.py": OURS,
    "envs/bm25/building.py": OWN,
    "envs/bm25/format.py": BOUNDED,
    "envs/household/skills_text.py": OURS,
    "envs/search_qa/client.py": WIRE,
    "envs/search_qa/environment.py": OURS,
    "envs/search_qa/prompts.py": WIRE,
    "envs/webshop/batches.py": OWN,
    "envs/webshop/environment.py": OURS,
    "envs/webshop/import_instructions.py": OWN,
    "envs/webshop/product.py": "rows of a store whose file was checked",
    "envs/webshop/stored_goals.py": "rows of a store whose file was checked",
    "sdar_cli/cli/methods.py": OURS,
    "sdar_cli/cli/recipes.py": OURS,
    "sdar_cli/cli/streams.py": KERNEL,
    "sdar_cli/cli/sweep_display.py": OWN,
    "sdar_cli/compare/html/page.py": OURS,
    "sdar_cli/compare/paper.py": OURS,
    "sdar_cli/engines/wire.py": WIRE,
    "sdar_cli/evaluation/transcripts.py": "the bytes came through the door",
    "sdar_cli/launch/speaker.py": OWN,
    "sdar_cli/models/template_probe.py": WIRE,
    "sdar_cli/retriever/protocol.py": WIRE,
    "sdar_cli/retriever/scan.py": BOUNDED,
    "sdar_cli/rollout/worker_process.py": KERNEL,
    "sdar_cli/runs/old_marker.py": BOUNDED,
    "sdar_cli/skills/skill.py": "YAML of a text that was read and bounded, by a loader of plain values",
    "sdar_cli/sweep/crew.py": OWN,
    "sdar_cli/sweep/journal_lock.py": BOUNDED,
    "sdar_cli/sweep/processes.py": KERNEL,
    "sdar_cli/tracking/journal.py": BOUNDED,
    "sdar_cli/tracking/journal_tail.py": BOUNDED,
    "sdar_cli/tracking/landing.py": WIRE,
    "sdar_cli/tracking/registry.py": OWN,
    "sdar_cli/tracking/spool.py": "the bytes came through the door",
    "sdar_cli/tracking/tables.py": WIRE,
    "sdar_cli/tracking/write.py": WIRE,
    "sdar_cli/training/ranks_errors.py": WIRE,
    "sdar_cli/training/resumable.py": "the bytes came through the door",
    "sdar_cli/training/warmup_cache.py": MOVING,
    "sdar_cli/training/warmup_process.py": WIRE,
}
READERS = {"read_text", "read_bytes"}
LOADERS = {
    "json": {"load", "loads"},
    "pickle": {"load", "loads"},
    "torch": {"load"},
    "np": {"load"},
    "numpy": {"load"},
    "yaml": {"load", "safe_load", "full_load", "unsafe_load"},
    "gzip": {"open", "decompress", "GzipFile"},
    "zlib": {"decompress"},
    "bz2": {"open", "decompress"},
    "lzma": {"open", "decompress"},
    "os": {"fdopen"},
}


def readings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every call that reads a file, or makes values of what a file may hold."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "open" and _reads(node.args[1:2]):
            yield node.lineno, ast.unparse(node)
        elif isinstance(called, ast.Attribute):
            module = called.value.id if isinstance(called.value, ast.Name) else ""
            if (
                (called.attr in READERS and module != "reading")
                or (called.attr in LOADERS.get(module, ()) and (called.attr != "fdopen" or _reads(node.args[1:2])))
                or (called.attr == "open" and node.args and _names_a_mode(node.args[0]) and _reads(node.args[:1]))
            ):
                yield node.lineno, ast.unparse(node)


def _names_a_mode(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) and str(argument.value) in ("r", "rb", "rt", "r+", "rb+", "r+b")


def _reads(mode: list[ast.expr]) -> bool:
    return not mode or not isinstance(mode[0], ast.Constant) or "r" in str(mode[0].value)


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


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("path.read_text('utf-8')", True),
        ("reading.read_text(path, 10)", False),
        ("read_text(path, 10)", False),
        ("json.loads(x)", True),
        ("open(path)", True),
        ("open(path, 'w')", False),
        ("path.open('rb')", True),
        ("path.open('wb')", False),
        ("store.open()", False),
        ("gzip.decompress(x)", True),
        ("torch.load(x)", True),
        ("yaml.safe_load(x)", True),
        ("os.fdopen(handle, 'wb')", False),
    ],
)
def test_what_counts_as_reading(source: str, reads: bool) -> None:
    assert bool(list(readings(source))) == reads
