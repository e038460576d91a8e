"""A server that takes no weights: whether it has the model, and asking it until it answers."""

from __future__ import annotations

import threading

import pytest
from fake_vllm import FakeVllm
from server_engines import PROMPTS, step

from sdar_cli.engines.canary import check_holds
from sdar_cli.engines.client import Server
from sdar_cli.engines.foreign import ForeignEngine
from sdar_cli.engines.patience import Patience
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.recipe.schema import Sampling


@pytest.fixture
def loaded(base):
    return load_model(str(base)).eval(), load_tokenizer(str(base))


@pytest.fixture
def server(vllm: FakeVllm):
    made = Server(vllm.url)
    yield made
    made.close()


def test_the_same_model_is_known_and_another_is_not(vllm: FakeVllm, server, loaded) -> None:
    assert check_holds(server, "policy", *loaded, "'it'") < 1e-5
    step(vllm.model, 0.1)
    with pytest.raises(UserError, match=r"does not hold 'it' \(log-probs differ by \d\.\d\d nats a token\)"):
        check_holds(server, "policy", *loaded, "'it'")


def test_a_model_of_more_words(vllm: FakeVllm, server, loaded, monkeypatch) -> None:
    monkeypatch.setattr(vllm, "_sample", lambda body: ([10**6], [-1.0]))
    with pytest.raises(UserError, match="it speaks tokens that the model does not have"):
        check_holds(server, "policy", *loaded, "'it'")


def test_log_probs_that_are_far_beyond(vllm: FakeVllm, server, loaded, monkeypatch) -> None:
    monkeypatch.setattr(vllm, "_sample", lambda body: ([5], [-50.0]))
    with pytest.raises(UserError, match="nats a token"):
        check_holds(server, "policy", *loaded, "'it'")


def engine_of(vllm: FakeVllm, patience: float) -> ForeignEngine:
    return ForeignEngine(Server(vllm.url), "policy", Sampling(), 6, {2}, Patience(patience))


def test_answers_survive_a_server_that_is_away_for_a_while(vllm: FakeVllm) -> None:
    engine = engine_of(vllm, 20)
    engine.restart_stream("k")
    calm = engine.generate(PROMPTS)
    engine.restart_stream("k")
    vllm.statuses = [503]
    vllm.kill()
    threading.Timer(0.4, vllm.start).start()
    assert engine.generate(PROMPTS) == calm
    engine.close()


def test_a_server_that_stays_away(vllm: FakeVllm) -> None:
    engine = engine_of(vllm, 0.3)
    vllm.kill()
    with pytest.raises(RunFailed, match=r"did not answer for 0 s .*engine\.patience$"):
        engine.generate(PROMPTS)
    engine.close()


def test_a_question_that_was_given_up_is_not_asked_again(vllm: FakeVllm) -> None:
    engine = engine_of(vllm, 600)
    vllm.statuses = [503] * 100
    before = set(threading.enumerate())
    engine.submit(0, 0, PROMPTS[0])
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "vllm" and thread not in before]
    engine.drop()
    thread.join(60)
    assert not thread.is_alive() and engine.take(0.0) == []
    assert len(vllm.statuses) > 90
    engine.close()
