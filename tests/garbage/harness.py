"""Garbage in, a sentence out: every kind of input that others write, damaged in every named way.

How to add a kind (one module a kind, ``garbage_kind_<name>.py`` in this folder; it is found by its name):

1. ``plain(folder, random) -> Call``: lays the plain sample into ``folder``, which is the working folder too, and
   returns the words of the command that reads it (``Call(["skills", "ls", "--bank", "bank"])``).
2. ``refused``: class of mutation → a function like ``plain`` whose sample is malformed by construction. The names of
   classes are those of ``CLASSES``; what most kinds share stands in ``mutations.py``.
3. ``either``: the same for blind damage, of which nothing is known but that it must not crash (optional).
4. ``accepted``: the same for valid variants: another spelling of the same content.
5. ``read_back(outcome)``: what the command made of its input; variants must give what the plain sample gives, or
   what their ``Call(…, expects=…)`` says.
6. ``garbage_names``: what its sentences name; ``garbage_reasons``: what they say of each class, and
   ``garbage_put`` of what lies in a file's place.
7. ``KIND = Kind("skills", plain, refused, accepted, read_back, either)``. Nothing else: tests and table find it.

Samples are tiny, calls take milliseconds, all chance comes from ``random``. A failure prints ``kind/class/number``:
``python tests/garbage/garbage_table.py kind/class/number`` runs that one again and shows all of it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

from garbage_names import ELSEWHERE, NAMES
from garbage_reasons import why
from garbage_watch import alarm, captured, files, peak, tree, workplace

COUNT = int(os.environ.get("SDAR_GARBAGE", "12"))
"""Inputs of a kind that must be refused, and as many that must be accepted, spread over the classes."""
SECONDS = 10.0
"""Of the processor, which no call may take."""
PATIENCE = 60.0
"""Seconds by the clock, after which a call counts as hung: it waits for something."""
LONGEST = 2100
"""Bytes of an error's line."""
GROWTH = 300 << 20
"""Bytes that a call may add to the highest memory that the process ever held."""
CLASSES = (
    *("cut", "flip", "encoding", "surrogate", "control", "depth", "size", "bomb", "type", "number", "missing"),
    *("unknown", "misspelt", "duplicate", "empty", "place", "escape", "edited", "code", "mixed"),
)
PLAIN: Any = object()
"""Expect what the plain sample gave."""

Verdict = Literal["refused", "accepted", "either"]
VERDICTS: tuple[Verdict, ...] = ("refused", "accepted", "either")


@dataclass(frozen=True, slots=True)
class Call:
    """Words for ``sdar``, and what may come of them."""

    words: Sequence[str]
    expects: Any = field(default=PLAIN, kw_only=True)
    """Accepted: what ``read_back`` must give."""
    outputs: Sequence[str] = field(default=(), kw_only=True)
    """Paths below the folder, of what the command may write (with all below them) where it is not refused."""
    sentences: int = field(default=1, kw_only=True)
    """Refused: how many lines the complaint may have at most."""
    about: str | None = field(default=None, kw_only=True)
    """Refused: what a line of the complaint names as it stands here, such as the damaged key (default: the name of a
    file that is not as the plain sample has it; empty: what ``garbage_names`` has of the kind)."""
    put: str | None = field(default=None, kw_only=True)
    """Refused: what lies in the file's place, by its name in ``garbage_places``."""
    within: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext, kw_only=True)
    """Around the call: a patch, a changed environment."""


