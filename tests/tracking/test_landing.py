"""Where ``sdar ui`` leads, asked of a server that answers as MLflow's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sdar_cli.tracking.landing import landing

VIEW = "mlflow.sharedViewState."


class Answers(BaseHTTPRequestHandler):
    """``answers`` by the last word of the path; ``seen`` is what came."""

    answers: dict[str, Any] = {}
    seen: list[tuple[str, Any, str | None]] = []
    short = 0
    """Bytes that do not come."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, asked, self.headers["Authorization"]))
        answer = self.answers[self.path.split("/")[-2]]
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - self.short])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Answers.seen, Answers.short = [], 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def holds(views: list[str], tags: dict[str, str]) -> None:
    own = [{"key": VIEW + key, "value": "…"} for key in views]
    given = [{"key": key, "value": value} for key, value in tags.items()]
    Answers.answers = {
        "experiments": {"experiments": [{"experiment_id": "0"}, {"experiment_id": "7", "tags": own}]},
        "runs": {"runs": [{"info": {"experiment_id": "7"}, "data": {"tags": given}}]},
    }


@pytest.mark.parametrize(
    ("views", "tags", "key"),
    [
        (["sdar-runs"], {"sdar.kind": "training"}, "sdar-runs"),
        (["sdar-runs", "sdar-study-a"], {"sdar.study": "a"}, "sdar-study-a"),
        (["sdar-runs"], {"sdar.study": "a"}, "sdar-runs"),
        ([], {}, None),
    ],
)
def test_the_newest_run_says_which_page(server: str, views: list[str], tags: dict[str, str], key: str | None) -> None:
    holds(views, tags)
    end = "" if key is None else f"&viewStateShareKey={key}"
    expected = f"http://{server}/#/experiments/7/runs?workflowType=machine_learning{end}"
    assert landing(f"http://me:h%40sh@{server}/") == expected
    (path, _, first), (_, asked, _) = Answers.seen
    assert path == "/api/2.0/mlflow/experiments/search" and first == "Basic bWU6aEBzaA=="
    assert asked["experiment_ids"] == ["0", "7"] and "!= 'warm-up'" in asked["filter"]


def test_an_empty_server_and_one_that_is_away_are_opened_at_their_root(server: str) -> None:
    Answers.answers = {"experiments": {"experiments": []}, "runs": {}}
    assert landing(f"http://{server}") == f"http://{server}"
    Answers.answers = {}
    assert landing("http://me:hush@127.0.0.1:9/") == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"USERNAME": "me", "PASSWORD": "hush"}, "Basic bWU6aHVzaA=="),
        ({"TOKEN": "abc"}, "Bearer abc"),
        ({}, None),
    ],
)
def test_who_asks_is_known_from_the_environment(
    server: str, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sent: str | None
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    Answers.answers = {"experiments": {}}
    landing(f"http://{server}")
    assert Answers.seen[0][2] == sent


@pytest.mark.parametrize(
    "experiments",
    [
        *(b"", b"<html>", b"[" * 100_000, [], {"experiments": 5}, {"experiments": [{"experiment_id": "1"}]}),
        {"experiments": [{"experiment_id": "7", "tags": "abc"}]},
        {"experiments": [{"experiment_id": "7", "tags": [{"key": 5}]}]},
    ],
)
def test_garbage_leads_to_the_root(server: str, experiments: Any) -> None:
    holds([], {})
    Answers.answers["experiments"] = experiments
    assert landing(f"http://{server}").removesuffix("/#/experiments/7/runs?workflowType=machine_learning") == (
        f"http://{server}"
    )


def test_half_an_answer_leads_to_the_root(server: str) -> None:
    holds([], {})
    Answers.short = 10
    assert landing(f"http://{server}") == f"http://{server}"


def test_this_machine_is_asked_without_a_proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a cluster's environment may name one that knows nothing of it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    holds(["sdar-runs"], {})
    assert landing(f"http://{server}").endswith("viewStateShareKey=sdar-runs")
