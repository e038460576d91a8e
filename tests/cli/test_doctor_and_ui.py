from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import RunError
from sdar_cli.tracking.server import check_host, check_port


def test_hosts() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        check_host(host, expose=False)
    check_host("0.0.0.0", expose=True)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""):
        with pytest.raises(RunError, match="--expose"):
            check_host(host, expose=False)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunError, match="give another with --port"):
            check_port("127.0.0.1", taken.getsockname()[1])


def test_a_tracking_server_is_only_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert main(["ui", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "http://***@127.0.0.1:9\n"
    assert main(["ui", "--tracking-uri", "http://me:secret@127.0.0.1:9", "--runs", str(tmp_path)]) == 2
    found = capsys.readouterr()
    assert "MLFLOW_TRACKING_USERNAME" in found.err and "secret" not in found.err + found.out


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_the_ui_serves_the_store_and_takes_the_server_with_it(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowClient(tracking_uri=store).create_experiment("seen", artifact_location=tmp_path.as_uri())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sdar_cli.cli.main", "ui", "--runs", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as ui:
        assert ui.stdout is not None
        url = ui.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}"
        query = f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=seen"
        with urllib.request.urlopen(query, timeout=30) as answer:
            assert json.load(answer)["experiment"]["name"] == "seen"
        ui.send_signal(signal.SIGTERM)
        assert ui.wait(timeout=30) == 143
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)
