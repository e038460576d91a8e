"""``sdar`` commands one after another through the entry point, in one process or in each of several ranks.

    python -m torch.distributed.run --standalone --nproc-per-node 2 ranked_commands.py SPEC.json

SPEC.json is a list of commands: ``words``; optionally ``signal``: [rank, step], a SIGTERM to that rank alone within
that step; ``kill``: the same with a SIGKILL; ``spoil``: [rank, step], a NaN in that rank's loss alone; ``divides``:
gradients must lie in parts while an update goes on, and weights while rows are scored; ``rounds``: false where
log-probs must have more digits than bfloat16 has; ``old``: checkpoints are written in the formats of before; and
``opens``: such a one is read, as tensors alone, where no other command may open a pickle. Beside it come
``SPEC.json.N``, of each rank N the exit codes.

Weights are float64, in which sums in another order agree to far more digits than the tests look at; but not where
``rounds`` is given.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def exact(patch: pytest.MonkeyPatch, *, double: bool = True) -> Iterator[None]:
    """Trainings in float64, and no plots: drawing takes half of a short training's time."""
    from tiny_training import exact_head

    from sdar_cli.models.load import load_model

    if double:
        exact_head(patch)
        patch.setattr("sdar_cli.training.build.load_model", lambda path, **about: load_model(path, **about).double())
    patch.setattr("sdar_cli.tracking.plots.write_plots", lambda rows, folder: [])
    yield


def run_all(commands: Sequence[dict[str, Any]]) -> list[int]:
    """Exit codes."""
    from sdar_cli.cli.main import main
    from sdar_cli.launch import dist, speaker
    from sdar_cli.training import ranks

    codes = []
    for command in commands:
        with pytest.MonkeyPatch.context() as patch, exact(patch, double="rounds" not in command):
            if command.get("signal", [None])[0] == ranks.rank():
                _signal_at(patch, command["signal"][1], "train_on")
            if command.get("told", [None])[0] == ranks.rank():
                _signal_at(patch, command["told"][1], "_roll_out")
            if command.get("spoil", [None])[0] == ranks.rank():
                _spoil_at(patch, command["spoil"][1])
            if command.get("kill", [None])[0] == ranks.rank():
                _signal_at(patch, command["kill"][1], "train_on", signal.SIGKILL)
            if command.get("old"):
                _write_old(patch)
            opened = _watch_pickles(patch)
            held = _watch_gradients(patch)
            passes = _watch_passes(patch)
            codes.append(main(command["words"]))
            assert all(opened), "a pickle was opened that may hold code"
            assert bool(opened) == command.get("opens", False), f"{len(opened)} pickles were opened"
            if command.get("divides"):
                assert True in held, "gradients were whole until an update's end"
                assert passes and all(divided for divided, _ in passes), "weights were whole while rows were scored"
            if command.get("rounds") is False:
                assert passes and not any(rounded for _, rounded in passes), "log-probs were rounded to bfloat16"
        for name in (*dist.FSDP2, *dist.ZERO3):  # each command says by itself how its weights lie
            os.environ.pop(name, None)
        ranks.together(lambda: None)
        if ranks.is_main() and (file := speaker._file()) is not None:
            file.unlink(missing_ok=True)  # each command may end with a sentence
        ranks.together(lambda: None)
    return codes


def _signal_at(patch: pytest.MonkeyPatch, step: int, method: str, number: int = signal.SIGTERM) -> None:
    from sdar_cli.training.trainer import SDARTrainer

    original = getattr(SDARTrainer, method)

    def signalled(trainer, *about):
        if trainer.state.global_step == step:
            os.kill(os.getpid(), number)
        return original(trainer, *about)

    patch.setattr(SDARTrainer, method, signalled)


def _write_old(patch: pytest.MonkeyPatch) -> None:
    """Moments as accelerate and DeepSpeed write them, with their pickles."""
    from transformers import Trainer

    from sdar_cli.training.checkpoints.optimiser_state import PlainState

    name = "_save_optimizer_and_scheduler"
    patch.setattr(PlainState, name, getattr(Trainer, name))


def _watch_pickles(patch: pytest.MonkeyPatch) -> list[bool]:
    """Of each file that torch opens, whether tensors alone are read."""
    import torch

    opened: list[bool] = []
    load = torch.load

    def watched(source, *about, **named):
        if not isinstance(source, BytesIO):  # what another rank sent
            opened.append(named.get("weights_only") is True)
        return load(source, *about, **named)

    patch.setattr(torch, "load", watched)
    return opened


def _spoil_at(patch: pytest.MonkeyPatch, step: int) -> None:
    from trl import GRPOTrainer

    compute = GRPOTrainer._compute_loss

    def spoilt(trainer, *about):
        loss = compute(trainer, *about)
        return loss * float("nan") if trainer.state.global_step == step else loss

    patch.setattr(GRPOTrainer, "_compute_loss", spoilt)


def _watch_gradients(patch: pytest.MonkeyPatch) -> list[bool]:
    """Before every micro-batch, whether a parameter has its gradient; FSDP2 keeps what it has not summed elsewhere."""
    from sdar_cli.training.update import Update

    held: list[bool] = []
    inputs = Update.inputs

    def watched(update, *about):
        held.append(any(p.grad is not None for p in update.trainer.model.parameters()))
        return inputs(update, *about)

    patch.setattr(Update, "inputs", watched)
    return held


def _watch_passes(patch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """Of every pass that scores rows, whether a weight lay in parts before it, and whether its log-probs are such as
    bfloat16 can hold."""
    from torch.distributed.tensor import DTensor

    from sdar_cli.training import prefix_pass

    seen: list[tuple[bool, bool]] = []
    inner = prefix_pass.log_probs_of

    def watched(model, **inputs):
        divided = any(isinstance(p, DTensor) for p in model.parameters())
        found = inner(model, **inputs)
        seen.append((divided, bool((found.log_probs.bfloat16().to(found.log_probs.dtype) == found.log_probs).all())))
        return found

    patch.setattr(prefix_pass, "log_probs_of", watched)
    return seen


def _main(file: Path) -> None:
    from sdar_cli.training import ranks

    with ranks.session():
        codes = run_all(json.loads(file.read_text()))
        file.with_name(f"{file.name}.{ranks.rank()}").write_text(json.dumps(codes))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent / "training"))
    _main(Path(sys.argv[1]))
