"""One server over HTTP: what it is asked, what is made of its answers, and the sentence for each way to fail."""

from __future__ import annotations

import pytest
from fake_vllm import FakeVllm

from sdar_cli.cli.eval import _check_engine
from sdar_cli.engines.client import Gone, Server, ServerInfo
from sdar_cli.engines.wire import Answer
from sdar_cli.errors import UserError
from sdar_cli.recipe.schema import Engine, Sampling

ABOUT = {"model": "policy", "max_tokens": 5, "ends": [2]}


@pytest.fixture
def server(vllm: FakeVllm):
    made = Server(vllm.url)
    yield made
    made.close()


def test_a_url_may_end_as_openais_does(vllm: FakeVllm) -> None:
    for url in (vllm.url, vllm.url + "/", vllm.url + "/v1", vllm.url + "/v1/"):
        made = Server(url)
        assert made.info().model == "policy"
        made.close()


def test_what_a_server_says_of_itself(vllm: FakeVllm, server: Server) -> None:
    vllm.lora = {"max_lora_rank": 8}
    assert server.healthy()
    assert server.info() == ServerInfo("policy", 4096, True, vllm.extension, "processed_logprobs", 8, False)
    vllm.development = False
    assert server.info() == ServerInfo("policy", 4096)


def test_a_completion_asks_for_ids_and_log_probs_and_gets_them(vllm: FakeVllm, server: Server) -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=3)
    made = server.complete([5, 6, 7], sampling, seed=2**61, **ABOUT)
    assert 1 <= len(made.ids) <= 5 and len(made.logprobs) == len(made.ids)
    assert all(p <= 0 for p in made.logprobs)
    body = vllm.requests[-1][1]
    assert body["prompt"] == [5, 6, 7] and body["stop_token_ids"] == [2] and body["seed"] == 2**61
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.7, 0.9, 3)
    for neutral in ({"repetition_penalty": 1.0, "min_p": 0.0}, {"presence_penalty": 0.0, "frequency_penalty": 0.0}):
        assert body.items() >= neutral.items(), "else a server takes the model's own wishes"
    assert body["return_token_ids"] is True and body["logprobs"] == 0 and body["add_special_tokens"] is False
    assert server.complete([5, 6, 7], sampling, seed=2**61, **ABOUT) == made


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:9/\x01"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UserError, match="is no URL: give one such as"):
        Server(url)


@pytest.mark.parametrize("url", ["http://a..b:8000", f"http://{'a' * 64}.example:8000"])
def test_a_host_that_no_name_can_be(url: str) -> None:
    made = Server(url)
    with pytest.raises(UserError, match="is no URL: give one such as"):
        made.info()
    made.close()


def test_a_key_that_no_header_takes() -> None:
    with pytest.raises(UserError, match="VLLM_API_KEY holds letters that no HTTP header takes") as caught:
        Server("http://127.0.0.1:9", key="schlüssel")
    assert "schl" not in str(caught.value)


def test_a_model_that_went_is_gone_and_a_route_that_is_not_there_is_an_error(
    vllm: FakeVllm, server: Server, monkeypatch
) -> None:
    with pytest.raises(Gone, match=r"^it no longer knows other$"):
        server.complete([5], Sampling(), seed=0, **ABOUT | {"model": "other"})
    own = vllm.answer
    monkeypatch.setattr(
        vllm, "answer", lambda verb, path, body: own(verb, path.replace("completions", "nothing"), body)
    )
    with pytest.raises(UserError, match=r"has no route /v1/completions: use one such as `vllm serve`$"):
        server.complete([5], Sampling(), seed=0, **ABOUT)


