"""``sdar retriever`` as it is typed: a server on a real socket, its end, and every mistake in one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from retriever_toys import TEXTS, Words, no_bar, open_corpus, record, running, save_tiny_bert, write_corpus

from sdar_cli.cli.main import main
from sdar_cli.retriever.app import LOADING
from sdar_cli.retriever.engine import Hit, Settings
from sdar_cli.retriever.protocol import Limits
from sdar_cli.retriever.server import serve
from sdar_cli.retriever.service import Service, plan
from sdar_cli.servers.guard import Rules
from sdar_cli.servers.listen import listen, url
from sdar_envs.search_qa.client import RetrievalClient, ServerSettings

ENDLESS = """
import sys, threading
from sdar_cli.retriever import service
service.plan = lambda *_: threading.Event().wait
from sdar_cli.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "c.jsonl")


def test_a_corpus_is_served_and_ctrl_c_ends_it(corpus: Path) -> None:
    """Both dialects, unicode, refusals, concurrent requests and our own client, over one server from start to end."""
    with running("--corpus", str(corpus), "--max-topk", "4", "--topk", "1") as server, httpx.Client() as client:
        assert client.get(f"{server.base}/health").json() == {"name": "c.jsonl", "engine": "bm25", "documents": 5}

        one = client.post(server.url, json={"query": "capital of France", "topk": 2, "return_scores": True})
        many = client.post(server.url, json={"queries": ["capital of France"], "topk": 2, "return_scores": True})
        assert one.json() == many.json()
        ((best, second),) = one.json()["result"]
        assert (best["document"], second["document"]) == (record(2, TEXTS[2]), record(3, TEXTS[3]))
        assert best["score"] > second["score"] > 0

        queries = {"queries": ["東京", "", "separators", "no-such-word"]}
        assert client.post(server.url, json=queries).json() == {
            "result": [[record(1, TEXTS[1])], [], [record(4, TEXTS[4])], []]
        }
        everything = client.post(server.url, json={"query": "loch Zürich capital city separator", "topk": 4})
        assert len(everything.json()["result"][0]) == 4
        for body, status in (
            (b"{", 400),
            (b"{}", 422),
            (b'{"query": "a", "topk": 5}', 422),
            (b" " * 2**23 + b"{", 413),
        ):
            refused = client.post(server.url, content=body)
            assert refused.status_code == status and set(refused.json()) == {"detail"}
        assert client.get(f"{server.base}/gone").status_code == 404

        def ask(number: int) -> list[dict]:
            query = ("loch", "Zürich", "capital", "city", "separator")[number % 5]
            return client.post(server.url, json={"query": query}).json()["result"][0]

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(60)))
        assert answers == [[record(number % 5, TEXTS[number % 5])] for number in range(60)]

        for dialect in ("query", "queries"):
            ours = RetrievalClient(ServerSettings(urls=(server.url,), dialect=dialect))
            ours.check()
            assert ours.search("capital of France", 2) == [TEXTS[2], TEXTS[3]]
            assert ours.search("no-such-word", 2) == []
            ours.close()

        code, errors = server.end(signal.SIGINT)
    assert code == 130
    assert errors.splitlines() == [
        f"loading; {server.base} answers 503 until then",
        "5 passages of c.jsonl, by bm25; Ctrl-C ends it",
        "error: interrupted",
    ]


