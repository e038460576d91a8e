"""vLLM's own server: weights through a folder, adapters by themselves, and a server that dies in the middle."""

from __future__ import annotations

import time

import pytest
from real_vllm import PATIENCE, SMALL

MEAN = "sampling/logp_difference/mean"


def on(server) -> list[str]:
    return ["engine.mode=server", f"engine.server_url={server.url}"]


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


@pytest.mark.parametrize("rate", ["1e-2", "1e-6"])
def test_the_guard_stops_a_run_without_a_sync(place, server, rate: str) -> None:
    ran = place.train(f"server-guard-{rate}", *on(server), f"optimiser.learning_rate={rate}", sabotage="server")
    assert ran.code == 1
    assert "does not hold the policy's weights after they were sent" in ran.sentence, ran.err


ADAPTER = ["model.lora.rank=4", "engine.lora=hot", "teacher.kind=live"]


def test_an_adapter_is_loaded_by_itself(place, server) -> None:
    ran = place.train("server-hot", *on(server), *ADAPTER)
    assert ran.code == 0, ran.err
    assert max(place.metrics("server-hot", MEAN)) < 0.01


def test_the_guard_sees_an_adapter_of_before(place, server) -> None:
    words = [*on(server), *ADAPTER, "optimiser.learning_rate=1e-6"]
    ran = place.train("server-hot-guard", *words, sabotage="adapter")
    assert ran.code == 1
    assert "does not hold the policy's weights after they were sent" in ran.sentence, ran.err


def test_a_server_that_is_killed_in_mid_run_and_started_again(place, server) -> None:
    """It comes back with the base's weights and gets the run's own."""
    name = "server-killed"
    about = ["train", "--recipe", "quickstart", "--name", name, "--init-from", str(place.base)]
    process = place.start(*about, *SMALL, *on(server), "train.steps=40")
    deadline = time.monotonic() + PATIENCE
    while _steps(place, name) < 3:
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.05)
    server.kill()
    before = _steps(place, name)
    server.start()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert before < 40 and _steps(place, name) == 40
    assert max(place.metrics(name, MEAN)) < 0.01
    assert "is gone" in err or "waiting for vLLM" in err


def _steps(place, name: str) -> int:
    try:
        return len(place.metrics(name, MEAN))
    except (OSError, ValueError):
        return 0
