"""An error of one process on its way to the others of its run."""

from __future__ import annotations

import pickle

from sdar_cli.errors import RunFailed, SdarError


def portable(error: Exception) -> tuple[bytes | None, str, str]:
    """The error itself where it survives the way, and its words."""
    data = None
    if isinstance(error, SdarError):
        try:
            data = pickle.dumps(error)
            pickle.loads(data)  # our own bytes
        except Exception:
            data = None
    return data, type(error).__name__, " ".join(str(error).split())


def rebuilt(told: tuple[bytes | None, str, str], number: int) -> Exception:
    data, name, text = told
    if data is not None:
        return pickle.loads(data)  # of a process of this run
    return RunFailed(
        f"process {number} of the run failed with {name}: {text}" if text else f"{name} in process {number}"
    )


def is_exit(error: BaseException) -> bool:
    """An exit that the command chose after it was done: typer's, whose code says that the run was interrupted."""
    return isinstance(error, SystemExit) or type(error).__name__ == "Exit"
