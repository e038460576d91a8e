"""An index's folder appears whole or not at all, and is opened only for the corpus it belongs to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from retriever_toys import TEXTS, no_bar, write_corpus

from sdar_cli.errors import EnvironmentSetupError, SdarError
from sdar_cli.retriever import store
from sdar_cli.retriever.bm25 import Bm25
from sdar_cli.retriever.engine import Settings
from sdar_cli.retriever.engines import ENGINES
from sdar_cli.retriever.service import plan
from sdar_cli.retriever.store import MANIFEST, build, cached

NOTHING = Settings()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "c.jsonl")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))


def test_every_engine_is_known_by_its_name() -> None:
    assert {name: engine.name for name, engine in ENGINES.items()} == {"bm25": "bm25", "dense": "dense"}


def test_build_then_search(corpus: Path, tmp_path: Path) -> None:
    manifest = build(corpus, tmp_path / "index", Bm25, NOTHING, no_bar)
    assert manifest.source.documents == len(TEXTS)
    service = plan(tmp_path / "index", None, NOTHING, no_bar)()
    ((france, score), (other, less)), nothing, blank = service.retrieve(["capital of France", "unknown", " \n"], 2)
    assert (france["id"], other["id"]) == ("2", "3") and score > less > 0
    assert nothing == blank == []


def test_the_file_system_shows_only_whole_indexes(corpus: Path, tmp_path: Path) -> None:
    """Whether the corpus is damaged or the build is interrupted, at whatever stage."""
    (tmp_path / "bad.jsonl").write_bytes(corpus.read_bytes() + b"{")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(EnvironmentSetupError, match="line 6 is not valid JSON"):
        build(tmp_path / "bad.jsonl", tmp_path / "index", Bm25, NOTHING, no_bar)

    for stage in ("reading passages", "indexing words"):

        @contextmanager
        def interrupted(name: str, stage: str = stage) -> Any:
            def report(done: int, total: int) -> None:
                assert sorted(tmp_path.iterdir()) != before, "something is being written"
                if name == stage:
                    raise KeyboardInterrupt

            yield report

        with pytest.raises(KeyboardInterrupt):
            build(corpus, tmp_path / "index", Bm25, NOTHING, interrupted)
        assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_one_sentence(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_json", full)
    with pytest.raises(EnvironmentSetupError, match=r"index \(No space left on device\): free space"):
        build(corpus, tmp_path / "index", Bm25, NOTHING, no_bar)
    assert not (tmp_path / "index").exists()


def test_a_folder_that_is_taken_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    build(corpus, tmp_path / "taken", Bm25, NOTHING, no_bar)
    before = (tmp_path / "taken" / MANIFEST).read_bytes()
    for path in (tmp_path / "taken", corpus):
        with pytest.raises(EnvironmentSetupError, match="exists: remove it, or give another folder with --out"):
            build(corpus, path, Bm25, NOTHING, no_bar)
    assert (tmp_path / "taken" / MANIFEST).read_bytes() == before


def test_a_missing_corpus(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSetupError, match=r"gone\.jsonl does not exist"):
        build(tmp_path / "gone.jsonl", tmp_path / "index", Bm25, NOTHING, no_bar)
    with pytest.raises(EnvironmentSetupError, match=r"is a folder, not a file"):
        cached(tmp_path, Bm25, no_bar)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_follows_the_content(corpus: Path, tmp_path: Path) -> None:
    first = cached(corpus, Bm25, no_bar)
    made = (first / MANIFEST).stat().st_mtime_ns
    assert cached(corpus, Bm25, no_bar) == first and (first / MANIFEST).stat().st_mtime_ns == made
    assert cached(corpus, None, no_bar) != first
    facts = corpus.stat()
    corpus.write_bytes(corpus.read_bytes().replace(b"Scotland", b"Thailand"))
    os.utime(corpus, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    second = cached(corpus, Bm25, no_bar)
    assert second != first
    service = plan(None, corpus, NOTHING, no_bar)()
    assert [[passage["id"] for passage, _ in row] for row in service.retrieve(["Thailand", "Scotland"], 3)] == [
        ["0"],
        [],
    ]


def test_an_archive_needs_no_second_file(tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(write_corpus(tmp_path / "c.jsonl").read_bytes()))
    (tmp_path / "c.jsonl").unlink()
    build(packed, tmp_path / "index", Bm25, NOTHING, no_bar)
    expected = [[("0", '"Loch"\nA loch is a lake in Scotland.')]]
    for index, corpus in ((tmp_path / "index", None), (None, packed)):
        service = plan(index, corpus, NOTHING, no_bar)()
        found = service.retrieve(["lakes"], 1)
        assert [[(passage["id"], passage["contents"]) for passage, _ in row] for row in found] == expected
    packed.unlink()
    (tmp_path / "index").rename(tmp_path / "moved")
    assert len(plan(tmp_path / "moved", None, NOTHING, no_bar)().corpus) == len(TEXTS)


def change(key: str, value: object) -> Callable[[dict], object]:
    def apply(content: dict) -> dict:
        place = content
        *parents, last = key.split(".")
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
        return content

    return apply


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: [], "retriever.json is damaged: build the index again"),
        (change("format", ...), "is damaged"),
        (change("format", 2), "was built by another version of sdar"),
        (change("engine", ...), "is damaged"),
        (change("engine", "lsi"), "is an index of the kind 'lsi', which this version does not know"),
        (change("engine", None), "is an index of the kind None, which"),
        (change("facts", 3), "is damaged"),
        (change("source", {}), "is damaged"),
        (change("source.documents", "5"), "is damaged"),
        (change("source.file", 5), "is damaged"),
        (change("source.more", 5), "is damaged"),
        (change("source.documents", 4), "offsets.npy does not belong to this index: build it again"),
        (change("source.file", "/gone"), "the corpus /gone does not exist"),
        (change("source.file", "a\0b"), "is damaged"),
        (change("source.file", "../../corpus.jsonl"), "is damaged"),
        (change("source.bytes", 10**30), "is damaged"),
        (change("source.bytes", True), "is damaged"),
        (change("engine", ["bm25"]), "is damaged"),
        (change("facts", [1]), "is damaged"),
    ],
)
def test_a_damaged_manifest(damage: Callable[[dict], object], says: str, corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", Bm25, NOTHING, no_bar)
    file = tmp_path / "index" / MANIFEST
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    with pytest.raises(SdarError) as caught:
        plan(tmp_path / "index", None, NOTHING, no_bar)()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_index_of_other_passages(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", Bm25, NOTHING, no_bar)
    build(write_corpus(tmp_path / "d.jsonl", TEXTS[:3]), tmp_path / "less", Bm25, NOTHING, no_bar)
    (tmp_path / "index" / "bm25").rename(tmp_path / "away")
    (tmp_path / "less" / "bm25").rename(tmp_path / "index" / "bm25")
    with pytest.raises(EnvironmentSetupError, match=r"indexes 3 passages and .*c\.jsonl holds 5"):
        plan(tmp_path / "index", None, NOTHING, no_bar)()


@pytest.mark.parametrize(
    ("index", "named", "settings", "says"),
    [
        (None, None, NOTHING, "there is nothing to serve: name a corpus with --corpus"),
        ("gone", None, NOTHING, "there is no index at "),
        (
            ".",
            None,
            NOTHING,
            "is no retriever index (it holds no retriever.json): make one with `sdar retriever build`",
        ),
        ("c.jsonl", None, NOTHING, "is a file, so a faiss index: name its corpus with --corpus"),
        (None, "c.jsonl", Settings(model="x"), "--model is not for bm25"),
        (None, "c.jsonl", Settings(ef_search=3), "--ef-search is not for bm25"),
        (None, "c.jsonl", Settings(in_memory=True), "--in-memory is not for bm25"),
        (None, "c.jsonl", Settings(device="cpu"), "--device is not for bm25"),
    ],
)
def test_what_does_not_go_together(
    index: str | None, named: str | None, settings: Settings, says: str, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentSetupError) as caught:
        plan(index and tmp_path / index, named and tmp_path / named, settings, no_bar)
    assert says in str(caught.value)
