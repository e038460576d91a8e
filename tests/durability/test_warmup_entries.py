"""The cache of warm-ups: an entry is whole or trained again, and two processes may fill it at once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from scripted_warmup import KEY, Said, Warmups

from sdar_cli.runs.lock import RunLock
from sdar_cli.runs.manifest import write_manifest
from sdar_cli.training.warmup_cache import REPORT, YOUNG


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
