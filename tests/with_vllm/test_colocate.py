"""vLLM in the training process: sampled against recomputed log-probs, and a guard that sees what they do not."""

from __future__ import annotations

import pytest

MEAN = "sampling/logp_difference/mean"


def test_samples_are_of_the_present_weights(place) -> None:
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


@pytest.mark.parametrize("rate", ["1e-2", "1e-6"])
def test_the_guard_stops_a_run_without_a_sync(place, rate: str) -> None:
    ran = place.train(f"colocate-guard-{rate}", f"optimiser.learning_rate={rate}", sabotage="colocate")
    assert ran.code == 1
    assert "vLLM does not hold the policy's weights after they were sent" in ran.sentence, ran.err


@pytest.mark.parametrize("way", ["hot", "merge"])
def test_an_adapter(place, way: str) -> None:
    ran = place.train(f"colocate-{way}", "model.lora.rank=4", f"engine.lora={way}", "teacher.kind=live")
    assert ran.code == 0, ran.err
    assert max(place.metrics(f"colocate-{way}", MEAN)) < 0.01


def test_heads_that_vllm_has_not_on_a_cpu(place) -> None:
    words = ["train", "--recipe", "quickstart", "engine.kind=vllm", "warmup.demonstrations=64"]
    ran = place.sdar(*words, "tracking.system_metrics=false")
    assert ran.code == 2
    assert "vLLM on a CPU has no attention for heads of 16" in ran.sentence
