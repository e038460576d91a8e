"""A corpus on disk: whole or not there, whatever happens to the process that makes it; and damaged ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.search_qa import retrievers
from sdar_envs.search_qa.corpus import Corpus, indexed, open_corpus
from sdar_envs.search_qa.drafts import drafted
from sdar_envs.search_qa.generated import World, corpus_lines, export, generate, open_generated

WORLD = World(5, 3)
GOOD = ['{"id": "0", "contents": "\\"Bell\\"\\nBig Ben is old."}', '{"contents": "\\"Rye\\"\\nA town.", "more": [1]}']


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "search-qa"


def write(file: Path, *lines: str) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def sentence(error: pytest.ExceptionInfo[EnvironmentSetupError]) -> str:
    text = str(error.value)
    assert "\n" not in text and ": " in text
    return text


# --- whole or not there ---

KILLED = """
import os, signal
from sdar_envs.search_qa import corpus, generated

real = {target}

def dies(*arguments):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)

{target} = dies
generated.generate(generated.World(5, 3))
"""
MOMENTS = {
    "before a page is written": ("generated.write_lines", "pass"),
    "before the index": ("generated.index_corpus", "pass"),
    "before it is moved into place": ("generated.index_corpus", "real(*arguments)"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_process_leaves_nothing_that_looks_complete(cache: Path, moment: str) -> None:
    target, before = MOMENTS[moment]
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(target=target, before=before)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = list(cache.iterdir())
    assert len(left) == 1 and left[0] != WORLD.folder, "a draft under another name"
    corpus = open_generated(WORLD)
    assert len(corpus) == 125
    corpus.close()


def test_an_error_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: Path, folder: Path, progress: object) -> None:
        assert folder.parent == cache and file.is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr("sdar_envs.search_qa.generated.index_corpus", fails)
    with pytest.raises(KeyboardInterrupt):
        generate(WORLD)
    assert list(cache.iterdir()) == []


def test_where_another_was_first_its_folder_is_kept(tmp_path: Path) -> None:
    with drafted(tmp_path / "corpus") as ours:
        (ours / "who").write_text("ours")
        with drafted(tmp_path / "corpus") as theirs:
            (theirs / "who").write_text("theirs")
    assert (tmp_path / "corpus" / "who").read_text() == "theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["corpus"]


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        EnvironmentSetupError, match=r"nothing can be written to .*cache/search-qa .*set SDAR_CACHE"
    ) as e:
        generate(WORLD)
    sentence(e)


# --- what was made is looked at ---


def short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def removed(file: Path) -> None:
    shutil.rmtree(file) if file.is_dir() else file.unlink()


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "no corpus": ("corpus.jsonl", removed),
    "a corpus cut short": ("corpus.jsonl", short),
    "a corpus that has grown": ("corpus.jsonl", lambda file: file.write_bytes(file.read_bytes() + b"{}\n")),
    "no offsets": ("offsets.npy", removed),
    "offsets cut short": ("offsets.npy", short),
    "empty offsets": ("offsets.npy", lambda file: file.write_bytes(b"")),
    "another corpus's offsets": ("offsets.npy", lambda file: np.save(file, np.load(file)[[0, -1]])),
    "no index": ("bm25", removed),
    "an index cut short": ("bm25/starts.npy", short),
    "an empty index": ("bm25/starts.npy", lambda file: file.write_bytes(b"")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_named(cache: Path, damage: str) -> None:
    name, spoil = DAMAGE[damage]
    folder = generate(WORLD)
    Corpus(folder / "corpus.jsonl", folder).close()  # the control
    spoil(folder / name)
    with pytest.raises(EnvironmentSetupError, match=str(folder)) as error:
        open_generated(WORLD)
    sentence(error)


# --- a user's own corpus ---

BAD_LINES = {
    "not JSON": "{contents}",
    "cut short": GOOD[0][:-5],
    "half a character": '{"contents": "Bell \\ud800"}',
    "a number too large": '{"contents": "Bell", "more": 1e999}',
    "not an object": '["Bell"]',
    "no contents": '{"id": "0", "text": "Bell"}',
    "contents of another type": '{"contents": ["Bell"]}',
    "empty contents": '{"contents": " "}',
    "nested too deep": "[" * 100_000,
}


@pytest.mark.parametrize("damage", BAD_LINES)
def test_a_line_that_is_no_document_is_named(cache: Path, tmp_path: Path, damage: str) -> None:
    file = write(tmp_path / "corpus.jsonl", *GOOD, BAD_LINES[damage], *GOOD)
    with pytest.raises(
        EnvironmentSetupError, match=rf"{file}: line 3 (is |has no|holds ).*: (restore|each|remove)"
    ) as e:
        indexed(file)
    sentence(e)
    assert list(cache.iterdir()) == [], "nothing half-indexed"


def test_good_lines_are_found_as_they_are(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    last = json.dumps({"contents": "Zürich\u2028東京"}, ensure_ascii=False)
    file.write_text("\ufeff" + "\r\n".join([GOOD[0], "", " ", GOOD[1], "", last, ""]), "utf-8")
    corpus = open_corpus(file)
    assert len(corpus) == 3
    assert corpus.search("ben", 3) == ['"Bell"\nBig Ben is old.']
    assert corpus.search("zürich", 3) == ["Zürich\u2028東京"]
    assert corpus.search("nothing", 3) == []
    corpus.close()


def test_an_empty_corpus_and_one_that_is_a_folder(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for file in (write(tmp_path / "corpus.jsonl"), tmp_path / "folder"):
        with pytest.raises(EnvironmentSetupError, match=f"{file} .*give a corpus in JSON lines") as error:
            indexed(file)
        sentence(error)
    assert list(cache.iterdir()) == []


def test_a_corpus_is_indexed_again_when_it_has_changed(cache: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "corpus.jsonl", GOOD[0])
    first = indexed(file)
    assert indexed(file) == first
    write(file, GOOD[0].replace("Ben", "Ann"))
    os.utime(file, (1, 1))
    second = indexed(file)
    assert second != first, "of the same size"
    write(file, *GOOD)
    os.utime(file, (1, 1))
    assert indexed(file) not in (first, second), "of the same time"
    corpus = open_corpus(file)
    assert len(corpus) == 2
    corpus.close()


def test_a_retriever_is_opened_once_and_shared(cache: Path) -> None:
    try:
        assert retrievers.shared(WORLD) is retrievers.shared(World(5, 3))
        assert retrievers.shared(World(6, 3)) is not retrievers.shared(WORLD)
    finally:
        retrievers.close_all()
    assert retrievers.shared(WORLD).search("zzz", 3) == [], "opened again"
    retrievers.close_all()


def test_a_corpus_that_is_no_file(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    os.mkfifo(file)
    with pytest.raises(EnvironmentSetupError, match="is a pipe, not a file: give a corpus in JSON lines"):
        open_corpus(file)


def test_documents_that_changed_under_their_index(cache: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "corpus.jsonl", *GOOD)
    corpus = open_corpus(file)
    file.write_bytes(file.read_bytes().replace(b"{", b"["))
    with pytest.raises(EnvironmentSetupError, match=r"document 0 is not valid JSON"):
        corpus.search("ben", 3)
    corpus.close()


def test_offsets_that_lead_nowhere(cache: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "corpus.jsonl", *GOOD)
    np.save(indexed(file) / "offsets.npy", np.array([0, 10**15, file.stat().st_size]))
    corpus = open_corpus(file)
    for words in ("ben", "town"):
        with pytest.raises(EnvironmentSetupError, match="has damaged offsets: remove that folder"):
            corpus.search(words, 3)
    corpus.close()


# --- exported ---


def test_an_export_is_the_corpus_and_replaces_a_file_as_a_whole(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "corpus.jsonl"
    assert export(WORLD, file) == 125
    assert file.read_bytes() == (generate(WORLD) / "corpus.jsonl").read_bytes()
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [str(number) for number in range(125)]
    assert os.listdir(file.parent) == ["corpus.jsonl"]


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "corpus.jsonl", "old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(
        EnvironmentSetupError, match=f"cannot be written to {file} .No space left on device.: name"
    ) as e:
        export(WORLD, file)
    sentence(e)
    assert file.read_text() == "old\n" and os.listdir(tmp_path) == ["corpus.jsonl"]
    assert list(corpus_lines(WORLD))