def test_an_answer_of_bytes_is_no_json(vllm: FakeVllm, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(server._wire, "_ask", lambda *about, **more: Answer(200, b"\xff\xfe\x80"))
    with pytest.raises(UserError, match="answers something that is no JSON"):
        server.info()


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://[::1", "http://a:99999", "http://a:b"])
def test_a_recipe_holds_urls(url: str) -> None:
    with pytest.raises(ValueError, match="is no URL: give one such as"):
        Engine(kind="vllm", mode="server", server_url=["https://a:8000/v1", "http://[::1]:8000", url])


def test_a_url_holds_no_password() -> None:
    """It would be in every run.json, in MLflow, and in errors."""
    with pytest.raises(ValueError, match="put the server's key into VLLM_API_KEY") as caught:
        Engine(kind="vllm", mode="server", server_url=["http://a:1", "http://me:secret@127.0.0.1:8000"])
    assert "secret" not in caught.value.errors()[0]["msg"]
    with pytest.raises(UserError, match="VLLM_API_KEY") as refused:
        _check_engine("https://me:secret@127.0.0.1:8000")
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_gone(vllm: FakeVllm, server: Server) -> None:
    vllm.kill()
    assert not server.healthy()
    with pytest.raises(Gone, match="ConnectError"):
        server.info()


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_time_may_heal_is_gone(vllm: FakeVllm, server: Server, status: int) -> None:
    vllm.statuses = [status]
    with pytest.raises(Gone, match=f"^{status}: told to$"):
        server.complete([5], Sampling(), seed=0, **ABOUT)


def test_what_the_server_refuses_is_an_error(vllm: FakeVllm, server: Server) -> None:
    vllm.statuses = [400]
    with pytest.raises(UserError, match=r"refuses /v1/completions \(400: told to\): see docs/vllm\.md"):
        server.complete([5], Sampling(), seed=0, **ABOUT)


def test_answers_without_ids_or_log_probs(vllm: FakeVllm, server: Server, monkeypatch) -> None:
    for answer in ({"choices": []}, {"choices": [{"text": "a", "logprobs": None}]}, {}):
        monkeypatch.setattr(vllm, "_complete", lambda body, answer=answer: (200, answer))
        with pytest.raises(UserError, match="lack token ids or log-probs"):
            server.complete([5], Sampling(), seed=0, **ABOUT)


@pytest.mark.parametrize("logprobs", [[-1.0], [-1.0, float("nan")], [-1.0, float("-inf")]])
def test_log_probs_that_cannot_be(vllm: FakeVllm, server: Server, monkeypatch, logprobs: list[float]) -> None:
    choice = {"token_ids": [3, 2], "logprobs": {"token_logprobs": logprobs}}
    monkeypatch.setattr(vllm, "_complete", lambda body: (200, {"choices": [choice]}))
    with pytest.raises(Gone):
        server.complete([5], Sampling(), seed=0, **ABOUT)


@pytest.mark.parametrize("answer", ["no object", ["list"]])
def test_another_kind_of_server(vllm: FakeVllm, server: Server, monkeypatch, answer) -> None:
    monkeypatch.setattr(vllm, "answer", lambda *about: (200, answer))
    with pytest.raises(UserError, match="no vLLM server: correct the URL"):
        server.info()


def test_a_server_of_no_models(vllm: FakeVllm, server: Server, monkeypatch) -> None:
    monkeypatch.setattr(vllm, "answer", lambda *about: (200, {"data": []}))
    with pytest.raises(UserError, match="lists no model"):
        server.info()


def test_development_routes(vllm: FakeVllm, server: Server, tmp_path) -> None:
    assert server.boot() == "boot-1"
    assert len(server.fingerprint()) == 1
    assert server.sees(str(tmp_path)) and not server.sees(str(tmp_path / "none"))
    assert server.reset_cache()
    vllm.busy_cache = True
    assert not server.reset_cache()


def test_adapters_where_the_server_takes_none(server: Server) -> None:
    server.unload_adapter("a")
    with pytest.raises(UserError, match=r"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or set engine\.lora=merge$"):
        server.load_adapter("a", "/nowhere")
