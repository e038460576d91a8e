"""A corpus is checked line by line, read in place, and recognised."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from retriever_toys import TEXTS, no_progress, record, write_corpus

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.retriever import corpus as corpus_module
from sdar_cli.retriever import scan as scan_module
from sdar_cli.retriever.corpus import Corpus
from sdar_cli.retriever.scan import OFFSETS, scan

GOOD = json.dumps(record(0, "x")).encode()


def read(file: Path, folder: Path) -> list[dict]:
    source = scan(file, folder, no_progress)
    corpus = Corpus.open(folder, source)
    passages = [corpus.passage(number) for number in range(len(corpus))]
    assert [passage["contents"] for passage in passages] == list(corpus.texts())
    corpus.close()
    return passages


def test_passages_by_number(tmp_path: Path) -> None:
    assert read(write_corpus(tmp_path / "c.jsonl"), tmp_path) == [record(n, text) for n, text in enumerate(TEXTS)]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n", "\n\n", " \n\t\n"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@example(["\u2028\x85\r\x00", ""], "\n", False, False, False)
def test_any_text_comes_back(texts: list[str], end: str, last: bool, escaped: bool, packed: bool) -> None:
    records = [{"id": n, "contents": text, "more": {text: [text, None, 1e300]}} for n, text in enumerate(texts)]
    content = end.join(json.dumps(item, ensure_ascii=escaped) for item in records) + end * last
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / ("c.jsonl.gz" if packed else "c.jsonl")
        file.write_bytes(gzip.compress(content.encode(), 1) if packed else content.encode())
        assert read(file, folder) == records


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"id": "1", "contents": "x"', "is not valid JSON (Expecting ',' delimiter, column 28)"),
        (b"nonsense", "is not valid JSON (Expecting value, column 1)"),
        (b'{"contents": "a"} {"contents": "b"}', "is not valid JSON (Extra data, column 19)"),
        (b'{"contents": "x", "score": NaN}', "is not valid JSON (NaN is no JSON number)"),
        (b"[" * 100_000, "is not valid JSON (nested too deeply"),
        (b'{"contents": "x", "n": ' + b"9" * 5000 + b"}", "is not valid JSON (Exceeds the limit"),
        (b'{"contents": "x", "n": 1e400}', "holds a number that is too large"),
        (b'["x"]', "is no JSON object but a list"),
        (b'"x"', "is no JSON object but a str"),
        (b'{"id": "1", "text": "x"}', "has no 'contents'"),
        (b'{"id": "1", "contents": null}', "holds a NoneType in 'contents'"),
        (b'{"id": "1", "contents": ["x"]}', "holds a list in 'contents'"),
        (b'{"contents": "x\xff"}', "is not UTF-8 (byte 15)"),
        ('{"contents": "x"}'.encode("utf-16"), "is not UTF-8 (byte 0)"),
        (b'{"contents": "\\ud800"}', r"holds half of a character (a lone surrogate, \ud800)"),
        (b'{"contents": "x", "\\udfff": 1}', r"holds half of a character (a lone surrogate, \udfff)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_named_with_its_line(line: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_bytes(GOOD + b"\n\n" + line + b"\n" + GOOD)
    with pytest.raises(EnvironmentSetupError) as caught:
        scan(file, tmp_path, no_progress)
    assert str(caught.value).startswith(f"{file}: line 3 {says}")
    assert str(caught.value).count("\n") == 0
    assert not (tmp_path / OFFSETS).exists()


@pytest.mark.parametrize(
    "line",
    [
        b'{"contents": ""}',
        b'{"id": 7, "contents": "x"}',
        b'\t{"contents": "x"} \r',
        b'{"contents": "\\ud83d\\ude00 \\\\ud800"}',
        b'{"contents": "NaN", "n": -1e300, "deep": [[[[]]]]}',
    ],
)
def test_what_only_looks_like_damage(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(GOOD + b"\n" + line)
    assert read(tmp_path / "c.jsonl", tmp_path)[1] == json.loads(line)


@pytest.mark.parametrize("content", [b"", b"\n \r\n"])
def test_a_corpus_without_passages(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(EnvironmentSetupError, match="holds no passage"):
        scan(tmp_path / "c.jsonl", tmp_path, no_progress)


def test_many_blank_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together longer than a line may be."""
    for module in (scan_module, corpus_module):
        monkeypatch.setattr(module, "LONGEST", 2**10)
    blank = b"\n \r\n" * 2**10
    (tmp_path / "c.jsonl").write_bytes(blank + blank.join([GOOD] * 3) + blank)
    assert read(tmp_path / "c.jsonl", tmp_path) == [json.loads(GOOD)] * 3


