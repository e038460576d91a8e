"""``sdar`` as it is, but trainings are the stand-in's and nothing goes to MLflow.

python standin_sdar.py sweep --recipe quickstart …      # the command line
STANDIN_WORKER=1 python standin_sdar.py                 # a worker of its crew
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve()
TRAINING = HERE.with_name("standin_training.py")


def command(job, recipe: Path | None) -> list[str]:
    """What plays a run."""
    words = [sys.executable, str(TRAINING)]
    if recipe is None:
        return [*words, "resume", str(job.folder)]
    return [*words, "train", "--recipe", str(recipe), "--name", job.name, "--runs", str(job.folder.parent)]


def without_mlflow() -> None:
    publish = types.ModuleType("sdar_cli.sweep.publish")
    publish.open_parent = lambda spec, root: (f"sqlite:///{root}/mlflow.db", "0" * 32)
    publish.publish = lambda view, folder: None
    sys.modules["sdar_cli.sweep.publish"] = publish


def main(words: Sequence[str]) -> int:
    without_mlflow()
    from sdar_cli.sweep import crew
    from sdar_cli.sweep import worker as module

    real = module.worker

    def worker(store, options):
        return real(store, replace(options, command=command, poll=0.1))

    crew.worker = module.worker = worker
    if os.environ.pop("STANDIN_WORKER", None):
        return crew.main()
    start = crew.Crew.start

    def with_standins(*arguments, **options):
        os.environ["STANDIN_WORKER"] = "1"
        return start(*arguments, program=[sys.executable, str(HERE)], **options)

    crew.Crew.start = with_standins
    from sdar_cli.cli.main import main as sdar

    return sdar(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
