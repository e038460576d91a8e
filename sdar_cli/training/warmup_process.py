"""A warm-up in a process of its own, for a run of several: TRL's SFTTrainer would otherwise wait for all of them.

    python -m sdar_cli.training.warmup_process RECIPE.yaml

It fills the cache, and tells what happens as JSON lines on standard output: the listener's calls, or an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli import errors
from sdar_cli.errors import RunFailed, SdarError
from sdar_cli.stop import STOP
from sdar_cli.training.events import Listener

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "ACCELERATE_", "FSDP_")
"""Beginnings of the variables by which a launcher tells a process its place."""


def fill_cache(recipe: Recipe, listener: Listener) -> None:
    """Warm up, apart, and wait for it. Raises the error with which it ended."""
    from sdar_cli.recipe.dump import dump
    from sdar_cli.sweep.leash import leashed

    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "recipe.yaml"
        file.write_text(dump(recipe), encoding="utf-8")
        with subprocess.Popen(
            [sys.executable, "-m", "sdar_cli.training.warmup_process", str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env=alone(os.environ) | leashed(os.getpid()),
        ) as process:
            try:
                for line in process.stdout:
                    _pass_on(json.loads(line), listener)
            except BaseException:
                process.terminate()
                raise
    if process.returncode:
        raise RunFailed(
            f"the warm-up's process ended with code {process.returncode}: repeat the command with --nproc 1"
        )


def alone(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that is a run by itself, on the first GPU of those that are visible."""
    kept = {name: value for name, value in environment.items() if not name.startswith(LAUNCHED)}
    return kept | {"CUDA_VISIBLE_DEVICES": environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}


class _Teller(Listener):
    """Writes what it hears for the process that waits."""

    def phase(self, name: str, total: int | None = None) -> None:
        _tell("phase", name, total)

    def advance(self, done: int, total: int, note: str = "") -> None:
        _tell("advance", done, total, note)

    def message(self, text: str) -> None:
        _tell("message", text)


def _tell(call: str, *arguments: Any) -> None:
    print(json.dumps([call, *arguments]), file=_OUT, flush=True)


def _pass_on(told: list[Any], listener: Listener) -> None:
    call, *arguments = told
    if call == "error":
        name, text = arguments
        raise getattr(errors, name, RunFailed)(text)
    {"phase": listener.phase, "advance": listener.advance, "message": listener.message}[call](*arguments)


def main(file: str) -> int:
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.sweep.leash import hold
    from sdar_cli.training.warmup_cache import warm_base
    from sdar_cli.workshop import Workshop

    hold()
    try:
        with Workshop.open(load_recipe(file).recipe) as workshop:
            warm_base(workshop.recipe, workshop.environment, workshop.bank, _Teller())
    except SdarError as error:
        _tell("error", type(error).__name__, str(error))
    except KeyboardInterrupt:
        return STOP.code
    return 0


_OUT = sys.stdout

if __name__ == "__main__":
    sys.stdout = sys.stderr  # what libraries print
    sys.exit(main(sys.argv[1]))
