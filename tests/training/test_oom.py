"""Memory that runs out: half as much at once, said once, and the same gradients; a second time is a sentence."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from tiny_training import Record, exact_head, recipe, trainer, weights
from tiny_training import Replay as Episodes

from sdar_cli.errors import RunFailed
from sdar_cli.launch import dist
from sdar_cli.rollout.policies import HFPolicy
from sdar_cli.training import oom, ranks
from sdar_cli.training import trainer as trainer_module
from sdar_cli.training.oom import Memory, in_batches, ran_out
from sdar_cli.training.prefix_pass import Runner

pytestmark = pytest.mark.train

BUDGET = 400
"""Padded tokens; the largest micro-batch of the made-up rollout has fewer."""
CHANGES = {"method": "sdar", "distill": {"coef": 0.5}, "optimiser": {"tokens_per_microbatch": BUDGET}}


def out_of_memory(*about, **more) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(Record, "message", lambda self, text: lines.append(text))
    return lines


class Room:
    """Fails what reads more tokens at once than there is room for, in a loss's forward pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
        self.slots, self.sizes, self.failed = slots, [], 0
        score = trainer_module.score

        def limited(model, tight, **about):
            self.sizes.append(tight.slots)
            if tight.slots > self.slots:
                self.failed += 1
                out_of_memory()
            return score(model, tight, **about)

        monkeypatch.setattr(trainer_module, "score", limited)


def trained(base, folder, changes, steps=1, **about):
    made, record = trainer(base, folder, recipe(**changes, train={"steps": steps}), double=True, **about)
    made.train()
    return made, record.steps


def same_metrics(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    names = [name for name in first if not name.startswith("time/") and name != "optim/padding"]
    assert {n: first[n] for n in names} == pytest.approx({n: second[n] for n in names}, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gate": {"normalise": "zscore"}, "policy": {"entropy_coef": 0.01}},
        {"optimiser": {"rows_per_update": 6, "tokens_per_microbatch": BUDGET}},
        {"distill": {"coef": 0.5, "divergence": "jsd"}},
    ],
    ids=["one update", "zscore", "several updates", "jsd"],
)
def test_gradients_agree_with_the_whole(base, tmp_path, monkeypatch, said, changes) -> None:
    """Weights after three steps in float64, and every metric of each, are those of a device with room for all."""
    exact_head(monkeypatch)
    room_for = 70 if "optimiser" in changes else 150
    changes = CHANGES | changes
    whole, quiet = trained(base, tmp_path / "whole", changes, steps=3)
    assert said == []
    sizes = list(whole._tokens_seen)
    room = Room(monkeypatch, room_for)
    made, steps = trained(base, tmp_path / "cut", changes, steps=3)
    assert room.failed == 1 and len(made._tokens_seen) > len(sizes) and sum(made._tokens_seen) == sum(sizes)
    for first, second in zip(quiet, steps, strict=True):
        same_metrics(first, second)
    for name, value in weights(whole.model).items():
        torch.testing.assert_close(weights(made.model)[name], value, rtol=1e-6, atol=1e-9)


def test_halved_once_and_said(base, tmp_path, monkeypatch, said) -> None:
    room = Room(monkeypatch, 150)
    made, _ = trained(base, tmp_path, CHANGES, steps=3)
    limit = made.memory.limit("update")
    assert said == [
        f"note: memory ran out in an update, which is made anew: from here on at most {limit} tokens in a micro-batch, "
        f"where optimiser.tokens_per_microbatch={BUDGET} allows more"
    ]
    assert limit < 150 < max(room.sizes) <= 2 * limit + 1 and room.failed == 1
    assert max(room.sizes[room.sizes.index(max(room.sizes)) + 1 :]) <= limit, "for the rest of the run"
    assert made.memory.state() == {"update": limit}
    assert made.memory.limit("scoring") == BUDGET, "a pass without gradients has room"