def test_a_dense_index_is_built_and_served(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, which has loaded torch already; an interrupt that it sends itself ends the server."""
    pytest.importorskip("faiss", reason="the dense extra is not installed")
    model = save_tiny_bert(tmp_path / "e5")
    arguments = ["--corpus", str(corpus), "--engine", "dense", "--model", str(model), "--out", str(tmp_path / "index")]
    assert main(["retriever", "build", *arguments]) == 0
    assert capsys.readouterr() == (f"5 passages, by dense, in {tmp_path / 'index'}\n", "")
    health, answer = {}, {}

    def ask(service: Service) -> None:
        base = url(opened, "127.0.0.1")
        health.update(httpx.get(f"{base}/health").json())
        body = {"queries": ["loch", " "], "topk": 100, "return_scores": True}
        answer.update(httpx.post(f"{base}/retrieve", json=body, timeout=60).json())
        os.kill(os.getpid(), signal.SIGINT)

    with listen("127.0.0.1", 0) as opened, pytest.raises(KeyboardInterrupt):
        serve(opened, plan(tmp_path / "index", None, Settings(), no_bar), Limits(), Rules(), ask, print)
    assert health == {"name": "c.jsonl", "engine": "dense", "documents": 5}
    ranked, blank = answer["result"]
    assert sorted(row["document"]["id"] for row in ranked) == list("01234") and blank == []
    assert [row["score"] for row in ranked] == sorted((row["score"] for row in ranked), reverse=True)


def test_requests_get_503_while_it_loads_and_ctrl_c_still_ends_it(corpus: Path) -> None:
    """The server as it is, but for a loading that never ends."""
    words = [sys.executable, "-c", ENDLESS, "retriever", "serve", "--corpus", str(corpus), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("loading; http://127.0.0.1:"), line
            base = line.split()[1]
            for answer in (httpx.get(f"{base}/health"), httpx.post(f"{base}/retrieve", json={"query": "loch"})):
                assert (answer.status_code, answer.json()) == (503, {"detail": LOADING})
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, errors) == (130, "", "error: interrupted\n")


def test_damage_found_while_loading_ends_the_server(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    assert main(["retriever", "build", "--corpus", str(corpus), "--out", str(index)]) == 0
    (index / "offsets.npy").write_bytes(b"")
    capsys.readouterr()
    assert main(["retriever", "serve", "--index", str(index), "--port", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error: {index / 'offsets.npy'} cannot be read" in captured.err.splitlines()[-1]


def test_build_says_what_it_made(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["retriever", "build", "--corpus", str(corpus), "--engine", "bm25", "--out", str(tmp_path / "index")]
    assert main(arguments) == 0
    assert capsys.readouterr() == (f"5 passages, by bm25, in {tmp_path / 'index'}\n", "")
    assert main(arguments) == 2
    assert "exists: remove it, or give another folder with --out" in capsys.readouterr().err


def test_a_port_that_is_taken(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["retriever", "serve", "--corpus", str(corpus), "--port", port]) == 2
    sentence = f"error: 127.0.0.1 port {port} cannot be opened (Address already in use): give another with --port\n"
    assert capsys.readouterr() == ("", sentence)


def test_an_interrupt_lets_the_searches_under_way_finish(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []

    class Interrupted(Words):
        def search(self, queries: list[str], topk: int) -> list[list[Hit]]:
            os.kill(os.getpid(), signal.SIGINT)
            return super().search(queries, topk)

    passages = open_corpus(tmp_path / "data")
    with listen("127.0.0.1", 0) as opened, pytest.raises(KeyboardInterrupt):
        serve(
            opened,
            lambda: Service(passages, Interrupted()),
            Limits(),
            Rules(),
            lambda _: answers.append(httpx.post(f"{url(opened, '127.0.0.1')}/retrieve", json={"query": "capital"})),
            print,
        )
    passages.close()
    assert [answer.json() for answer in answers] == [{"result": [[record(2, TEXTS[2])]]}]


def test_answers_are_not_held_back() -> None:
    """asyncio turns Nagle's algorithm off for sockets that say TCP; else an answer waits 40 ms for the client's ack."""
    with listen("127.0.0.1", 0) as opened:
        assert opened.proto == socket.IPPROTO_TCP
        assert url(opened, "127.0.0.1") == f"http://127.0.0.1:{opened.getsockname()[1]}"
        assert url(opened, "::1").startswith("http://[::1]:")


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_the_extra_is_missing(
    missing: str, corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["retriever", "serve", "--corpus", str(corpus), "--port", "0"]) == 2
    sentence = f"error: the package {missing} is not installed: run `pip install 'sdar[retriever]'`\n"
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serve"], "there is nothing to serve: name a corpus with --corpus"),
        (["serve", "--corpus", "gone.jsonl"], "the corpus gone.jsonl does not exist"),
        (["serve", "--index", "gone"], "there is no index at gone"),
        (["serve", "--corpus", "{corpus}", "--model", "m"], "--model is not for bm25: leave it out"),
        (["serve", "--corpus", "{corpus}", "--topk", "9", "--max-topk", "8"], "--topk 9 is above --max-topk 8"),
        (["serve", "--corpus", "{corpus}", "--host", "192.0.2.1"], "192.0.2.1 port 0 cannot be opened"),
        (["serve", "--corpus", "{corpus}", "--host", "not a host"], "not a host port 0 cannot be opened"),
        (["serve", "--corpus", "{corpus}", "--host", "a" * 70 + ".b"], "port 0 cannot be opened"),
        (["serve", "--port", "70000"], "'--port': Input should be less than or equal to 65535"),
        (["build", "--corpus", "{corpus}"], "--out"),
        (["build", "--corpus", "gone.jsonl", "--out", "x"], "the corpus gone.jsonl does not exist"),
        (["build", "--corpus", "{corpus}", "--out", "x", "--engine", "lsi"], "'bm25', 'dense'"),
        (["build", "--corpus", "{corpus}", "--out", "x", "--index-type", "hnsw"], "--index-type is not for bm25"),
        (
            ["build", "--corpus", "{corpus}", "--out", "x", "--engine", "dense"],
            "needs its encoder: name it with --model",
        ),
        (["build", "--corpus", "{damaged}", "--out", "x"], "damaged.jsonl: line 2 is not valid JSON"),
    ],
)
def test_mistakes(
    words: list[str],
    says: str,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAR_RETRIEVER_TOKEN", "a-token-of-32-letters-and-digits")
    (tmp_path / "damaged.jsonl").write_text('{"contents": "fine"}\n{"contents": "cut')
    words = [word.format(corpus=corpus, damaged="damaged.jsonl") for word in words]
    if words[0] == "serve" and "--port" not in words:
        words += ["--port", "0"]
    assert main(["retriever", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and says in captured.err and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.jsonl"]


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["build", "--help"], ["serve"]])
def test_nothing_heavy_is_loaded(words: list[str], tmp_path: Path) -> None:
    heavy = ("torch", "transformers", "faiss", "fastapi", "uvicorn", "numpy")[: 3 if words == ["serve"] else None]
    code = (
        "import sys\nfrom sdar_cli.cli.main import main\n"
        f"main(['retriever', *{words!r}])\nprint(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.rstrip().endswith("[]"), done.stdout + done.stderr


def test_the_pages_requests_are_answered_as_shown(repository: Path, tmp_path: Path) -> None:
    """Every ``curl`` of docs/retriever.md, sent to a server of the page's own corpus."""
    sys.path.insert(0, str(repository / "tests" / "docs"))
    try:
        from markdown_blocks import blocks
    finally:
        sys.path.pop(0)
    page = list(blocks(repository / "docs" / "retriever.md"))
    (text,) = (block.text for block in page if block.directive == "file: corpus.jsonl")
    (tmp_path / "corpus.jsonl").write_text(text)
    sent = 0
    with running("--corpus", str(tmp_path / "corpus.jsonl")) as server:
        for line, shown in (pair for block in page if block.language == "console" for pair in block.commands):
            if not line.startswith("curl "):
                continue
            done = subprocess.run(
                ["bash", "-c", line.replace("http://127.0.0.1:8000", server.base)], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == json.loads("".join(shown))
            sent += 1
        assert server.end(signal.SIGTERM)[0] == 143
    assert sent >= 3


def test_wider_than_this_machine_it_needs_a_token(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDAR_RETRIEVER_TOKEN", raising=False)
    assert main(["retriever", "serve", "--corpus", str(corpus), "--host", "0.0.0.0", "--port", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "set SDAR_RETRIEVER_TOKEN to a secret" in captured.err
