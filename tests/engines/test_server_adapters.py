"""Adapters at servers: loaded by themselves, proved, brought again, and unloaded when the next one is there."""

from __future__ import annotations

import pytest
import torch
from fake_vllm import FakeVllm
from server_engines import PROMPTS, engine_of, largest_difference, reloads, step

from sdar_cli.engines.client import Server
from sdar_cli.engines.proof import StaleWeights
from sdar_cli.engines.weights import write_folder
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.models.load import add_lora, load_model
from sdar_cli.recipe.schema import Lora


@pytest.fixture
def adapted(base):
    """A model with an adapter that does something."""
    made = add_lora(load_model(str(base)).eval(), Lora(rank=2, alpha=6, targets=["q_proj", "v_proj"]), 0)
    step(made, 0.05)
    return made.eval()


def test_an_adapter_is_merged_without_touching_the_base(vllm: FakeVllm, adapted, tmp_path) -> None:
    before = {name: value.clone() for name, value in adapted.named_parameters()}
    with engine_of([vllm], adapted, tmp_path) as engine:
        engine.sync(0)
        assert largest_difference(adapted, engine.generate(PROMPTS)) < 1e-5
    assert all(torch.equal(before[name], value) for name, value in adapted.named_parameters())


def test_an_adapter_goes_by_itself(vllm: FakeVllm, adapted, tmp_path) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        for version in range(2):
            engine.sync(version)
            engine.generate(PROMPTS)
            assert vllm.asked()[-1]["model"].startswith(f"sdar-{version}-")
            assert list(vllm.adapters) == [vllm.asked()[-1]["model"]], "the one before is unloaded"
            step(adapted, 0.01)
        assert reloads(vllm) == 0, "the server had the base"
    assert vllm.adapters == {} and not list(tmp_path.glob("*")), "nothing is left at the end"


def test_adapters_of_a_killed_process_are_unloaded_and_of_another_run_are_not(
    vllm: FakeVllm, adapted, tmp_path
) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    vllm.adapters = {"sdar-9-dead": str(tmp_path / "one" / "adapter-9"), "other": str(tmp_path / "two" / "adapter-9")}
    with engine_of([vllm], adapted, tmp_path / "one", hot=True) as engine:
        engine.sync(0)
        assert [name.split("-")[:2] for name in vllm.adapters] == [["other"], ["sdar", "0"]]
    assert list(vllm.adapters) == ["other"]


def test_an_adapter_that_cannot_be_unloaded_now_is_tried_again(vllm: FakeVllm, adapted, tmp_path, monkeypatch) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    own, failures = vllm.answer, [503, 500]

    def sometimes(verb, path, body):
        if path == "/v1/unload_lora_adapter" and failures:
            return failures.pop(), {"error": {"message": "not now"}}
        return own(verb, path, body)

    monkeypatch.setattr(vllm, "answer", sometimes)
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        step(adapted, 0.01)
        engine.sync(1)
        assert not failures and len(vllm.adapters) == 1
        assert vllm.paths().count("/v1/load_lora_adapter") == 2, "what was loaded is not loaded again"


def test_two_ranks_bring_an_adapter_back_at_once(vllm: FakeVllm, adapted, tmp_path, monkeypatch) -> None:
    """The second finds it there, or is told so; it is never taken away under the first one's requests."""
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        vllm.reborn()
        server, delivery = engine.servers[0], engine.delivery
        assert delivery.bring(server, "policy", sent=False) == delivery.bring(server, "policy", sent=False)
        own, blind = Server.adapters, [{}]
        monkeypatch.setattr(Server, "adapters", lambda self, **about: blind.pop() if blind else own(self, **about))
        delivery.bring(server, "policy", sent=False)
        assert len(vllm.adapters) == 1 and vllm.paths().count("/v1/unload_lora_adapter") == 0


def test_a_server_restarted_unseen_gets_its_adapter_again(vllm: FakeVllm, adapted, tmp_path) -> None:
    """It answers that it does not know the adapter."""
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        engine.generate(PROMPTS)
        vllm.reborn()
        assert len(engine.generate(PROMPTS)) == len(PROMPTS)
        (said,) = engine.said
        assert f"{vllm.url} is gone (it no longer knows sdar-0-" in said
        assert vllm.paths().count("/v1/load_lora_adapter") == 2


def test_an_adapter_that_did_not_arrive(vllm: FakeVllm, adapted, tmp_path, monkeypatch) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        step(adapted, 1e-6)
        kept = vllm.adapter
        monkeypatch.setattr(Server, "load_adapter", lambda self, name, folder: None)
        with pytest.raises(StaleWeights, match=r"\(8 tensors differ"):
            engine.sync(1)
        assert vllm.adapter is kept


def test_the_base_under_an_adapter_is_brought_where_it_is_another(vllm: FakeVllm, adapted, tmp_path) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    step(vllm.model, 0.01)
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        assert reloads(vllm) == 1
        vllm.reborn()
        step(vllm.model, 0.01)
        engine.generate(PROMPTS)
        assert reloads(vllm) == 2 and len(vllm.adapters) == 1, "both again after a restart"


def test_a_base_that_a_killed_run_left_is_written_anew(vllm: FakeVllm, adapted, tmp_path) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    for name in ("base", "base.0123.part"):
        (tmp_path / name).mkdir()
    step(vllm.model, 0.01)
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        engine.sync(0)
        assert {path.name for path in tmp_path.iterdir()} == {"base", "adapter-0"}


def test_a_folder_that_another_rank_wrote_stays_as_it_is(tmp_path) -> None:
    """A server may be reading it."""
    written = {path: path.stat().st_ino for path in write_folder(tmp_path / "base", [("a", torch.ones(2))]).iterdir()}
    write_folder(tmp_path / "base", [("a", torch.ones(2))])
    assert {path: path.stat().st_ino for path in (tmp_path / "base").iterdir()} == written
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_an_adapter_that_cannot_be_written(vllm: FakeVllm, adapted, tmp_path) -> None:
    vllm.lora = {"max_lora_rank": 8, "scale": 3.0}
    (tmp_path / "file").write_text("")
    with engine_of([vllm], adapted, tmp_path / "file" / "e", hot=True) as engine:
        with pytest.raises(RunFailed, match=r"^the weights for the engine cannot be written to .*engine\.sync_folder"):
            engine.sync(0)


def test_a_server_without_adapters(vllm: FakeVllm, adapted, tmp_path) -> None:
    with engine_of([vllm], adapted, tmp_path, hot=True) as engine:
        with pytest.raises(UserError, match=r"start it with --enable-lora, or set engine\.lora=merge$"):
            engine.sync(0)


def test_an_adapter_of_a_rank_that_the_server_does_not_take(vllm: FakeVllm, adapted, tmp_path) -> None:
    """vLLM would answer 500, as to what time may heal."""
    vllm.lora = {"max_lora_rank": 16, "scale": 3.0}
    with engine_of([vllm], adapted, tmp_path, hot=True, rank=17) as engine:
        with pytest.raises(UserError, match=r"up to rank 16 and the run's has 17: start it with --max-lora-rank 32$"):
            engine.sync(0)
    with engine_of([vllm], adapted, tmp_path, hot=True, rank=16) as engine:
        engine.sync(0)
    with engine_of([vllm], adapted, tmp_path, rank=17) as engine:
        engine.sync(0)
