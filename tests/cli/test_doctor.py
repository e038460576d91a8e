"""``sdar doctor`` on a machine: what is found, in words that can be acted upon."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from sdar_cli.checkup import engines, machine, packages, services
from sdar_cli.checkup.finding import Finding
from sdar_cli.cli.main import main

sys.path.insert(0, str(Path(__file__).parent))

from answering_server import answering


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--runs", str(tmp_path / "runs"), "--json"]) in (0, 1)
    findings = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["trl"]["verdict"] == "ok" and findings["trl"]["found"].startswith("1.16")
    assert findings["runs folder"]["found"].startswith(str(tmp_path))
    assert not (tmp_path / "runs").exists(), "looking must not write"
    assert all(finding["remedy"] for finding in findings.values() if finding["verdict"] != "ok")
    assert findings.keys() >= {"CPU", "vLLM", "bitsandbytes", "DeepSpeed", "shared memory", "open files"}
    assert findings.keys() >= {"MLflow's store", "Hugging Face hub", "cache"}


@pytest.mark.parametrize("width", ["80", "60"])
def test_a_problem_has_a_remedy_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setitem(packages.NEEDED, "trl", ">=99")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", width)
    assert main(["doctor", "--runs", str(tmp_path / "file" / "runs")]) == 1
    captured = capsys.readouterr()
    assert "→ pip install 'trl>=99'\n" in captured.out
    assert "3 to mend" in captured.err
    for line in captured.out.splitlines():
        assert len(line) <= int(width) or "/" in line, "only a path may be longer"


def test_overrides_are_a_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "seed=3"]) == 2
    assert "--recipe" in capsys.readouterr().err


# -- packages -------------------------------------------------------------------------------------


def test_the_ranges_are_those_of_the_package(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    for name, wanted in packages.NEEDED.items():
        assert Requirement(f"{name}{wanted}").specifier == declared[name]


@pytest.mark.parametrize(
    ("version", "wanted", "inside"),
    [
        ("2.13.0+cpu", ">=2.7", True),
        ("2.6.0", ">=2.7", False),
        ("5.18.0rc1", ">=5.3,<5.18", False),
        ("5.17.1.dev0", ">=5.3,<5.18", True),
        ("1.16.0", ">=1.16,<1.17", True),
        ("1.17.0", ">=1.16,<1.17", False),
    ],
)
def test_versions(version: str, wanted: str, inside: bool) -> None:
    assert packages.within(version, wanted) is inside


def test_what_an_extra_asks_for_is_read_from_the_package() -> None:
    wanted = packages.asked_by("trl", "vllm", "vllm")
    assert wanted is not None and packages.within("0.31.0", wanted) and not packages.within("0.9.0", wanted)
    assert packages.asked_by("trl", "vllm", "torch") is None
    assert packages.asked_by("no-such-package", "x", "y") is None


# -- vLLM and extras ------------------------------------------------------------------------------


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, body: str) -> None:
    """A package named vllm, found by this process and those that it starts."""
    (folder / "vllm").mkdir()
    (folder / "vllm" / "__init__.py").write_text(body)
    (folder / f"vllm-{version}.dist-info").mkdir()
    (folder / f"vllm-{version}.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_vllm_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "0.31.0", "")
    assert engines.vllm() == Finding("vLLM", "ok", "0.31.0")


def test_a_broken_vllm_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "0.31.0", "raise ImportError('libcudart.so.13: cannot open')")
    finding = engines.vllm()
    assert finding.verdict == "problem" and "pip install" in finding.remedy
    assert finding.found == "0.31.0 cannot be imported: ImportError: libcudart.so.13: cannot open"
    assert "vllm" not in sys.modules, "it is imported elsewhere"


def test_a_vllm_of_another_time_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "0.9.0", "raise SystemExit('must not run')")
    finding = engines.vllm()
    assert finding.verdict == "problem" and finding.found.startswith("0.9.0, and trl 1.16")


def test_an_import_that_hangs_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "0.31.0", "import time; time.sleep(600)")
    assert engines.imports("vllm", limit=0.5) == "it takes more than 0.5 s"


def test_an_import_that_dies_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "0.31.0", "import os; os._exit(7)")
    assert engines.imports("vllm") == "exit code 7"


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
    def look() -> Finding:
        (finding,) = [finding for finding in engines.engines() if finding.subject == subject]
        return finding

    monkeypatch.setattr(engines, "imports", lambda module: None)
    installed = engines.installed
    monkeypatch.setattr(engines, "installed", lambda *names: None if package in names else installed(*names))
    assert (look().verdict, look().found) == ("absent", f"without {package}")
    assert f"pip install '{extra}'" in look().remedy
    monkeypatch.setattr(engines, "installed", lambda *names: "1.2.3")
    assert look().verdict == "ok" and f"{package} 1.2.3" in look().found


# -- the machine ----------------------------------------------------------------------------------


def test_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.shared_memory(tmp_path / "none").verdict == "absent"
    for free, verdict in ((64 * 2**20, "absent"), (16 * 2**30, "ok")):
        monkeypatch.setattr(
            machine.shutil, "disk_usage", lambda path, free=free: SimpleNamespace(free=free, total=2 * free)
        )
        assert machine.shared_memory(tmp_path).verdict == verdict
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=0, total=64 * 2**20))
    assert "--shm-size" in machine.shared_memory(tmp_path).remedy


def test_open_files() -> None:
    unlimited = resource.RLIM_INFINITY
    assert machine.open_files(unlimited, unlimited).verdict == "ok"
    assert machine.open_files(8192, 8192).verdict == "ok"
    assert machine.open_files(1024, unlimited).remedy.endswith("ulimit -n 65536")
    assert machine.open_files(256, 5000).remedy.endswith("ulimit -n 5000")
    assert "limits.conf" in machine.open_files(256, 1024).remedy


def test_room_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=20 * 2**30))
    assert [finding.verdict for finding in machine.room(tmp_path)] == ["ok", "ok"]
    runs, cache = machine.room(tmp_path, 30 * 2**30)
    assert (runs.verdict, cache.verdict) == ("problem", "ok") and runs.remedy.startswith("free 30 GiB")


# -- services -------------------------------------------------------------------------------------


def test_mlflows_store_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mlflow.db"
    finding = services.mlflow_store(None, tmp_path)
    assert finding.verdict == "ok" and "made by the first run" in finding.found
    assert not file.exists()
    with sqlite3.connect(file) as store:
        store.execute("CREATE TABLE experiments (name TEXT)")
        store.execute("INSERT INTO experiments VALUES ('one')")
    store.close()
    assert services.mlflow_store(None, tmp_path).found == f"{file}, 1 experiments"
    file.write_bytes(b"no database" * 100)
    broken = services.mlflow_store(None, tmp_path)
    assert broken.verdict == "problem" and str(file) in broken.found
    file.unlink()
    os.mkfifo(file)  # whose other end nobody opens
    assert services.mlflow_store(None, tmp_path).found == f"{file} cannot be read (is a pipe, not a file)"
    file.unlink()
    assert services.mlflow_store("no uri", tmp_path).verdict == "problem"
    secret = services.mlflow_store("postgresql://me:secret@db/mlflow", tmp_path)
    assert secret.verdict == "problem" and "secret" not in secret.found and "MLFLOW_TRACKING_URI" in secret.remedy
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow")
    secret = services.mlflow_store(None, tmp_path)
    assert secret.verdict == "ok" and "secret" not in secret.found


def test_mlflows_store_behind_a_server(tmp_path: Path) -> None:
    with answering({"/health": 200}) as url:
        assert services.mlflow_store(url, tmp_path) == Finding("MLflow's store", "ok", f"{url} answers")
    with answering({"/health": 401}) as url:
        assert "MLFLOW_TRACKING_TOKEN" in services.mlflow_store(url, tmp_path).remedy
    with answering({}) as url:
        assert services.mlflow_store(url, tmp_path).found == f"{url} answers 404"
    gone = services.mlflow_store(url, tmp_path)
    assert gone.verdict == "problem" and "ConnectError" in gone.found


def test_the_hub_and_a_token_that_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "HF_HUB_OFFLINE" in services.hub().found
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with answering({"/": 200}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        found = services.hub()
        assert found == Finding("Hugging Face hub", "ok", f"{url} answers, with a token")
        monkeypatch.delenv("HF_TOKEN")
        assert "without a token" in services.hub().found
    finding = services.hub()
    assert finding.verdict == "absent" and "HF_ENDPOINT" in finding.remedy
    monkeypatch.setenv("HF_ENDPOINT", "http://me:secret@127.0.0.1:9")
    assert services.hub().found.startswith("http://***@127.0.0.1:9 does not answer")


# -- data -----------------------------------------------------------------------------------------


def look(subject: str) -> Finding:
    from sdar_cli.checkup import data

    every = (*data.alfworld_games(), *data.webshop_store(), *data.search_qa_questions())
    (finding,) = [finding for finding in every if finding.subject == subject]
    return finding


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
    (tmp_path / "train.parquet").unlink()
    os.mkfifo(tmp_path / "train.parquet")  # whose other end nobody opens
    finding = look("Search-QA's questions")
    assert (finding.verdict, finding.found) == ("problem", f"{tmp_path / 'train.parquet'} cannot be read")