def test_a_file_without_line_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "LONGEST", 2**20)
    (tmp_path / "c.jsonl").write_bytes(GOOD + b"\n" + b" " * (2**20 + 1))
    with pytest.raises(EnvironmentSetupError, match="line 2 is longer than 1 MiB"):
        scan(tmp_path / "c.jsonl", tmp_path, no_progress)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-4],
        lambda whole: b"plain text",
        lambda whole: whole[:40] + bytes([whole[40] ^ 255]) + whole[41:],
    ],
    ids=["half", "without its end", "not packed", "a flipped byte"],
)
def test_a_damaged_archive(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(json.dumps(record(n, os.urandom(8).hex())).encode() + b"\n" for n in range(200)))
    file = tmp_path / "c.jsonl.gz"
    file.write_bytes(damage(packed))
    with pytest.raises(EnvironmentSetupError, match=r"c\.jsonl\.gz: line \d+ (cannot be unpacked|is not)") as caught:
        scan(file, tmp_path, no_progress)
    assert str(caught.value).count("\n") == 0


def test_progress_ends_with_the_whole_file(tmp_path: Path) -> None:
    file = write_corpus(tmp_path / "c.jsonl", ["x"] * 10_000)
    seen: list[tuple[int, int]] = []
    scan(file, tmp_path, lambda done, total: seen.append((done, total)))
    size = file.stat().st_size
    assert seen[-1] == (size, size) and len(seen) > 2
    assert seen == sorted(seen)


def test_passages_are_not_held_in_memory(tmp_path: Path) -> None:
    file = write_corpus(tmp_path / "c.jsonl", ["x" * 10_000] * 2000)
    tracemalloc.start()
    try:
        corpus = Corpus.open(tmp_path, scan(file, tmp_path, no_progress))
        assert sum(len(text) for text in corpus.texts()) == 20_000_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


class TestIsItTheSameCorpus:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return write_corpus(tmp_path / "c.jsonl")

    def test_a_new_date_is_not_a_new_corpus(self, file: Path, tmp_path: Path) -> None:
        source = scan(file, tmp_path, no_progress)
        os.utime(file, (1, 1))
        assert len(Corpus.open(tmp_path, source)) == len(TEXTS)

    def test_it_may_move(self, file: Path, tmp_path: Path) -> None:
        source = scan(file, tmp_path, no_progress)
        moved = file.rename(tmp_path / "elsewhere.jsonl")
        with pytest.raises(EnvironmentSetupError, match=r"c\.jsonl does not exist.* with --corpus"):
            Corpus.open(tmp_path, source)
        assert Corpus.open(tmp_path, source, moved).passage(2) == record(2, TEXTS[2])

    @pytest.mark.parametrize("change", [b"y", b""], ids=["another letter", "shorter"])
    def test_it_may_not_change(self, change: bytes, file: Path, tmp_path: Path) -> None:
        source = scan(file, tmp_path, no_progress)
        file.write_bytes(file.read_bytes().replace(b"x", change).replace(b"L", change, 1))
        with pytest.raises(EnvironmentSetupError, match="is not the corpus that"):
            Corpus.open(tmp_path, source)

    @pytest.mark.parametrize(
        "offsets",
        [b"", b"junk", np.zeros(6, np.int32), np.zeros(5, np.int64), np.zeros(6, np.int64), np.zeros((6, 1), np.int64)],
    )
    def test_damaged_offsets(self, offsets: bytes | np.ndarray, file: Path, tmp_path: Path) -> None:
        source = scan(file, tmp_path, no_progress)
        if isinstance(offsets, bytes):
            (tmp_path / OFFSETS).write_bytes(offsets)
        else:
            np.save(tmp_path / OFFSETS, offsets)
        with pytest.raises(EnvironmentSetupError, match=r"offsets\.npy .*build"):
            Corpus.open(tmp_path, source)
