"""Sampling from servers: weights brought and proved, servers that die, come back, lie, or lack something."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from fake_vllm import FakeVllm
from server_engines import PROMPTS, engine_of, largest_difference, reloads, step

from sdar_cli.engines.client import Server
from sdar_cli.engines.patience import Patience
from sdar_cli.engines.proof import StaleWeights
from sdar_cli.engines.weights import write_folder
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.models.load import load_model
from sdar_cli.recipe.schema import Sampling


@pytest.fixture
def model(base):
    return load_model(str(base)).eval()


def test_samples_come_from_the_weights_that_were_synced(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path / "e") as engine:
        for version in range(3):
            assert engine.sync(version) > 0
            assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5
            step(model, 0.02)
        assert engine.sync(2) == 0.0, "it has this version"
        assert vllm.paths().count("/reset_prefix_cache") == 3
        assert largest_difference(model, engine.generate(PROMPTS)) > 0.05, "what a missing sync looks like"
        assert {path.name for path in (tmp_path / "e").iterdir()} == {"weights-1", "weights-2"}
    assert not (tmp_path / "e").exists()


def test_the_stream_of_seeds(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path) as engine:
        engine.sync(0)
        engine.restart_stream("training", 0)
        first, second = engine.generate(PROMPTS), engine.generate(PROMPTS)
        engine.restart_stream("training", 0)
        assert engine.generate(PROMPTS) == first and engine.generate(PROMPTS[:3]) == second[:3]
        assert first != second
        assert len({tuple(g.ids) for g in engine.generate([PROMPTS[0]] * 8)}) > 1, "a group is no copy of one sample"
        with engine.drawing(Sampling(temperature=0.5), "evaluation", 0):
            inside = engine.generate(PROMPTS)
            assert vllm.asked()[-1]["temperature"] == 0.5
        with engine.drawing(Sampling(temperature=0.5), "evaluation", 0):
            assert engine.generate(PROMPTS) == inside
        engine.generate(PROMPTS)
        assert vllm.asked()[-1]["temperature"] == 1.0


def test_another_run_on_the_same_server_is_noticed(vllm: FakeVllm, base, model, tmp_path) -> None:
    """Its weights are proved at its own sync, and the first run's samples would be of them from then on."""
    other = load_model(str(base)).eval()
    step(other, 0.02)
    with engine_of([vllm], model, tmp_path / "one") as one, engine_of([vllm], other, tmp_path / "two") as two:
        one.sync(0)
        assert largest_difference(model, one.generate(PROMPTS)) < 1e-5
        two.sync(0)
        assert largest_difference(other, two.generate(PROMPTS)) < 1e-5
        with pytest.raises(UserError, match=f"^another run or evaluation gives its weights to the server {vllm.url}"):
            one.generate(PROMPTS)
        one.sync(1)
        assert largest_difference(model, one.generate(PROMPTS)) < 1e-5


def test_another_run_in_the_middle_of_a_sync_is_noticed(vllm: FakeVllm, model, tmp_path, monkeypatch) -> None:
    with engine_of([vllm], model, tmp_path) as engine:
        own = Server.reset_cache
        monkeypatch.setattr(Server, "reset_cache", lambda self: (self.hold("another"), own(self))[1])
        with pytest.raises(UserError, match=r"^another run or evaluation"):
            engine.sync(0)


@pytest.mark.parametrize("size", [1e-6, 1e-2])
def test_a_server_that_takes_no_notice_stops_the_run(vllm: FakeVllm, model, tmp_path, size: float) -> None:
    with engine_of([vllm], model, tmp_path) as engine:
        engine.sync(0)
        vllm.deaf = True
        step(model, size)
        with pytest.raises(StaleWeights, match=f"^the server {vllm.url} does not hold the policy's weights"):
            engine.sync(1)
        with pytest.raises(StaleWeights):
            engine.sync(1)


def test_a_proof_that_is_not_wanted_is_not_asked_for(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path, proof=False) as engine:
        engine.sync(0)
        step(model, 0.02)
        engine.sync(1)
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5
    assert not [body for path, body in vllm.requests if path == "/collective_rpc" and "finger" in body["method"]]


