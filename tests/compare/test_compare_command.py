"""``sdar compare`` as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from compare_runs import SAMPLING, make_run, make_study

from sdar_cli.cli.main import main

Sdar = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        for index, beta in enumerate((1.0, 5.0)):
            settings = {"gate.beta": beta, "tracking.group": "betas"}
            make_run(root, f"st-c{index:03d}-s{seed}", seed=seed, settings=settings, won=0.5 + 0.1 * index)
    make_study(root, "st", [{"key": "gate.beta", "choices": [1, 5]}], 2, (0, 1))
    make_run(root, "hot", won=0.5, conditions={"sampling": SAMPLING | {"temperature": 1.0}})
    return root


@pytest.fixture
def sdar(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sdar:
    """The command's entry point in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAR_RUNS", str(store))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = main(["compare", *words])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return run


def test_two_runs(sdar: Sdar) -> None:
    done = sdar("st-c000-s0", "st-c001-s0")
    assert done.returncode == 0 and done.stderr == ""
    assert "about these two checkpoints" in done.stdout and "\x1b" not in done.stdout
    command = [sys.executable, "-m", "sdar_cli.cli.main", "compare", "st-c000-s0", "st-c001-s0"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=120).stdout == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_study_and_a_group(sdar: Sdar) -> None:
    study = sdar("--study", "st", "--json")
    content = json.loads(study.stdout)
    assert [row["label"] for row in content["rows"]] == ["gate.beta=1", "gate.beta=5"]
    assert content["study"] == "st" and content["responses"][0]["key"] == "gate.beta"
    group = sdar("--group", "betas", "--by", "gate.temperature", "--json")
    assert [row["label"] for row in json.loads(group.stdout)["rows"]] == ["gate.temperature=0.2", "gate.temperature=1"]
    keys = sdar("--group", "betas", "--by", "method,gate.beta", "--by", "gate.beta", "--md")
    assert "| sdar, gate.beta=1 | 0, 1 |" in keys.stdout.replace("\\", "")


@pytest.mark.parametrize(
    ("option", "begins"), [("--md", "# "), ("--csv", "row,weights,"), ("--latex", "% "), ("--json", "{")]
)
def test_forms_on_standard_output(sdar: Sdar, option: str, begins: str) -> None:
    done = sdar("st-c000-s0", "st-c001-s0", option)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(begins)


def test_files(sdar: Sdar, tmp_path: Path) -> None:
    done = sdar("st-c000-s0", "st-c001-s0", "--html", "r.html", "-o", "r.csv", "-o", "r.md")
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r-pairs.csv", "r.csv", "r.html", "r.md"]
    assert "wrote r.html" in done.stderr and "wrote r-pairs.csv" in done.stderr and "wrote" not in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to compare, in one way: RUN RUN ..., --study NAME or --group NAME"),
        (["hot", "--group", "betas"], "say what to compare, in one way"),
        (["hot", "--md", "--csv"], "--md and --csv all print to standard output"),
        (["hot", "--level", "1.5"], "--level is 1.5, but must lie between 0 and 1"),
        (["hot", "--by", ","], "--by names no key"),
        (["hot", "--by", "gate.bta"], "did you mean 'gate.beta'?"),
        (["hot", "--html", "report.htm"], "does not end in .html"),
        (["hot", "-o", "report"], "has an ending that names no form"),
        (["hot", "--metric", "score"], "--metric score says no more than success"),
        (["hot", "st-c000-s0"], "sampling.temperature is 1.0 in hot and 0.4 in st-c000-s0"),
        (["hto"], "did you mean 'hot'?"),
        (["--study", "ts"], "there is no study 'ts'"),
        (["hot", "--baseline", "cold"], "names no single row"),
        (["hot", "--paper-model", "GPT"], "the paper has no model 'GPT'"),
        (["hot", "--forec"], "did you mean '--force'?"),
    ],
)
def test_mistakes_are_one_sentence(sdar: Sdar, tmp_path: Path, words: list[str], sentence: str) -> None:
    done = sdar(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr and not list(tmp_path.iterdir())


def test_force(sdar: Sdar) -> None:
    done = sdar("hot", "st-c000-s0", "--force")
    assert done.returncode == 0 and done.stdout.startswith("FORCED comparison: hot and st-c000-s0\n")


def test_nothing_heavy_is_loaded(store: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from sdar_cli.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'trl', 'mlflow', 'matplotlib', 'pandas', 'optuna', 'scipy.stats'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    for words, loaded in ((["--help"], "[]"), (["--study", "st", "--html", "r.html"], "[]")):
        command = [sys.executable, "-c", code, "compare", *words]
        environment = os.environ | {"SDAR_RUNS": str(store)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
        assert done.returncode == 0 and done.stderr.splitlines()[-1] == loaded
