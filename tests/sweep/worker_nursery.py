"""Worker processes for tests: forked from one that has imported everything, so that starting one takes no time.

with Nursery(tmp_path) as nursery:
    pid = nursery.start(study_folder, root)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STANDIN = Path(__file__).with_name("standin_training.py")


def standin_command(job, recipe):
    words = [sys.executable, "-S", "-E", str(STANDIN)]
    if recipe is None:
        return [*words, "resume", str(job.folder)]
    return [*words, "train", "--recipe", str(recipe), "--name", job.name, "--runs", str(job.folder.parent)]


class Nursery:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.started: list[int] = []

    def __enter__(self) -> Nursery:
        command = [sys.executable, str(Path(__file__).resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *exc: object) -> None:
        for pid in self.started:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(self, folder: Path, root: Path, **options) -> int:
        """Start a worker; its ending, or error, is written to ``scratch/PID.ending``."""
        order = {"folder": str(folder), "root": str(root), "scratch": str(self.scratch), **options}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self.started.append(pid)
        return pid

    def ending(self, pid: int) -> str | None:
        file = self.scratch / f"{pid}.ending"
        return file.read_text() if file.exists() else None

    def wait(self, pids: list[int], seconds: float = 180.0) -> list[str | None]:
        """Until they have all left; how each did, None for one that was killed."""
        until(lambda: not any(alive(pid) for pid in pids), seconds)
        return [self.ending(pid) for pid in pids]


def until(condition, seconds: float = 120.0) -> None:
    """A busy machine is slow, not wrong: the deadline is for what never comes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    from sdar_cli.sweep.processes import birth_of

    return birth_of(pid) is not None


def main() -> None:
    import alembic.command
    import optuna
    import sqlalchemy.orm
    import yaml

    import sdar_cli.recipe.dump
    import sdar_cli.runs.store
    import sdar_cli.sweep.spec
    import sdar_cli.sweep.worker  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _ = optuna.storages.JournalStorage, optuna.storages.RDBStorage, optuna.study, yaml, alembic, sqlalchemy
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(json.loads(line))
        print(pid, flush=True)
        while _reap():
            pass


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _work(order: dict) -> None:
    from sdar_cli.sweep.store import StudyStore
    from sdar_cli.sweep.worker import Options, worker

    scratch, root = Path(order["scratch"]), Path(order["root"])
    ending = scratch / f"{os.getpid()}.ending"
    said = (scratch / f"{os.getpid()}.said").open("a", buffering=1)
    options = Options(
        command=standin_command,
        publish=lambda view, folder: (folder / f"shown-{os.getpid()}").touch(),
        poll=order.get("poll", 0.05),
        patience=order.get("patience", 10.0),
        say=lambda sentence: said.write(f"{sentence}\n") and None,
    )
    try:
        store = StudyStore.open(order["folder"], root, order.get("storage"), lease=order.get("lease", 60.0))
        words = worker(store, options)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        words = f"{type(error).__name__}: {error}"
    ending.write_text(words)
    os._exit(0)


if __name__ == "__main__":
    main()