def test_in_the_middle_of_a_backward_pass(base, tmp_path, monkeypatch, said) -> None:
    """The third micro-batch's: what the first two added up is forgotten, and what the failed one held is let go."""
    exact_head(monkeypatch)
    changes = CHANGES | {"optimiser": {"tokens_per_microbatch": 60}}
    whole, (quiet,) = trained(base, tmp_path / "whole", changes)
    made, record = trainer(base, tmp_path / "cut", recipe(**changes, train={"steps": 1}), double=True)
    own, calls, held = made.accelerator.backward, [], []

    def backward(loss):
        calls.append(loss.item())
        if len(calls) == 3:
            held.append(weakref.ref(loss))
            gc.disable()
            out_of_memory()
        elif held:
            assert held[0]() is None, "the graph of the failed one is gone before the next"
        own(loss)

    monkeypatch.setattr(made.accelerator, "backward", backward)
    try:
        made.train()
    finally:
        gc.enable()
    assert len(said) == 1 and len(calls) > 3 + len(whole._tokens_seen)
    same_metrics(quiet, record.steps[0])
    for name, value in weights(whole.model).items():
        torch.testing.assert_close(weights(made.model)[name], value, rtol=1e-6, atol=1e-9)


def test_a_second_time_is_a_sentence(base, tmp_path, monkeypatch, said) -> None:
    Room(monkeypatch, 10)
    with pytest.raises(RunFailed) as caught:
        trained(base, tmp_path, CHANGES)
    assert str(caught.value).startswith("memory ran out again in an update, with at most ")
    for key in ("optimiser.tokens_per_microbatch", "rollout.max_prompt_tokens", "model.gradient_checkpointing=true"):
        assert key in str(caught.value)
    assert len(said) == 1


def test_another_error_is_not_about_memory(base, tmp_path, monkeypatch, said) -> None:
    made, _ = trainer(base, tmp_path, recipe(**CHANGES))
    monkeypatch.setattr(made.accelerator, "backward", lambda loss: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        made.train()
    assert said == []


def test_scoring_is_repeated_in_halves(base, tmp_path, monkeypatch, said) -> None:
    exact_head(monkeypatch)
    changes = CHANGES | {"method": "rlsd", "distill": {}}
    _, (quiet,) = trained(base, tmp_path / "whole", changes)
    own, budgets = Runner.log_probs, []

    def limited(self, targets):
        budgets.append(self.budget)
        if self.budget == BUDGET:
            out_of_memory()
        return own(self, targets)

    monkeypatch.setattr(Runner, "log_probs", limited)
    made, (cut,) = trained(base, tmp_path / "cut", changes)
    assert budgets[0] == BUDGET and set(budgets[1:]) == {made.memory.limit("scoring")}
    assert budgets[1] <= BUDGET // 2 and made.memory.state() == {"scoring": budgets[1]}
    assert "while rows were scored" in said[0] and len(said) == 1
    same_metrics(quiet, cut)
    monkeypatch.setattr(Runner, "log_probs", out_of_memory)
    with pytest.raises(
        RunFailed, match=r"ran out again while rows were scored.*lower optimiser\.tokens_per_microbatch"
    ):
        trained(base, tmp_path / "none", changes)


class Prompted(Episodes):
    """Asks the trainer for answers, and trains on made-up ones."""

    def __init__(self, made) -> None:
        super().__init__(len(made._tokenizer))
        self.made, self.answers = made, []

    def play(self, starts):
        self.answers.append(self.made.generate([[5, 6, n] for n in range(7, 15)]))
        return super().play(starts)


@pytest.mark.parametrize("fails_after", [0, 5])
def test_generation_is_drawn_anew_in_halves(base, tmp_path, monkeypatch, said, fails_after) -> None:
    """How far a batch came before it failed changes nothing that is drawn."""
    loops = []

    def make(made):
        loops.append(Prompted(made))
        return loops[-1]

    def generated(limit):
        made, _ = trainer(base, tmp_path / str(limit), recipe(engine={"max_batch": limit}), make_loop=make)
        torch.manual_seed(3)
        return made, made.loop.play

    made, _ = generated(4)
    expected = made.generate([[5, 6, n] for n in range(7, 15)])
    made, _ = generated(512)
    own, sizes = made._generate_single_turn, []

    def limited(prompts, *about, **more):
        sizes.append(len(prompts))
        if len(prompts) > 4:
            torch.rand(fails_after)
            out_of_memory()
        return own(prompts, *about, **more)

    monkeypatch.setattr(made, "_generate_single_turn", limited)
    assert made.generate([[5, 6, n] for n in range(7, 15)]) == expected
    assert sizes == [8, 4, 4], "half of what there was, not of what was allowed"
    assert said == [
        "note: memory ran out while answers were generated, which is made anew: from here on at most 4 answers at a "
        "time, where engine.max_batch=512 allows more"
    ]
    monkeypatch.setattr(made, "_generate_single_turn", out_of_memory)
    with pytest.raises(RunFailed, match=r"ran out again while answers were generated.*lower engine\.max_batch"):
        made.generate([[5]])


def test_an_evaluations_policy_halves_too(base, monkeypatch) -> None:
    from sdar_cli.models.load import load_model, load_tokenizer
    from sdar_cli.recipe.schema import Sampling

    model, lines = load_model(str(base)), []
    policy = HFPolicy(model, load_tokenizer(str(base)), Sampling(), max_response_tokens=4, say=lines.append)
    own = model.generate

    def limited(input_ids, **about):
        return own(input_ids=input_ids, **about) if len(input_ids) <= 3 else out_of_memory()

    monkeypatch.setattr(model, "generate", limited)
    assert len(policy.generate([[5]] * 7)) == 7
    assert policy.memory.state() == {"generation": 3} and len(lines) == 1


def test_one_answer_that_does_not_fit_is_a_sentence() -> None:
    with pytest.raises(RunFailed, match="memory ran out while answers were generated"):
        in_batches([[5]], Memory({"generation": 512}), out_of_memory)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (MemoryError("x"), False),
    ],
)
def test_what_is_about_memory(error: Exception, memory: bool) -> None:
    assert ran_out(error) is memory


