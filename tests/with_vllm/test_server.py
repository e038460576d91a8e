"""vLLM's own server: weights through a folder, adapters by themselves, and a server that dies in the middle."""

from __future__ import annotations

import time

import httpx
import pytest
from real_vllm import KEY, PATIENCE, SMALL, RealServer

MEAN = "sampling/logp_difference/mean"
STALE = "does not hold the policy's weights after they were sent"
ADAPTER = ["model.lora.rank=4", "engine.lora=hot", "teacher.kind=live"]
STEPS = 10


def on(server) -> list[str]:
    return ["engine.mode=server", f"engine.server_url={server.url}"]


def test_nobody_without_the_key_loads_weights_or_asks_what_is_held(place, server) -> None:
    load = {"method": "reload_weights", "kwargs": {"weights_path": str(place.base)}}
    for headers in ({}, {"Authorization": "Bearer another-key-of-some-length"}):
        for path, body in {"/collective_rpc": load, "/v1/load_lora_adapter": {}, "/server_info": None}.items():
            method = "GET" if body is None else "POST"
            answer = httpx.request(method, server.url + path, json=body, headers=headers, timeout=30)
            assert answer.status_code == 401, (path, answer.text)
    assert httpx.get(f"{server.url}/health", timeout=30).status_code == 200


def test_samples_are_of_the_present_weights(place, server) -> None:
    ran = place.train("server", *on(server))
    assert ran.code == 0, ran.err
    gaps = place.metrics("server", MEAN)
    assert len(gaps) == 2 and max(gaps) < 0.01
    assert not list((place.root / "runs" / "server").glob("engine/*")), "what was exchanged is removed"


def test_without_a_sync_they_are_not(place, server) -> None:
    ran = place.train("server-broken", *on(server), "engine.proof=false", sabotage="server")
    assert ran.code == 0, ran.err
    first, second = place.metrics("server-broken", MEAN)
    assert first < 0.01 and second > 0.05


def test_the_guard_stops_a_run_without_a_sync(place, server) -> None:
    """At a learning rate that no log-prob would tell."""
    ran = place.train("server-guard", *on(server), "optimiser.learning_rate=1e-6", sabotage="server")
    assert ran.code == 1
    assert STALE in ran.sentence, ran.err


@pytest.fixture(scope="module")
def hot(place, server) -> str:
    """A run whose adapter went by itself."""
    ran = place.train("server-hot", *on(server), *ADAPTER)
    assert ran.code == 0, ran.err
    return "server-hot"


def test_an_adapter_is_loaded_by_itself(place, hot) -> None:
    assert max(place.metrics(hot, MEAN)) < 0.01


def test_a_server_keeps_one_adapter_whatever_the_number_of_steps(place, server, tmp_path) -> None:
    """None at the end; and one that it has lost, as after a restart, is brought again."""
    import torch

    from sdar_cli.engines.client import Server
    from sdar_cli.engines.patience import Patience
    from sdar_cli.engines.server import ServerEngine
    from sdar_cli.engines.weights import ModelSource
    from sdar_cli.models.load import add_lora, load_model
    from sdar_cli.recipe.schema import Lora, Sampling

    model = add_lora(load_model(str(place.base)), Lora(rank=4), 0).eval()
    adapter = [parameter for parameter in model.parameters() if parameter.requires_grad]
    asked, said = Server(server.url, key=KEY), []
    engine = ServerEngine(
        [Server(server.url, key=KEY)],
        ModelSource(model),
        folder=tmp_path,
        sampling=Sampling(),
        max_response_tokens=4,
        ends={2},
        patience=Patience(60.0),
        hot=True,
        say=said.append,
    )
    assert asked.adapters() == {}
    names = []
    for version in range(3):
        with torch.no_grad():
            for parameter in adapter:
                parameter += 0.01
        engine.sync(version)
        names += asked.adapters()
        assert len(names) == version + 1 and len(engine.generate([[5, 6, 7]] * 4)) == 4
    asked.unload_adapter(names[-1])
    asked.unload_adapter(names[-1])
    assert asked.adapters() == {}
    assert len(engine.generate([[5, 6, 8]] * 4)) == 4
    assert list(asked.adapters()) == names[-1:] and "it no longer knows sdar-2-" in said[0]
    engine.close()
    assert asked.adapters() == {} and asked.info().model == str(place.base)
    asked.close()


def test_a_checkpoint_is_given_to_a_server_and_evaluated(place, server, hot) -> None:
    """Merged, though the server takes adapters; the base was played by vLLM before."""
    ran = place.sdar("eval", hot, "--no-skills", "--engine", server.url, "--json")
    assert ran.code == 0, ran.err
    run = place.root / "runs" / hot
    assert not list(run.glob("evaluation-*")), "what was exchanged is removed"
    assert [path.name for path in (run / "evaluations").glob("base-no_skills*")] == ["base-no_skills.json"]


def test_a_server_that_takes_no_weights_must_have_them(place, hot) -> None:
    with RealServer(place, development=False) as plain:
        words = ["eval", hot, "--no-skills", "--engine", plain.url, "--json"]
        figures = place.sdar(*words, "--checkpoint", "base")
        assert figures.code == 0, figures.err
        refused = place.sdar(*words)
        assert refused.code == 2 and "does not hold" in refused.sentence


def test_the_guard_sees_an_adapter_of_before(place, server) -> None:
    words = [*on(server), *ADAPTER, "optimiser.learning_rate=1e-6"]
    ran = place.train("server-hot-guard", *words, sabotage="adapter")
    assert ran.code == 1
    assert STALE in ran.sentence, ran.err


def test_a_server_that_is_killed_in_mid_run_and_started_again(place, server) -> None:
    """It comes back with the base's weights and gets the run's own."""
    name = "server-killed"
    about = ["train", "--recipe", "quickstart", "--name", name, "--init-from", str(place.base)]
    process = place.start(*about, *SMALL, *on(server), f"train.steps={STEPS}")
    deadline = time.monotonic() + PATIENCE
    while _steps(place, name) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.02)
    server.kill()
    before = _steps(place, name)
    server.start()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert before < STEPS and _steps(place, name) == STEPS
    assert max(place.metrics(name, MEAN)) < 0.01
    assert "is gone" in err or "waiting for vLLM" in err


def _steps(place, name: str) -> int:
    try:
        return len(place.metrics(name, MEAN))
    except (OSError, ValueError):
        return 0
