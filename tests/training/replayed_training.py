"""Trainings on a recorded rollout in float64, each written to a folder: the worker of test_two_processes.

    python -m torch.distributed.run --standalone --nproc-per-node 2 replayed_training.py SPEC.json

SPEC.json: ``base``, ``output``, and ``cases``: name → changes to the recipe, and the recording's path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file


def train_case(base: Path, output: Path, changes: dict, path: Path) -> None:
    """Train and write ``rank-N.json`` (metrics of every step) and ``rank-N.safetensors`` (weights)."""
    from tiny_training import Unlearning, recipe, trainer, weights

    from sdar_cli.rollout.replay import ReplayLoop

    made, record = trainer(
        base,
        output,
        recipe(**changes),
        double=True,
        make_loop=lambda made: ReplayLoop(
            path, Unlearning(), lambda: made.state.global_step, teacher=made.recipe.needs_teacher
        ),
    )
    made.train()
    rank = made.accelerator.process_index
    output.mkdir(parents=True, exist_ok=True)
    save_file(weights(made.model), output / f"rank-{rank}.safetensors")
    about = {"world": made.accelerator.num_processes, "steps": record.steps}
    (output / f"rank-{rank}.json").write_text(json.dumps(about))


def main(spec: dict) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from tiny_training import exact_head, spare_imported_objects

    spare_imported_objects()
    exact_head(pytest.MonkeyPatch())
    for name, (changes, path) in spec["cases"].items():
        train_case(Path(spec["base"]), Path(spec["output"]) / name, changes, Path(path))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()  # else its threads may abort the process as it ends


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