Make = Callable[[Path, Random], Call]


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: bytes
    err: bytes
    seconds: float
    """Of the processor."""
    folder: Path
    """Still there while the outcome is judged."""
    changed: tuple[str, ...]
    """Paths that came, went or changed."""
    growth: int
    call: Call
    damaged: frozenset[str] = frozenset()
    """Refused: names of the files that are not as the plain sample has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    name: str
    plain: Make
    refused: Mapping[str, Make]
    accepted: Mapping[str, Make]
    read_back: Callable[[Outcome], Any]
    either: Mapping[str, Make] = field(default_factory=dict)
    talk: str = r"(?!)"
    """Pattern of lines on standard error that are no complaint."""

    def makers(self, verdict: Verdict) -> Mapping[str, Make]:
        return {"refused": self.refused, "accepted": self.accepted, "either": self.either}[verdict]

    def cases(self, verdict: Verdict, count: int = COUNT) -> Iterator[Case]:
        """``count`` cases (of blind damage a quarter, below a thousand), shared out among the classes; at least one
        of each."""
        makers = self.makers(verdict)
        count = count // 4 if verdict == "either" and count < 1000 else count
        for place, (klass, make) in enumerate(makers.items()):
            share = max(1, count // len(makers) + (place < count % len(makers)))
            for number in range(share):
                yield Case(self, klass, number, make, verdict)


@dataclass(frozen=True, slots=True)
class Case:
    kind: Kind
    klass: str
    number: int
    make: Make
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.kind.name}/{self.klass}/{self.number}"


def discover() -> dict[str, Kind]:
    """All kinds, by name."""
    kinds: dict[str, Kind] = {}
    for path in sorted(Path(__file__).parent.glob("garbage_kind_*.py")):
        module = importlib.import_module(path.stem)
        kinds_of = getattr(module, "KINDS", None)
        for kind in (module.KIND,) if kinds_of is None else kinds_of:
            assert kind.name not in kinds, f"two kinds are named {kind.name}"
            assert set(kind.refused) <= set(CLASSES), set(kind.refused) - set(CLASSES)
            kinds[kind.name] = kind
    return kinds


def one(words: str) -> Case:
    """The case that a failure printed: ``kind/class/number``."""
    name, klass, number = words.split("/")
    kind = discover()[name]
    if klass == "plain":
        return Case(kind, klass, int(number), kind.plain, "accepted")
    verdict: Verdict = next(verdict for verdict in VERDICTS if klass in kind.makers(verdict))
    return Case(kind, klass, int(number), kind.makers(verdict)[klass], verdict)


def check(case: Case) -> Outcome:
    """Run the case and hold it to its verdict; the outcome's folder is gone by then."""
    expected = plain_reading(case.kind) if case.verdict == "accepted" else None
    with run(case) as outcome:
        complaints = list(_complaints(case, outcome, expected))
    assert not complaints, _report(case, outcome, complaints)
    return outcome


@functools.cache
def plain_reading(kind: Kind) -> Any:
    """What the plain sample gives; the first call of a kind, which may take its time to import."""
    case = Case(kind, "plain", 0, kind.plain, "accepted")
    with run(case, 120.0, 600.0) as outcome:
        assert outcome.code == 0, _report(case, outcome, ["the plain sample is refused"])
        return kind.read_back(outcome)


@functools.cache
def plain_files(kind: Kind) -> Mapping[str, object]:
    """The plain sample's files, and what tells them from others."""
    with workplace() as base:
        kind.plain(base / "work", Random(f"{kind.name}/plain/0"))
        return files(base / "work")


@contextlib.contextmanager
def run(case: Case, seconds: float = SECONDS, patience: float = PATIENCE) -> Iterator[Outcome]:
    """Call ``sdar`` in this process, in a folder of its own that lives as long as the context."""
    from sdar_cli.cli.main import main

    with workplace() as base:
        work = base / "work"
        call = case.make(work, Random(str(case)))
        damaged = _damaged(case, work)
        held, seen = peak(), tree(base)
        with call.within(), captured() as (out, err):
            started = time.process_time()
            with alarm(seconds, patience, str(case)):
                code = main(list(call.words))
            took = time.process_time() - started
        after = tree(base)
        changed = {name for name in {*seen, *after} if seen.get(name) != after.get(name)}
        yield Outcome(code, bytes(out), bytes(err), took, work, tuple(sorted(changed)), peak() - held, call, damaged)


