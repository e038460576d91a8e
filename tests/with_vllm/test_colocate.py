"""vLLM in the training process: sampled against recomputed log-probs, and a guard that sees what they do not."""

from __future__ import annotations

import contextlib
import socket

import pytest

MEAN = "sampling/logp_difference/mean"
STALE = "vLLM does not hold the policy's weights after they were sent"
ADAPTER = ["model.lora.rank=4", "teacher.kind=live"]


def test_samples_are_of_the_present_weights(place) -> None:
    """Also where another run of this machine has accelerate's port."""
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # there is one
            other.bind(("127.0.0.1", 29500))
            other.listen()
        ran = place.train("colocate")
    assert ran.code == 0, ran.err
    gaps = place.metrics("colocate", MEAN)
    assert len(gaps) == 2 and max(gaps) < 0.01
    assert len(place.metrics("colocate", "time/sync")) == 2


def test_without_a_sync_they_are_not(place) -> None:
    ran = place.train("colocate-broken", "engine.proof=false", sabotage="colocate")
    assert ran.code == 0, ran.err
    first, second = place.metrics("colocate-broken", MEAN)
    assert first < 0.01 and second > 0.05


def test_the_guard_stops_a_run_without_a_sync(place) -> None:
    """At a learning rate that no log-prob would tell."""
    ran = place.train("colocate-guard", "optimiser.learning_rate=1e-6", sabotage="colocate")
    assert ran.code == 1
    assert STALE in ran.sentence, ran.err


@pytest.mark.parametrize("way", ["hot", "merge"])
def test_an_adapter(place, way: str) -> None:
    ran = place.train(f"colocate-{way}", *ADAPTER, f"engine.lora={way}")
    assert ran.code == 0, ran.err
    assert max(place.metrics(f"colocate-{way}", MEAN)) < 0.01


def test_two_processes_have_an_engine_each(place) -> None:
    ran = place.train("colocate-two", "--nproc", "2")
    assert ran.code == 0, ran.err
    assert max(place.metrics("colocate-two", MEAN)) < 0.01
    assert "Traceback" not in ran.err, "they part before the engines are gone"


@pytest.mark.parametrize("trained", [(), (*ADAPTER, "engine.lora=merge")], ids=["whole", "adapter"])
def test_weights_in_parts(place, trained: tuple[str, ...]) -> None:
    """Also at the first evaluation, when they are not divided yet."""
    name = f"colocate-parts-{len(trained)}"
    ran = place.train(name, "--nproc", "2", "--dist", "fsdp2", *trained)
    assert ran.code == 0, ran.err
    assert max(place.metrics(name, MEAN)) < 0.01
