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

    def __init__(
        self, log: Path, *words: str, cache: Path, folder: Path | None = None, largest_file: int | None = None
    ) -> None:
        """
        Args:
            folder: the working directory.
            largest_file: bytes that a file may have; a write beyond them fails.
        """
        self.log = log
        self.began_at = log.stat().st_size if log.exists() else 0
        """Bytes of the log that are of commands before."""
        command = [str(Path(sys.executable).with_name("sdar")), *words]
        environment = os.environ | {"SDAR_CACHE": str(cache), "NO_COLOR": "1", "SDAR_GRACE": "60"}

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
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

    def wait(self) -> int:
        return self.process.wait()

    def left(self, seconds: float) -> int | None:
        """Its exit code; None, and it is killed, where it has not left after so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

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
        """All that it printed."""
        with self.log.open("rb") as file:
            file.seek(self.began_at)
            return file.read().decode("utf-8", "replace")