def _damaged(case: Case, work: Path) -> frozenset[str]:
    """Names of files that are not as the plain sample has them, or not there."""
    if case.verdict != "refused":
        return frozenset()
    plain, now = plain_files(case.kind), files(work)
    return frozenset(Path(name).name for name in {*plain, *now} if plain.get(name) != now.get(name))


def _complaints(case: Case, outcome: Outcome, expected: Any) -> Iterator[str]:
    allowed = {"refused": (2,), "accepted": (0,), "either": (0, 2)}[case.verdict]
    if outcome.code not in allowed:
        yield f"exit code {outcome.code}, not {' or '.join(map(str, allowed))}"
    if outcome.seconds > SECONDS:
        yield f"{outcome.seconds:.1f} s of the processor"
    if outcome.growth > GROWTH:
        yield f"{outcome.growth >> 20} MiB of memory"
    for word in (b"bug in sdar", b"Traceback"):
        if word in outcome.out + outcome.err:
            yield f"says {word.decode()!r}"
    if outcome.code == 2:
        yield from _bad_refusal(case, outcome)
    elif outcome.code == 0:
        permitted = (*(f"work/{name}" for name in outcome.call.outputs),)
        for name in outcome.changed:
            if not name.startswith(permitted):
                yield f"{name} changed"
        if case.verdict == "accepted":
            wanted = expected if outcome.call.expects is PLAIN else outcome.call.expects
            found = case.kind.read_back(outcome)
            if found != wanted:
                yield f"was read as {found!r}, not {wanted!r}"


def _bad_refusal(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome.out:
        yield "refused, and yet printed a result"
    try:
        text = outcome.err.decode()
    except UnicodeDecodeError:
        yield "the complaint is not UTF-8"
        return
    lines = [line for line in text.split("\n")[:-1] if not re.fullmatch(case.kind.talk, line)]
    if not text.endswith("\n") or not 1 <= len(lines) <= outcome.call.sentences:
        yield f"{len(lines)} lines of complaint, not {outcome.call.sentences}"
    for line in lines:
        if not line.startswith("error: ") or not re.search(r"[:;] ", line.removeprefix("error: ")):
            yield "no `error: …: remedy`"
        if not line.isprintable():
            yield "a letter of the complaint is not printable"
        if len(line.encode()) > LONGEST:
            yield f"a line of {len(line.encode())} bytes"
    for name in outcome.changed:
        yield f"{name} changed"
    if case.verdict == "refused":
        yield from unrelated(case, lines, outcome)


def unrelated(case: Case, lines: Sequence[str], outcome: Outcome) -> Iterator[str]:
    """Whether it was refused for what is wrong with it."""
    kind, call = case.kind.name, outcome.call
    for line in lines:
        if not re.search(names := NAMES[kind], line):
            yield f"does not name {names!r}"
    named = {call.about} if call.about is not None else outcome.damaged
    if named and not any(name in line or repr(name)[1:-1] in line for name in named for line in lines):
        other = ELSEWHERE.get(kind, {}).get(case.klass)
        if other is None or not any(re.search(other, line) for line in lines):
            yield f"names none of {sorted(named)[:9]}"
    wrong = why(kind, case.klass, case.kind.refused, call.put)
    if not any(re.search(wrong, line) for line in lines):
        yield f"does not say {wrong!r}"


def _report(case: Case, outcome: Outcome, complaints: list[str]) -> str:
    words = " ".join(repr(word if len(word) < 200 else f"{word[:200]}…") for word in outcome.call.words)
    return (
        f"{case} ({case.verdict}): {'; '.join(complaints)[:1500]}\n  sdar {words}\n  exit code {outcome.code} after "
        f"{outcome.seconds:.2f} s\n  stdout {outcome.out[:500]!r}\n  stderr {outcome.err[:2500]!r}"
    )