def test_a_server_restarted_unseen_in_the_middle_gets_its_weights_again(vllm: FakeVllm, model, tmp_path) -> None:
    """It never fails to answer, but from some request on its answers are the base's."""
    with engine_of([vllm], model, tmp_path) as engine:
        step(model, 0.02)
        engine.sync(1)
        vllm.restart_after = 3
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5
        assert engine.said == [
            f"the vLLM server {vllm.url} is gone (it was started again): its requests are made again"
        ]
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5


def test_a_server_that_dies_and_comes_back(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path) as engine:
        step(model, 0.02)
        engine.sync(1)
        engine.restart_stream("k")
        calm = engine.generate(PROMPTS)
        engine.restart_stream("k")
        vllm.kill_after = 3
        threading.Thread(target=_start_when_dead, args=(vllm,)).start()
        assert engine.generate(PROMPTS) == calm, "the same seeds, so the same samples"
        assert vllm.paths().count("/v1/completions") > 2 * len(PROMPTS)
        assert "is gone" in engine.said[0]


def _start_when_dead(vllm: FakeVllm) -> None:
    deadline = time.monotonic() + 20
    while vllm._http is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    vllm.start()


def test_a_server_that_is_away_at_a_sync_is_waited_for(vllm: FakeVllm, model, tmp_path) -> None:
    vllm.kill()
    threading.Timer(0.6, vllm.start).start()
    with engine_of([vllm], model, tmp_path) as engine:
        engine.sync(0)
        assert engine.said == [f"waiting for vLLM at {vllm.url}, for 20 s at most"]


def test_a_server_that_stays_away(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path, patience=0.5) as engine:
        engine.sync(0)
        vllm.kill()
        start = time.monotonic()
        with pytest.raises(RunFailed, match=r"^no vLLM server answered for 0 s \(.*\): start it again and resume"):
            engine.generate(PROMPTS)
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(("bad", "why"), [((500, {"error": "boom"}), "500: boom"), (None, "log-probs")])
def test_a_server_that_takes_weights_and_answers_nothing(
    vllm: FakeVllm, model, tmp_path, monkeypatch, bad, why: str
) -> None:
    """It is in good health, so that it is brought its weights again each time."""
    no_number = {"choices": [{"token_ids": [3], "logprobs": {"token_logprobs": [float("nan")]}}]}
    monkeypatch.setattr(vllm, "_complete", lambda body: bad or (200, no_number))
    with engine_of([vllm], model, tmp_path, patience=1.0) as engine:
        engine.sync(0)
        start = time.monotonic()
        with pytest.raises(RunFailed, match=rf"^no vLLM server gave an answer .* for 1 s \({vllm.url}: .*{why}.*\):"):
            engine.generate(PROMPTS[:2])
        assert 0.9 < time.monotonic() - start < 10
    assert len(vllm.asked()) < 20, "longer pauses each time"


def test_a_good_answer_makes_patience_anew(vllm: FakeVllm, model, tmp_path) -> None:
    clock = {"now": 0.0, "slept": []}

    def sleep(seconds: float) -> None:
        clock["now"] += seconds
        clock["slept"].append(seconds)

    with engine_of([vllm], model, tmp_path) as engine:
        engine.patience = Patience(3.0, sleep, lambda: clock["now"])
        engine.sync(0)
        for _ in range(3):
            vllm.statuses = [500] * 4
            assert len(engine.generate(PROMPTS[:1])) == 1
        assert clock["slept"] == [0.25, 0.5, 1.0] * 3
        vllm.statuses = [500] * 100
        with pytest.raises(RunFailed, match="gave an answer that can be used for 3 s"):
            engine.generate(PROMPTS[:1])
        vllm.statuses = [500] * 4
        assert len(engine.generate(PROMPTS[:1])) == 1, "what was given up is forgotten"


