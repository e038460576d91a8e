"""Anything at all is a result or a sentence: bytes, letters (halves of pairs too) and trees that nobody thought of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from harness import COUNT, Call, Case, Kind, check, discover
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = max(8, COUNT // 2)
free = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
letters = st.text(st.characters(codec=None), max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | letters
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(letters, inner), max_leaves=20)
files = (
    st.binary(max_size=200)
    | letters.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | trees.map(lambda tree: json.dumps(tree).encode())
)
READERS: dict[str, Callable[[str], list[str]]] = {
    "recipe": lambda name: ["recipes", "show", name, "--json"],
    "overlay": lambda name: ["train", "--recipe", "quickstart", "-c", name, "--dry-run", "--json"],
    "space": lambda name: ["sweep", "--recipe", "quickstart", "--space", name, "--dry-run", "--json"],
    "slurm": lambda name: ["train", "--recipe", "quickstart", "--name", "one", "--slurm", name, "--json"],
}


def _either(name: str, make: Callable[[Path, Random], Call]) -> Case:
    kind = Kind(name, make, {}, {}, lambda outcome: None)
    return Case(kind, "free", 0, make, "either")


@pytest.mark.parametrize("reader", READERS)
@free
@given(content=files)
def test_any_file(reader: str, content: bytes) -> None:
    def make(folder: Path, random: Random) -> Call:
        (folder / "any.yaml").write_bytes(content)
        return Call(READERS[reader]("any.yaml"), sentences=20)

    check(_either(reader, make))


@free
@given(
    words=st.lists(letters, min_size=1, max_size=3), key=st.sampled_from(["", "gate.beta=", "description=", "gate."])
)
def test_any_override(words: list[str], key: str) -> None:
    words = [f"{key}{word}" for word in words]
    check(
        _either(
            "override",
            lambda folder, random: Call(["recipes", "show", "quickstart", "--json", "--", *words], sentences=20),
        )
    )


NAMES = (
    *("~nobody/x", "~\0x", "~\ud800", "\0", "", " ", "..", "/", "/dev/zero", "a\nb", "\x1b[2J", "\u202e", "n" * 300),
    *("x" * 5000, "🦊", "\udcff", "-", "--", "~", "http://u:p@h/x", "latest/", "%s%n", "{0.__class__}", "pipe", "loop"),
)
"""What a person, or a file, may name in place of a recipe, a run, a folder."""
COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("recipes", "show", "--", "{}"), ("recipes", "cp", "--", "{}"), ("train", "--recipe={}", "--dry-run")),
    *(("train", "--recipe", "quickstart", option, "--dry-run") for option in ("--config={}", "--tag={}", "--gpu={}")),
    *(("train", "--recipe", "quickstart", option, "--dry-run") for option in ("--init-from={}", "--model={}")),
    *(("train", "--recipe", "quickstart", "--slurm=/dev/null", "--name={}"), ("methods", "--", "{}")),
    *(
        ("runs", "show", "--", "{}"),
        ("runs", "ls", "--runs={}"),
        ("runs", "rm", "--", "{}"),
        ("panel", "show", "--", "{}"),
    ),
    *(("panel", "diff", "--", "{}", "{}"), ("skills", "ls", "--bank={}"), ("sweep", "status", "--", "{}")),
    *(("sweep", "ls", "--runs={}"), ("sweep", "--recipe", "quickstart", "--space={}", "--dry-run")),
    *(("export", "--", "{}"), ("resume", "--", "{}"), ("compare", "--", "{}", "{}"), ("doctor", "--recipe={}")),
    *(("play", "--", "{}"), ("play", "--checkpoint={}"), ("data", "webshop", "--data={}"), ("retriever", "info", "{}")),
    *(("train", "--recipe", "quickstart", "--dry-run", key) for key in ("evaluation.panel={}", "skills.bank={}")),
    *(("train", "--recipe", "quickstart", "--dry-run", key) for key in ("environment={}.py:X", "init_from={}")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_any_name(command: tuple[str, ...]) -> None:
    for name in Random(" ".join(command)).sample(NAMES, min(len(NAMES), max(2, COUNT // 12))):

        def make(folder: Path, random: Random, name: str = name) -> Call:
            os.mkfifo(folder / "pipe")
            (folder / "loop").symlink_to("loop")
            return Call([word.replace("{}", name) for word in command], outputs=("",), sentences=6)

        check(_either("name", make))


def test_every_kind_has_mutations_and_variants() -> None:
    for kind in discover().values():
        assert kind.refused or kind.accepted, kind.name


def test_cases_are_reproducible() -> None:
    def words(kind: Kind) -> list[Any]:
        return [str(case) for case in kind.cases("refused", 40)]

    for kind in discover().values():
        assert words(kind) == words(kind)
        assert len(set(words(kind))) == len(words(kind))
