"""MLflow's own server on a store, for ``sdar ui``."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPException
from pathlib import Path

from sdar_cli.errors import RunError, RunFailed
from sdar_cli.tracking.landing import opener
from sdar_cli.tracking.location import ARTIFACTS, sqlite_file

START_SECONDS = 90.0


def check_host(host: str, expose: bool) -> None:
    """Refuse an address that others can reach, unless asked for.

    Raises:
        RunError: the host is not loopback and ``expose`` is off.
    """
    if expose or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise RunError(
            f"--host {host} is reached by others: leave it at 127.0.0.1, or add --expose, which asks them for a token"
        )


def check_port(host: str, port: int) -> None:
    """
    Raises:
        RunError: the port is taken, or the host is not an address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{host} port {port} cannot be opened ({reason}): give another with --port") from None


def free_port() -> int:
    """A port of loopback that nobody holds just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_store(uri: str) -> None:
    """
    Raises:
        RunError: the URI is a SQLite file that does not exist.
    """
    file = sqlite_file(uri)
    if file is not None and not os.path.isfile(file):
        raise RunError(f"there is no MLflow store at {file}: train a run first, or name the folder with --runs")


class Server:
    """A running MLflow server; a context manager that ends it, also when this process is terminated."""

    def __init__(self, uri: str, host: str, port: int, runs_root: Path) -> None:
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
        command += ["--workers", "1", "--artifacts-destination", str(runs_root / ARTIFACTS)]
        environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
        environment.pop("MLFLOW_TRACKING_URI", None)
        environment.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight processes that we never use
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would stop it when full
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
        )

    def wait_until_ready(self) -> None:
        """
        Raises:
            RunFailed: the server ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RunFailed(f"MLflow's server ended at once ({self._last_words()}): check the store")
            try:
                with opener(self.url).open(f"{self.url}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (OSError, HTTPException):
                pass
            time.sleep(0.2)
        raise RunFailed(f"MLflow's server did not answer at {self.url} in {START_SECONDS:.0f} s: try again")

    def wait(self) -> int:
        return self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._words.close()

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"
