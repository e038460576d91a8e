"""A real MLflow server, reached through a proxy that can be down, slow, or wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "faults"))
from tcp_proxy import TcpProxy

from sdar_cli.tracking.server import free_port

START_SECONDS = 120.0


class Server:
    """``url`` is the proxy's; ``database`` the store's SQLite file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.database = folder / "mlflow.db"
        port = free_port()
        words = ["--backend-store-uri", f"sqlite:///{self.database}", "--artifacts-destination", str(folder / "files")]
        with (folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *words],
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._proxy = TcpProxy(port)
        self.url = self._proxy.url

    def be(self, how: str) -> None:
        """``up``, ``down``, ``slow``, ``error``, ``half`` or ``reset``, from now on."""
        if how == "slow":
            self._proxy.slow(1.0)
        else:
            getattr(self._proxy, how)()

    def __enter__(self) -> Server:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise SystemExit("MLflow's server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.down()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
