"""Told to leave while an engine holds the process: the step is dropped in time, whoever is waited for."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest
from tiny_training import Replay, Unlearning, recipe, trainer

from sdar_cli.engines.engine import Engine
from sdar_cli.engines.in_process import InProcessEngine
from sdar_cli.engines.patience import Patience
from sdar_cli.engines.server import ServerEngine
from sdar_cli.recipe.schema import Sampling
from sdar_cli.stop import STOP
from sdar_cli.training import trainer as trainer_module
from sdar_cli.training.preempt import Preemption, StepDropped

pytestmark = pytest.mark.train

DEADLINE = 60.0
"""Seconds; reached only where the process is held."""


class Held:
    """Work that has no end; it is told to leave when it is first asked for."""

    def __init__(self) -> None:
        self.began: float | None = None

    def __call__(self, *about, **more) -> list:
        if self.began is None:
            self.began = time.monotonic()
            os.kill(os.getpid(), signal.SIGTERM)
        assert time.monotonic() - self.began < DEADLINE, "nothing ended it"
        time.sleep(0.002)
        return []


class Silent(InProcessEngine):
    """vLLM in this process, at an answer that has no end."""

    def __init__(self, step: Held) -> None:
        super().__init__(Sampling(), 8, {0})
        self.aborted: list[str] = []
        self.llm = SimpleNamespace(llm_engine=SimpleNamespace(step=step, abort_request=self.aborted.extend))

    def bring(self, version: int) -> None:
        pass

    def begin(self, request) -> None:
        self._open[f"sdar-{request.number}"] = request.number


class Away(ServerEngine):
    """A server that is not there, while weights are to be brought; all that is real is the waiting."""

    def __init__(self, reachable: Held, pause: float) -> None:
        Engine.__init__(self, Sampling(), 8, {0})
        self.servers = [SimpleNamespace(url="http://127.0.0.1:1")]
        self.patience = Patience(DEADLINE * 2, sleep=lambda seconds: time.sleep(pause))
        self.say = lambda text: None
        self._reachable = reachable

    def bring(self, version: int) -> None:
        self._wait_for_any(lambda server: None)


class Remembering(Unlearning):
    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        pass


class Asking(Replay):
    """A rollout whose answers are an engine's."""

    def __init__(self, made) -> None:
        super().__init__(len(made._tokenizer))
        self.made, self.retriever = made, Remembering()

    def play(self, starts):
        self.made.generate([[5, 6, 7]])
        return super().play(starts)


def dropped(base, folder, monkeypatch: pytest.MonkeyPatch, engine: Engine, held: Held) -> float:
    """Seconds after the signal at which the step under way was dropped."""
    monkeypatch.setattr(trainer_module, "make_engine", lambda *about: engine)
    made, _ = trainer(base, folder, recipe(), make_loop=Asking)
    with STOP.guard():
        STOP.grace = 2.0
        with made.preemption.training(), pytest.raises(StepDropped) as caught:
            made.train()
        assert caught.value.number == signal.SIGTERM and made.preemption.droppable
    return time.monotonic() - held.began


def test_an_answer_of_vllm_in_this_process(base, tmp_path, monkeypatch) -> None:
    """It is left between two tokens: no alarm may interrupt it in the middle of one."""
    monkeypatch.setattr(Preemption, "_holds_an_engine", True)
    held = Held()
    engine = Silent(held)
    assert dropped(base, tmp_path, monkeypatch, engine, held) < DEADLINE
    assert engine.aborted == ["sdar-0"], "it is told to forget what is under way"


@pytest.mark.parametrize("alone", [True, False], ids=["in one call", "between two tries"])
def test_weights_for_a_server_that_is_away(base, tmp_path, monkeypatch, alone: bool) -> None:
    """The only process is interrupted in whatever it waits for; one of several, for which others wait, asks itself."""
    if not alone:
        monkeypatch.setattr(Preemption, "_arm", lambda self: None)
    held = Held()
    engine = Away(held, pause=2 * DEADLINE if alone else 0.01)
    assert dropped(base, tmp_path, monkeypatch, engine, held) < DEADLINE
