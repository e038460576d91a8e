from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sdar_cli import checkup
from sdar_cli.cli.main import main
from sdar_cli.errors import RunError
from sdar_cli.tracking.server import check_host, check_port


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--runs", str(tmp_path / "runs"), "--json"]) in (0, 1)
    findings = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["trl"]["verdict"] == "ok" and findings["trl"]["found"].startswith("1.16")
    assert findings["runs folder"]["found"].startswith(str(tmp_path))
    assert not (tmp_path / "runs").exists(), "looking must not write"
    assert all(finding["remedy"] for finding in findings.values() if finding["verdict"] != "ok")


def test_a_problem_has_a_remedy_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkup.RANGES, "trl", ("99", None))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    assert main(["doctor", "--runs", str(tmp_path / "file" / "runs")]) == 1
    captured = capsys.readouterr()
    assert "pip install 'trl>=99'" in captured.out.replace("\n", " ")
    assert "3 to mend" in captured.err


def look(subject: str) -> checkup.Finding:
    (finding,) = [finding for finding in checkup.examine(Path.cwd()) if finding.subject == subject]
    return finding


@pytest.mark.parametrize(
    ("subject", "package", "extra"),
    [
        ("retrieval server", "uvicorn", "sdar[retriever]"),
        ("dense retrieval", "faiss-cpu", "sdar[dense]"),
        ("ALFWorld's engine", "textworld", "sdar[alfworld]"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    subject: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkup._installed
    monkeypatch.setattr(checkup, "_installed", lambda name: None if name == package else installed(name))
    finding = look(subject)
    assert (finding.verdict, finding.found) == ("absent", f"without {package}")
    assert f"pip install '{extra}'" in finding.remedy
    monkeypatch.setattr(checkup, "_installed", lambda name: "1.2.3")
    assert look(subject).verdict == "ok" and f"{package} 1.2.3" in look(subject).found


def test_webshops_store_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdar_envs.webshop.catalogue import generate
    from sdar_envs.webshop.catalogue_items import Catalogue

    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SDAR_WEBSHOP", raising=False)
    official = tmp_path / "cache" / "webshop" / "official"
    assert look("WebShop's store").verdict == "absent" and str(official) in look("WebShop's store").found
    assert not official.parent.exists(), "looking must not write"
    monkeypatch.setenv("SDAR_WEBSHOP", str(tmp_path / "nowhere"))
    finding = look("WebShop's store")
    assert (finding.verdict, finding.found) == ("problem", f"no store in {tmp_path / 'nowhere'}")
    (tmp_path / "nowhere.draft").mkdir()
    finding = look("WebShop's store")
    assert finding.verdict == "absent" and "was not finished" in finding.found and "again" in finding.remedy

    catalogue = Catalogue(size=40, seed=0)
    generate(catalogue)
    monkeypatch.setenv("SDAR_WEBSHOP", str(catalogue.folder))
    finding = look("WebShop's store")
    assert (finding.verdict, finding.found) == ("ok", f"{catalogue.folder}, 40 products")
    for damage in (catalogue.folder / "store.sqlite", next((catalogue.folder / "index").glob("*.npy"))):
        whole = damage.read_bytes()
        damage.write_bytes(whole[:-1])
        finding = look("WebShop's store")
        assert finding.verdict == "problem" and str(damage) in finding.found, damage
        assert finding.remedy == "remove the folder, then sdar data webshop --from FOLDER"
        damage.write_bytes(whole)
    assert look("WebShop's store").verdict == "ok"


def test_search_qas_questions_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.delenv("SDAR_SEARCH_QA", raising=False)
    assert look("Search-QA's questions").verdict == "absent"
    monkeypatch.setenv("SDAR_SEARCH_QA", str(tmp_path))
    pq.write_table(pa.table({"question": ["who?"] * 1200}), tmp_path / "train.parquet")
    finding = look("Search-QA's questions")
    assert (finding.verdict, finding.found) == ("problem", f"no test.parquet in {tmp_path}")
    pq.write_table(pa.table({"question": ["who?"] * 7}), tmp_path / "test.parquet")
    finding = look("Search-QA's questions")
    assert (finding.verdict, finding.found) == ("ok", f"{tmp_path}, 1,200 to train on and 7 to test")
    (tmp_path / "test.parquet").write_bytes((tmp_path / "test.parquet").read_bytes()[:-1])
    finding = look("Search-QA's questions")
    assert (finding.verdict, finding.remedy) == ("problem", "restore it from its source")
    assert finding.found == f"{tmp_path / 'test.parquet'} cannot be read"


@pytest.mark.parametrize(
    ("version", "number"), [("2.13.0+cpu", (2, 13, 0)), ("5.18.0rc1", (5, 18)), ("1.16", (1, 16)), ("x", ())]
)
def test_versions_compare_by_number(version: str, number: tuple[int, ...]) -> None:
    assert checkup._number(version) == number


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


def test_a_tracking_server_is_only_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["ui", "--tracking-uri", "http://me:secret@host:5000", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "http://***@host:5000\n"


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
        assert ui.wait(timeout=30) == 130
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)