def test_a_busy_prefix_cache_is_not_passed_over(vllm: FakeVllm, model, tmp_path) -> None:
    vllm.busy_cache = True
    with engine_of([vllm], model, tmp_path, patience=0.5) as engine:
        with pytest.raises(RunFailed, match="prefix cache cannot be emptied"):
            engine.sync(0)


def test_an_error_of_the_servers_own_is_tried_again(vllm: FakeVllm, model, tmp_path) -> None:
    with engine_of([vllm], model, tmp_path) as engine:
        engine.sync(0)
        before = reloads(vllm)
        vllm.statuses = [503, 500]
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5
        assert reloads(vllm) == before, "it still had the weights"


def test_several_servers_share_and_stand_in_for_each_other(base, model, tmp_path) -> None:
    with FakeVllm(base) as one, FakeVllm(base) as two, engine_of([one, two], model, tmp_path, neighbours=4) as engine:
        step(model, 0.02)
        engine.sync(1)
        engine.restart_stream("k")
        calm = engine.generate(PROMPTS)
        asked = [[body["prompt"] for body in fake.asked()] for fake in (one, two)]
        assert [sorted(share) for share in asked] == [PROMPTS[:4], PROMPTS[4:]], "neighbours stay together"
        engine.restart_stream("k")
        two.kill_after = 2
        assert engine.generate(PROMPTS) == calm
        assert two._http is None
        step(model, 0.02)
        engine.sync(2)
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5, "one goes on alone"
        two.start()
        step(model, 0.02)
        engine.sync(3)
        two.requests.clear()
        assert largest_difference(model, engine.generate(PROMPTS)) < 1e-5
        assert "/v1/completions" in two.paths(), "back at the next sync"


def test_a_folder_that_the_server_does_not_see(vllm: FakeVllm, model, tmp_path) -> None:
    vllm.blind = True
    step(model, 0.02)
    with engine_of([vllm], model, tmp_path) as engine:
        with pytest.raises(UserError, match=r"cannot read .*weights-0: name a folder .* engine\.sync_folder=FOLDER$"):
            engine.sync(0)


def test_a_folder_that_cannot_be_written(vllm: FakeVllm, model, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with engine_of([vllm], model, tmp_path / "file" / "e") as engine:
        with pytest.raises(RunFailed, match=r"^the weights for the engine cannot be written to .*engine\.sync_folder"):
            engine.sync(0)


def test_a_full_disk_is_a_sentence_and_leaves_no_part(tmp_path) -> None:
    resource = pytest.importorskip("resource")
    walked = []

    def named():
        for name in ("a", "b"):
            walked.append(name)
            yield name, torch.zeros(4096)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(RunFailed, match=r"^the weights for the engine cannot be written to .*File too large"):
            write_folder(tmp_path / "weights-3", named())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert walked == ["a", "b"] and not list(tmp_path.iterdir())


def test_a_walk_that_breaks_off_leaves_no_part(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sdar_cli.engines.weights.SHARD", 1)

    def named():
        yield "a", torch.zeros(4)
        assert list(tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "weights-3", named())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"development": False}, "takes no weights, as VLLM_SERVER_DEV_MODE=1 is not set"),
        ({"extension": None}, "start it with --worker-extension-cls sdar_cli.engines.fingerprint.Fingerprint$"),
        ({"logprobs_mode": "raw_logprobs"}, "start it with --logprobs-mode processed_logprobs$"),
        (
            {"longest": 30},
            "takes 30 tokens and a prompt with its response may have 64: start it with --max-model-len",
        ),
    ],
)
def test_a_server_that_was_started_otherwise(vllm: FakeVllm, model, tmp_path, change, sentence) -> None:
    vars(vllm).update(change)
    with engine_of([vllm], model, tmp_path, sampling=Sampling(temperature=0.5), longest=64) as engine:
        with pytest.raises(UserError, match=sentence):
            engine.sync(0)


def test_raw_log_probs_do_at_temperature_one(vllm: FakeVllm, model, tmp_path) -> None:
    vllm.logprobs_mode = "raw_logprobs"
    with engine_of([vllm], model, tmp_path) as engine:
        engine.sync(0)
