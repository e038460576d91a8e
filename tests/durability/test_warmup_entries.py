"""The cache of warm-ups: an entry is whole or trained again, and two processes may fill it at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_warmup import KEY, Said, Warmups

from sdar_cli.errors import RunFailed
from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.manifest import damage, write_manifest
from sdar_cli.runs.whole import seal
from sdar_cli.training import ranks, warmup_cache
from sdar_cli.training.warmup_cache import REPORT, YOUNG

DEADLINE = 30.0
"""Seconds; reached only where something hangs."""


def entry(cache: Path) -> Path:
    return cache / "warmups" / KEY[:32]


def test_an_entry_is_found_again(tmp_path: Path, warmups: Warmups) -> None:
    first, again = warmups.base(tmp_path), warmups.base(tmp_path)
    assert warmups.trained == 1 and first.folder == again.folder == entry(tmp_path)
    assert json.loads(json.dumps(dict(first.report))) == again.report
    assert [path.name for path in (tmp_path / "warmups").iterdir()] == [KEY[:32]]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"war", "has model.safetensors with 3 of 120 bytes"),
        ("model.safetensors", b"cold" * 30, "has other content in model.safetensors"),
        ("model.safetensors", None, "lacks model.safetensors"),
        ("manifest.json", b"{", "has a damaged manifest.json"),
        ("manifest.json", None, "has no manifest.json"),
        (REPORT, b"[" * 100_000, "has a warmup.json that is nested"),
        (REPORT, b"[]", "has a warmup.json that is no report"),
        (REPORT, b'{"log": []}', "has a warmup.json that is no report"),
    ],
)
def test_a_damaged_entry_is_trained_again(
    tmp_path: Path,
    warmups: Warmups,
    name: str,
    content: bytes | None,
    words: str,
) -> None:
    warmups.base(tmp_path)
    file = entry(tmp_path) / name
    file.unlink() if content is None else file.write_bytes(content)
    if name == REPORT:  # somebody meant it
        write_manifest(entry(tmp_path))
    said = Said()
    base = warmups.base(tmp_path, said)
    assert warmups.trained == 2 and base.report["updates"] == 2
    assert len(said.texts) == 1 and words in said.texts[0] and said.texts[0].endswith("it is trained again")
    assert (entry(tmp_path) / "model.safetensors").read_bytes() == b"warm" * 30
    warmups.base(tmp_path)
    assert warmups.trained == 2


def spoil(cache: Path) -> None:
    (entry(cache) / "model.safetensors").write_bytes(b"war")


@pytest.mark.parametrize("there", ["nothing", "damaged"])
def test_a_run_of_several_processes_has_it_made_apart(
    tmp_path: Path, warmups: Warmups, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """In one of them the warm-up's own trainer would wait for the others, which wait for it."""
    if there == "damaged":
        warmups.base(tmp_path)
        spoil(tmp_path)

    def apart(recipe: Any, listener: Said) -> None:
        with monkeypatch.context() as alone:
            alone.setattr(ranks, "world", lambda: 1)
            alone.setattr(warmups, "meanwhile", lambda: None)
            warmups.base(tmp_path, listener)

    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(warmup_cache, "fill_cache", apart)
    warmups.meanwhile, said = lambda: pytest.fail("trained in one of them"), Said()
    assert warmups.base(tmp_path, said).report["updates"] == 2
    first = ["the warm-up 01234567 in the cache has model.safetensors with 3 of 120 bytes: it is trained again"]
    assert said.texts == [*(first if there == "damaged" else []), "warm-up 01234567 found in the cache"]
    warmups.base(tmp_path)
    assert warmups.trained == 1 + (there == "damaged")