def test_what_was_halved_is_told_to_a_checkpoint() -> None:
    lines: list[str] = []
    memory = Memory({"update": 100, "generation": 8}, lines.append)
    memory.halve("update", 60, None)
    again = Memory({"update": 100, "generation": 8}, lines.append)
    again.load_state(memory.state() | {"of a later version": 3})
    assert (again.limit("update"), again.limit("generation"), len(lines)) == (30, 8, 1)
    with pytest.raises(RunFailed, match="memory ran out again in an update, with at most 30 tokens"):
        again.halve("update", 60, None)


def test_an_optimisers_step_without_room_is_a_sentence() -> None:
    with (
        pytest.raises(RunFailed, match=r"memory ran out in the training \(CUDA out of memory.*model\.lora"),
        oom.as_sentence(),
    ):
        out_of_memory()
    with pytest.raises(RuntimeError, match="else"), oom.as_sentence():
        raise RuntimeError("something else")


@pytest.mark.parametrize("how", ["fsdp2", "zero3"])
def test_weights_in_parts_are_a_sentence_at_once(base, tmp_path, monkeypatch, said, how) -> None:
    made, _ = trainer(base, tmp_path, recipe(**CHANGES))
    monkeypatch.setattr(made.accelerator, "backward", out_of_memory)
    monkeypatch.setattr(dist, "in_use", lambda: how)
    monkeypatch.setattr(type(made.scorer), "_in_step", lambda self, weights: False)
    with pytest.raises(RunFailed, match=r"^memory ran out in an update"):
        made.train()
    assert said == []


def test_several_processes_cannot_make_an_update_anew(base, tmp_path, monkeypatch, said) -> None:
    """One that leaves an update, in which they wait for each other, cannot tell the others."""
    made, _ = trainer(base, tmp_path, recipe(**CHANGES, train={"steps": 1}))
    monkeypatch.setattr(oom, "update_is_repeatable", lambda: False)
    monkeypatch.setattr(made.accelerator, "backward", out_of_memory)
    with pytest.raises(RunFailed, match=r"^memory ran out in an update"):
        made.train()
    assert said == []


def test_ranks_take_over_what_one_has_halved(monkeypatch) -> None:
    lines: list[str] = []
    memory = Memory({"scoring": 100, "generation": 8}, lines.append)
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(ranks, "gather", lambda own: [own, {"scoring": 50}])
    memory.agree()
    memory.agree()
    assert memory.state() == {"scoring": 50} and len(lines) == 1
