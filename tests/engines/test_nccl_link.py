"""NCCL's side of a sync, with TRL's client replaced: which servers are met, and what they are sent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from fake_vllm import FakeVllm
from server_engines import engine_of, step

from sdar_cli.engines.client import Gone, Server
from sdar_cli.engines.make import _link
from sdar_cli.engines.nccl import FIRST_PORT, NcclLink
from sdar_cli.engines.proof import StaleWeights
from sdar_cli.errors import RunFailed, UserError
from sdar_cli.launch import extras
from sdar_cli.models.load import load_model
from sdar_cli.recipe.load import load_recipe


class Client:
    """Loads what it is sent into the fake server behind its URL."""

    made: list[Client] = []
    bound: set[int] = set()
    """Ports that are listened at."""

    def __init__(self, fakes: dict[str, FakeVllm], url: str, port: int) -> None:
        self.fake, self.port, self.sends = fakes[url], port, 0
        Client.made.append(self)

    def init_communicator(self, device) -> None:
        if self.port in Client.bound:
            raise OSError(98, "Address already in use")
        Client.bound.add(self.port)
        self.device = device

    def close_communicator(self) -> None:
        Client.bound.discard(self.port)

    def update_named_params(self, shapes, named) -> None:
        state = dict(named)
        assert [(name, str(t.dtype)[6:], list(t.shape)) for name, t in state.items()] == shapes
        self.fake.model.load_state_dict({name: t.detach() for name, t in state.items()}, strict=False)
        self.sends += 1


@pytest.fixture(autouse=True)
def _no_clients() -> None:
    Client.made, Client.bound = [], set()


@pytest.fixture
def link(vllm: FakeVllm, monkeypatch):
    config = vllm._config
    vllm.nccl = True
    transfer = {"weight_transfer_config": {"backend": "nccl"}}
    monkeypatch.setattr(vllm, "_config", lambda: config() | (transfer if vllm.nccl else {}))
    fakes = {vllm.url: vllm}
    return NcclLink(torch.device("cpu"), required=True, connect=lambda url, port: Client(fakes, url, port))


def test_weights_go_by_nccl_and_not_by_the_folder(vllm, link, base, tmp_path) -> None:
    model = load_model(str(base))
    with engine_of([vllm], model, tmp_path, link=link) as engine:
        for version in range(2):
            step(model, 1e-3)
            engine.sync(version)
        assert [(client.port, client.sends) for client in Client.made] == [(FIRST_PORT, 2)]
        assert not list(tmp_path.glob("weights-*"))
        vllm.reborn()
        step(model, 1e-3)
        engine.sync(2)
        assert [client.sends for client in Client.made] == [2, 1], "the new one was met anew"
        assert Client.bound == {FIRST_PORT}, "at the port of before, which was given back"
    assert Client.bound == set()


def test_a_server_that_restarts_in_mid_rollout_is_helped_by_the_folder(vllm, link, base, tmp_path) -> None:
    model = load_model(str(base))
    step(model, 0.02)
    with engine_of([vllm], model, tmp_path, link=link) as engine:
        engine.sync(0)
        vllm.restart_after = 1
        assert len(engine.generate([[5, 6]])) == 1
        assert (tmp_path / "weights-0").is_dir()
        engine.delivery.source.whole = False
        step(model, 0.02)
        engine.sync(1)
        vllm.restart_after = 1
        with pytest.raises(RunFailed, match=r"spread over the run's processes.*engine\.sync=folder$"):
            engine.generate([[5, 6]])


@pytest.mark.parametrize("whole", [True, False])
def test_a_server_that_comes_while_weights_are_sent_is_not_taken_for_one_that_has_them(
    vllm, base, tmp_path, monkeypatch, whole: bool
) -> None:
    """Without a proof nobody else would notice."""
    model = load_model(str(base))
    step(model, 0.02)
    with FakeVllm(base) as late:
        fakes = {vllm.url: vllm, late.url: late}
        for fake in fakes.values():
            config = fake._config()
            monkeypatch.setattr(fake, "_config", lambda c=config: c | {"weight_transfer_config": {"backend": "nccl"}})
        own = NcclLink(torch.device("cpu"), required=True, connect=lambda url, port: Client(fakes, url, port))
        opened = own.open
        monkeypatch.setattr(own, "open", lambda servers: opened([s for s in servers if s.url != late.url]))
        with engine_of([vllm, late], model, tmp_path, link=own, proof=False) as engine:
            engine.delivery.source.whole = whole
            engine.sync(0)
            engine.generate([[5, n] for n in range(6, 10)])
    reached = late if whole else vllm
    assert all(torch.equal(a, b) for a, b in zip(reached.model.parameters(), model.parameters(), strict=True))
    assert bool(late.asked()) is whole and vllm.asked()


def test_a_server_that_goes_before_it_is_met_gets_its_weights_by_the_folder(
    vllm, link, base, tmp_path, monkeypatch
) -> None:
    """And they are proved."""
    model = load_model(str(base))
    step(model, 0.02)
    own, away = Server.boot, [Gone("away")]

    def boot(self) -> str:
        if away:
            raise away.pop()
        return own(self)

    monkeypatch.setattr(Server, "boot", boot)
    with engine_of([vllm], model, tmp_path, link=link) as engine:
        engine.sync(0)
        assert Client.made == [] and (tmp_path / "weights-0").is_dir() and not away
        vllm.deaf = True
        step(model, 0.02)
        away.append(Gone("away"))
        with pytest.raises(StaleWeights):
            engine.sync(1)


def test_each_server_keeps_its_port(base) -> None:
    """The second is met alone at first, and must not be in the way of the first, which comes later."""
    with FakeVllm(base) as one, FakeVllm(base) as two:
        fakes = {one.url: one, two.url: two}
        link = NcclLink(torch.device("cpu"), required=True, connect=lambda url, port: Client(fakes, url, port))
        first, second = Server(one.url), Server(two.url)
        assert link.open([second]) == [two.url]
        assert link.open([first, second]) == [one.url, two.url]
        one.reborn()
        one.kill()
        assert link.open([first, second]) == [two.url]
        one.start()
        assert link.open([first, second]) == [one.url, two.url]
        first.close()
        second.close()
    ports = [(client.fake is one, client.port) for client in Client.made]
    assert ports == [(False, FIRST_PORT), (True, FIRST_PORT + 1), (True, FIRST_PORT + 1)]


def test_auto_falls_back_to_the_folder(vllm, link, base, tmp_path) -> None:
    vllm.nccl, link.required = False, False
    model = load_model(str(base))
    step(model, 1e-3)
    with engine_of([vllm], model, tmp_path, link=link) as engine:
        engine.sync(0)
        assert Client.made == [] and (tmp_path / "weights-0").is_dir()


def test_a_server_that_offers_no_nccl(vllm, link, base, tmp_path) -> None:
    vllm.nccl = False
    with engine_of([vllm], load_model(str(base)), tmp_path, link=link) as engine:
        with pytest.raises(UserError, match="takes no weights by NCCL: start it with --weight-transfer-config"):
            engine.sync(0)


@pytest.mark.parametrize("broken", ["init_communicator", "update_named_params"])
def test_nccl_that_fails(vllm, link, base, tmp_path, monkeypatch, broken: str) -> None:
    def fail(*about, **more):
        raise RuntimeError("ncclSystemError\nno route")

    monkeypatch.setattr(Client, broken, fail)
    with engine_of([vllm], load_model(str(base)), tmp_path, link=link) as engine:
        with pytest.raises(RunFailed, match=r"by NCCL \(ncclSystemError no route\).*set engine\.sync=folder$"):
            engine.sync(0)


def test_a_send_that_fails_finishes_the_walk() -> None:
    """Else the other ranks, which walk along, would wait in it for ever."""
    walked = []

    def walk():
        for number in range(5):
            walked.append(number)
            yield f"w{number}", torch.zeros(1)

    with pytest.raises(RunFailed, match=r"to u by NCCL \(503\): .*engine\.sync=folder$"):
        _sending(lambda shapes, named: next(named) and _fail(RuntimeError("503"))).send("u", walk, walk)
    assert walked == [*range(5)] * 2, "once for the shapes"


def test_a_walk_that_fails_is_not_put_down_to_nccl() -> None:
    def walk():
        yield "a", torch.zeros(1)
        raise RunFailed("a rank is gone")

    def whole():
        yield "a", torch.zeros(1)

    with pytest.raises(RunFailed, match=r"^a rank is gone$"):
        _sending(lambda shapes, named: list(named)).send("u", whole, walk)
    with pytest.raises(RunFailed, match=r"by NCCL \(503\)"):
        _sending(lambda shapes, named: _fail(RuntimeError("503"))).send("u", whole, walk)


def _fail(error: Exception) -> None:
    raise error


def _sending(update) -> NcclLink:
    link = NcclLink(torch.device("cpu"), required=True)
    link._clients["u"] = "boot", SimpleNamespace(update_named_params=update)
    return link


KEYED = "engine.kind=vllm", "engine.mode=server", "engine.server_url=http://127.0.0.1:9"


@pytest.mark.parametrize("sync", ["auto", "nccl", "folder"])
def test_a_key_goes_with_the_folder_alone(sync: str, monkeypatch) -> None:
    recipe = load_recipe("quickstart", overrides=[*KEYED, f"engine.sync={sync}"]).recipe
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    trainer = SimpleNamespace(recipe=recipe, accelerator=SimpleNamespace(device=torch.device("cuda")))
    said: list[str] = []
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    extras.check(recipe, "ddp")
    assert (_link(trainer, said.append) is None) is (sync == "folder") and not said
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    if sync == "nccl":
        for work in (lambda: _link(trainer, said.append), lambda: extras.check(recipe, "ddp")):
            with pytest.raises(UserError, match=r"^engine\.sync=nccl cannot be used with VLLM_API_KEY") as caught:
                work()
            assert "secret" not in str(caught.value)
    else:
        extras.check(recipe, "ddp")
        assert _link(trainer, said.append) is None
        assert len(said) == (sync == "auto") and all("weights go through the folder" in line for line in said)