def test_one_made_apart_that_is_not_there_is_a_sentence(
    tmp_path: Path, warmups: Warmups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(warmup_cache, "fill_cache", lambda *about: None)
    with pytest.raises(RunFailed, match=rf"left no whole warm-up in {entry(tmp_path)}: .* --nproc 1"):
        warmups.base(tmp_path)
    assert warmups.trained == 0


def test_a_damaged_one_that_another_process_has_made_again_is_not_removed(
    tmp_path: Path, warmups: Warmups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading gigabytes takes as long as a warm-up does."""
    warmups.base(tmp_path)
    spoil(tmp_path)

    def damage_as_it_was(folder: Path, *, deep: bool) -> str | None:
        found = damage(folder, deep=deep)
        monkeypatch.setattr(warmup_cache, "damage", damage)
        warmups.base(tmp_path)
        return found

    monkeypatch.setattr(warmup_cache, "damage", damage_as_it_was)
    said = Said()
    warmups.base(tmp_path, said)
    assert warmups.trained == 2 and said.texts == ["warm-up 01234567 found in the cache"]


def play(number: int, cache: Path, warmups: Warmups, training: Sequence[Any], together: Any, told: Any) -> None:
    """One process of those that fill the cache at once; it begins when the one before is in its training."""

    def meanwhile() -> None:
        for scratch in (cache / "warmups").glob(".*-*"):
            os.utime(scratch, (0, 0))  # all that keeps it is its lock
        training[number].set()

    def sealed(folder: Path) -> None:
        seal(folder)
        together.wait(DEADLINE)

    warmup_cache.seal = sealed
    warmups.meanwhile, warmups.word, warmups.seconds = meanwhile, b"war%d" % number, float(number)
    if number:
        training[number - 1].wait(DEADLINE)
    said = Said()
    base = warmups.base(cache, said)
    told.put((base.report["seconds"], damage(base.folder, deep=True), said.texts))


@pytest.mark.parametrize("there", ["nothing", "damaged"])
def test_of_processes_that_fill_it_at_once_one_does(tmp_path: Path, warmups: Warmups, there: str) -> None:
    """Really at once: each trains beside the others, and all put theirs into the place at the same moment."""
    forks, count = multiprocessing.get_context("fork"), 4
    for round_ in range(3):
        cache = tmp_path / str(round_)
        if there == "damaged":
            warmups.base(cache)
            spoil(cache)
        training, together, told = [forks.Event() for _ in range(count)], forks.Barrier(count), forks.Queue()
        shared = cache, warmups, training, together, told
        processes = [forks.Process(target=play, args=(number, *shared)) for number in range(count)]
        for process in processes:
            process.start()
        answers = [told.get(timeout=DEADLINE) for _ in processes]
        for process in processes:
            process.join(DEADLINE)
            assert process.exitcode == 0
        seconds = answers[0][0]
        assert [found for found, _, _ in answers] == [seconds] * count
        assert [what for _, what, _ in answers] == [None] * count
        assert sum("by another process" in text for _, _, texts in answers for text in texts) == count - 1
        for name in ("model.safetensors", "tokenizer.json"):
            assert (entry(cache) / name).read_bytes() == b"war%d" % seconds * 30, "all of it is one process's"
        assert [path.name for path in (cache / "warmups").iterdir()] == [KEY[:32]]


def test_of_two_processes_the_second_takes_what_the_first_put_there(
    tmp_path: Path,
    warmups: Warmups,
) -> None:
    def other() -> None:
        warmups.meanwhile = lambda: None
        warmups.base(tmp_path)
        (entry(tmp_path) / REPORT).write_text(
            (entry(tmp_path) / REPORT).read_text().replace('"seconds": 1.5', '"seconds": 7.5')
        )
        write_manifest(entry(tmp_path))

    warmups.meanwhile, said = other, Said()
    base = warmups.base(tmp_path, said)
    assert warmups.trained == 2 and base.report["seconds"] == 7.5 and "by another process" in said.texts[0]
    assert [path.name for path in (tmp_path / "warmups").iterdir()] == [KEY[:32]]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path, warmups: Warmups) -> None:
    folder = tmp_path / "warmups"
    long_ago = time.time() - 2 * YOUNG
    for name in ("killed", "unlocked", "at-work", "young"):
        (folder / f".01234567-{name}" / "model").mkdir(parents=True)
    with RunLock(folder / ".01234567-killed"):
        pass
    with RunLock(folder / ".01234567-at-work"):
        for name in ("killed", "unlocked", "at-work"):
            os.utime(folder / f".01234567-{name}", (long_ago, long_ago))
        warmups.base(tmp_path)
    names = {path.name for path in folder.iterdir()}
    assert names == {KEY[:32], ".01234567-at-work", ".01234567-young"}
