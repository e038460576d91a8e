"""The retrieval client shows the token that its server asks for, to that server alone, and never in a sentence."""

from __future__ import annotations

import httpx
import pytest

from sdar_cli.errors import UserError
from sdar_cli.servers.token import RETRIEVER
from sdar_envs.search_qa.client import RetrievalClient, RetrievalError, ServerSettings

TOKEN = "a-token-of-32-letters-and-digits"


def client(seen: list[str | None], status: int) -> RetrievalClient:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(status, json={"result": [[]]} if status == 200 else {"detail": "the token is wrong"})

    return RetrievalClient(ServerSettings(("http://node7:8000/retrieve",)), transport=httpx.MockTransport(answer))


def test_the_token_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.delenv(RETRIEVER, raising=False)
    client(seen, 200).search("a", 1)
    monkeypatch.setenv(RETRIEVER, TOKEN)
    client(seen, 200).search("a", 1)
    assert seen == [None, f"Bearer {TOKEN}"]


def test_a_refused_token_is_final_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setenv(RETRIEVER, TOKEN)
    with pytest.raises(RetrievalError, match="401") as caught:
        client(seen, 401).search("a", 1)
    assert len(seen) == 1 and TOKEN not in str(caught.value)


def test_what_no_header_can_carry_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRIEVER, "ü" * 20)
    with pytest.raises(UserError, match=RETRIEVER):
        client([], 200)
