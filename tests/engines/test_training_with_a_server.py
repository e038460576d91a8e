"""SDARTrainer whose rollouts are asked of a server: the log-probs agree, the loss is corrected, stale stops."""

from __future__ import annotations

import pytest
from fake_vllm import FakeVllm
from tiny_training import Unlearning, recipe, trainer

from sdar_cli.engines.proof import StaleWeights
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.loop import Timing
from sdar_cli.training.trl_seam import PRIVATE_ENGINE_NAMES

pytestmark = pytest.mark.train

MEAN = "sampling/logp_difference/mean"


class Asking:
    """Stands in for the rollout loop: one turn an episode, answered by the trainer's engine."""

    def __init__(self, made) -> None:
        self.made, self.timing, self.retriever = made, Timing(), Unlearning()

    def play(self, starts):
        prompts = [[5, 6, 7 + start.group, 9] for start in starts]
        answers = self.made.generate(prompts)
        out = []
        for start, prompt, answer in zip(starts, prompts, answers, strict=True):
            episode = Episode(start.task, "goal", start.group, start.sample, skills=("a",), has_task_skill=True)
            teacher = [5, 6, 7, 8, *prompt]
            episode.turns.append(
                Turn(0, prompt, teacher, answer.ids, answer.logprobs, "", "", "x", None, "", float(start.sample % 2))
            )
            episode.won = start.sample % 2 == 1
            episode.reward = 10.0 * episode.won
            episode.stop = StopReason.SUCCESS if episode.won else StopReason.MAX_TURNS
            out.append(episode)
        return out


def made_on(vllm: FakeVllm, base, tmp_path, **changes):
    engine = {"kind": "vllm", "mode": "server", "server_url": vllm.url, "patience": 20.0}
    chosen = recipe(engine=engine | changes.pop("engine", {}), **changes)
    return trainer(base, tmp_path / "run" / "checkpoints", chosen, make_loop=Asking)


def test_every_step_samples_from_its_own_weights(vllm: FakeVllm, base, tmp_path) -> None:
    made, record = made_on(vllm, base, tmp_path)
    made.train()
    assert len(record.steps) == 3
    for values in record.steps:
        assert values[MEAN] < 1e-5 and values["sampling/capped"] == 0
        assert values["time/sync"] > 0
    assert all(body["max_tokens"] == 8 for path, body in vllm.requests if path == "/v1/completions")
    made.engine.close()


def test_the_same_seed_is_the_same_run(vllm: FakeVllm, base, tmp_path) -> None:
    asked = []
    for n in range(2):
        vllm.requests.clear()
        made, _ = made_on(vllm, base, tmp_path / str(n))
        made.train()
        made.engine.close()
        asked.append(sorted((b["seed"], *b["prompt"]) for path, b in vllm.requests if path == "/v1/completions"))
    assert asked[0] == asked[1] and len({request[0] for request in asked[0]}) == 3 * 8


@pytest.mark.parametrize("rate", [1e-2, 1e-6])
def test_a_stale_server_stops_it(vllm: FakeVllm, base, tmp_path, rate: float) -> None:
    vllm.deaf = True
    made, record = made_on(vllm, base, tmp_path, optimiser={"learning_rate": rate})
    with pytest.raises(StaleWeights):
        made.train()
    assert len(record.steps) == 1
    made.engine.close()


def test_what_the_guard_prevents(vllm: FakeVllm, base, tmp_path) -> None:
    """At a learning rate of 1e-6 log-probs do not tell; at 1e-2 they do."""
    for rate, visible in ((1e-2, True), (1e-6, False)):
        vllm.deaf = True
        made, record = made_on(
            vllm, base, tmp_path / str(rate), engine={"proof": False}, optimiser={"learning_rate": rate}
        )
        made.train()
        assert (record.steps[-1][MEAN] > 0.02) == visible
        made.engine.close()
        vllm.reborn()


def test_the_loss_is_corrected(vllm: FakeVllm, base, tmp_path, monkeypatch) -> None:
    """A sampler that was half as sure of each token as it says doubles nothing: its weight is π/μ."""
    own = vllm._sample
    monkeypatch.setattr(vllm, "_sample", lambda body: (lambda ids, logps: (ids, [p + 0.25 for p in logps]))(*own(body)))
    made, record = made_on(vllm, base, tmp_path, train={"steps": 1})
    assert made.use_vllm
    made.train()
    assert record.steps[0][MEAN] == pytest.approx(0.25, abs=1e-4)
    ratio = made.inputs["importance_sampling_ratio"]
    assert ratio[made.inputs["completion_mask"].bool()].mean().item() == pytest.approx(2.718281828**-0.25, rel=1e-4)
    made.engine.close()


def test_an_evaluation_draws_from_a_stream_of_its_own(vllm: FakeVllm, base, tmp_path) -> None:
    made, _ = made_on(vllm, base, tmp_path)
    from sdar_cli.recipe.schema import Sampling

    with made.sampling(Sampling(temperature=0.5), 0) as policy:
        first = policy.generate([[5, 6]])
    with made.sampling(Sampling(temperature=0.5), 0) as policy:
        assert policy.generate([[5, 6]]) == first
    made.engine.close()


def test_what_is_touched_of_trls_engine_exists() -> None:
    from trl.generation.vllm_generation import VLLMGeneration

    assert all(callable(getattr(VLLMGeneration, name)) for name in PRIVATE_ENGINE_NAMES)


def test_trls_own_walk_gives_the_same_weights(vllm: FakeVllm, base, tmp_path) -> None:
    """It is taken where weights are spread over ranks."""
    from sdar_cli.training.trl_seam import walk_weights

    made, _ = made_on(vllm, base, tmp_path)
    ours, theirs = dict(made.engine.delivery.source.named()), dict(walk_weights(made))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    made.engine.close()
