"""``sdar`` as a process group of its own, so that a kill takes its workers too."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path


class Sdar:
    """One ``sdar`` command under way; output goes to ``log``, appended."""

    def __init__(self, log: Path, *words: str, cache: Path, largest_file: int | None = None) -> None:
        self.log = log
        command = [str(Path(sys.executable).with_name("sdar")), *words]
        environment = os.environ | {"SDAR_CACHE": str(cache), "NO_COLOR": "1", "SDAR_GRACE": "60"}

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=limit if largest_file is not None else None,
            )

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float | None = None) -> int:
        return self.process.wait(seconds)

    def tell(self, number: int) -> None:
        """A signal to the command alone, as a scheduler or a terminal sends it."""
        if not self.over:
            self.process.send_signal(number)

    def kill(self) -> int:
        """SIGKILL to the whole group; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-2000:]
