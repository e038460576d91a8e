"""Corpora, a tiny encoder, and the real server in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdar_cli.retriever.corpus import Corpus
from sdar_cli.retriever.engine import Engine, Hit, Settings
from sdar_cli.retriever.store import build, read_manifest

TEXTS = (
    '"Loch"\nA loch is a lake in Scotland.',
    '"Zürich"\nZürich liegt am See – 東京 auch, fast.',
    '"Paris"\nParis is the capital of France.',
    '"Lyon"\nLyon is a city in France.',
    '"Line"\nA separator \u2028 stays inside its line.',
)


def record(number: int, contents: str) -> dict[str, Any]:
    return {"id": str(number), "contents": contents}


def write_corpus(file: Path, texts: Sequence[str] = TEXTS) -> Path:
    """Half of the lines escaped, half as they are."""
    lines = [json.dumps(record(number, text), ensure_ascii=number % 2 == 0) for number, text in enumerate(texts)]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return file


def no_progress(done: int, total: int) -> None:
    pass


def no_bar(name: str) -> Any:
    return nullcontext(no_progress)


def open_corpus(folder: Path, texts: Sequence[str] = TEXTS) -> Corpus:
    """A corpus with its offsets, in a folder that is made."""
    folder.mkdir(exist_ok=True)
    build(write_corpus(folder / "corpus.jsonl", texts), folder / "offsets", None, Settings(), no_bar)
    return Corpus.open(folder / "offsets", read_manifest(folder / "offsets").source)


class Words(Engine):
    """Finds passages by a word in common, and fails or waits when told to."""

    name = "words"
    at_once = 2

    def __init__(self, texts: Sequence[str] = TEXTS) -> None:
        self.texts = texts
        self.asked: list[tuple[list[str], int]] = []

    @classmethod
    def build(cls, folder: Path, corpus: Corpus, settings: Settings, bar: Any) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def open(cls, folder: Path, facts: Any, settings: Settings) -> Engine:
        raise NotImplementedError

    def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
        self.asked.append((queries, topk))
        if "explode" in queries:
            raise RuntimeError("a secret path")
        return [
            [Hit(number, 0.5) for number, text in enumerate(self.texts) if set(query.split()) & set(text.split())][
                :topk
            ]
            for query in queries
        ]

    def __len__(self) -> int:
        return len(self.texts)


WORDS = "a capital city in is lake loch of paris lyon france scotland the query passage red blue green : . ,"


def save_tiny_bert(folder: Path, *, width: int = 16, positions: int = 300) -> Path:
    """A random BERT of one layer with a WordPiece vocabulary of some words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS.split(),
        *(f"##{letter}" for letter in "abcdefghij"),
    ]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[str]
    url: str
    """Of ``/retrieve``."""

    @property
    def base(self) -> str:
        return self.url.removesuffix("/retrieve")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and the rest of standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "sdar_cli.cli.main", "retriever", *words]


@contextmanager
def running(*words: str) -> Iterator[Running]:
    """``sdar retriever serve`` on a free port, ready."""
    process = subprocess.Popen(
        command("serve", "--port", "0", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().strip()
        assert url, process.stderr.read()
        yield Running(process, url)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
