"""``sdar sweep … --dry-run`` and what it refuses: nothing is made, nothing heavy is loaded."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import standin_sdar
from scripted_study import run_of
from study_tools import spec_of

from sdar_cli.cli.main import main
from sdar_cli.recipe.load import load_recipe
from sdar_cli.sweep.store import StudyStore

README = ["sweep", "--recipe", "quickstart", "gate.temperature=0.1,0.2,1,5", "--seeds", "3", "--jobs", "2"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDAR_RUNS", str(tmp_path / "runs"))


def sentence(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["sweep", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert not Path("runs").exists()
    return err.removeprefix("error: ").rstrip()


def test_the_plan_of_the_readmes_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*README, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and not Path("runs").exists()
    lines = out.splitlines()
    assert "cells     4: grid over gate.temperature" in lines
    assert "runs      12: 4 × seeds 0,1,2" in lines
    assert "command   sdar train --recipe quickstart gate.temperature=0.1 seed=0" in lines
    assert any(line.startswith("panel     192 tasks of test, sha256 ") for line in lines)
    assert (
        "cost      unknown: nothing of this recipe was measured here; `sdar train --recipe quickstart` measures it"
        in lines
    )
    assert [line.split() for line in lines[-5:]] == [
        *[["cell", "gate.temperature"], ["0", "0.1"], ["1", "0.2"], ["2", "1"], ["3", "5"]]
    ]


def test_the_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*README, "method=grpo,sdar", "--dry-run", "--json", "--name", "st"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["study"], plan["total_cells"], plan["total_runs"], plan["combinations"]) == ("st", 5, 15, 8)
    assert plan["cells"][0] == {"cell": 0, "params": {"method": "grpo"}, "label": "method=grpo"}
    assert plan["cost"] is None and len(plan["panel"]["digest"]) == 64
    assert load_recipe("quickstart", overrides=plan["command"][4:]).recipe.method == "grpo"


def test_the_command_of_the_plan_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--method", "rlsd", "credit.mu=0.1,0.3", "name=other name"]
    assert main(["sweep", "--recipe", "quickstart", *words, "--dry-run"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("command ")]
    command = shlex.split(line.removeprefix("command"))
    assert main([*command[1:], "--dry-run", "--json"]) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    assert (recipe["method"], recipe["credit"]["mu"], recipe["name"]) == ("rlsd", 0.1, "other name")


def test_the_cost_says_which_runs_it_comes_from(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_of(tmp_path / "runs", "first", [3.0, 3.0], rest=60)
    assert main([*README, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "cost      72 min, 36 min with --jobs 2 where they do not share a device\n" in out
    assert "a run 6 min: 100 steps of 3 s, and 60 s for start, warm-up and evaluations\n" in out
    assert "as measured in first; time scales with steps\n" in out
    assert main([*README, "--dry-run", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert cost["total"] == pytest.approx(12 * 360) and cost["measured"] == ["first"]


def test_a_space_that_is_drawn_from_shows_its_axes(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["distill.coef=log:1e-3..1e-1", "method=grpo,sdar", "evaluation.every=10"]
    search = ["--search", "tpe", "--cells", "12", "--prune", "median"]
    assert main(["sweep", "--recipe", "quickstart", *words, *search, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "cells     12: tpe over distill.coef, method\n" in out and "pruning   median, " in out
    assert "distill.coef=log:0.001..0.1\n" in out


def test_a_space_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("space.yaml").write_text("space: {gate.beta: [1, 2], gate.kind: 'gap,entropy'}\nseeds: 2\n")
    assert main(["sweep", "--recipe", "quickstart", "--space", "space.yaml", "gate.beta=7", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "cells     2: grid over gate.kind\n" in out and "runs      4: 2 × seeds 0,1\n" in out
    assert "command   sdar train --recipe quickstart gate.beta=7 gate.kind=gap seed=0\n" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gate.beta=1,2"], "the recipe is missing: name it with --recipe, one from `sdar recipes ls` or a .yaml file"),
        (["statsu"], "'statsu' is neither a command of `sdar sweep` nor an axis: did you mean `sdar sweep status`?"),
        (
            ["retry"],
            "'retry' is neither a command of `sdar sweep` nor an axis: did you mean `sdar sweep retry-failed`?",
        ),
        (
            ["-r", "quickstart", "gate.beta"],
            "'gate.beta' is neither a command of `sdar sweep` nor an axis: write KEY=VALUE, for example "
            "gate.beta=1,5,10",
        ),
        (["--recip", "a"], "there is no option '--recip' for `sdar sweep start`: did you mean '--recipe'?"),
        (["status", "--wach"], "there is no option '--wach' for `sdar sweep status`: did you mean '--watch'?"),
        (["-r", "quikstart", "a=1,2"], "there is no recipe 'quikstart': did you mean 'quickstart'?"),
        (
            ["-r", "quickstart", "gate.temprature=1,2"],
            "the axis gate.temprature=1: there is no key 'gate.temprature': did you mean 'gate.temperature'?",
        ),
        (
            ["-r", "quickstart", "gate.beta=1,2", "--output", "x.sh"],
            "--output is for the script of --slurm: give both, or neither",
        ),
        (["-r", "quickstart", "gate.beta=1,2", "--slurm", "no.yaml"], "no.yaml does not exist: check the path"),
        (["-r", "quickstart", "gate.beta=1,2", "--space", "no.yaml"], "no.yaml does not exist: check the path"),
        (["status"], "there is no study in RUNS: start one with `sdar sweep`, or name the folder with --runs"),
        (["status", "a"], "there is no study in RUNS: start one with `sdar sweep`, or name the folder with --runs"),
    ],
)
def test_mistakes_are_one_sentence_and_make_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], said: str
) -> None:
    assert sentence(capsys, *words).replace(str(tmp_path / "runs"), "RUNS") == said


def test_a_study_in_the_place_of_a_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    StudyStore.create(spec_of("mine", ["gate.beta=1,2"]), tmp_path / "runs")
    assert main(["sweep", "mine"]) == 2
    assert capsys.readouterr().err == (
        "error: 'mine' is a study: look at it with `sdar sweep status mine`, or go on with `sdar sweep resume mine`\n"
    )


def test_a_study_of_that_name_that_asks_for_something_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StudyStore.create(spec_of("mine", ["gate.beta=1,2"], seeds="2"), tmp_path / "runs")
    assert main(["sweep", "-r", "quickstart", "gate.beta=1,3", "--seeds", "2", "--name", "mine"]) == 2
    assert capsys.readouterr().err == (
        "error: there is a study 'mine' already, and it is another (axes gate.beta=1,3, not gate.beta=1,2): choose "
        "another --name, or go on with it by `sdar sweep resume mine`\n"
    )


def test_a_job_array(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: sys.modules.pop("sdar_cli.sweep.publish", None))
    standin_sdar.without_mlflow()
    Path("profile.yaml").write_text("partition: gpu\ntime: 4:00:00\narray: 16\n")
    words = ["sweep", "-r", "quickstart", "gate.beta=1,2", "--name", "st", "--slurm", "profile.yaml"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("#!/bin/bash\n") and out.endswith(f"exec sdar sweep worker st --runs {tmp_path / 'runs'}\n")
    assert f"cd {tmp_path}\n" in out and err == "study st\n"
    store = StudyStore.open("st", tmp_path / "runs")
    assert store.view().total_runs == 6 and store.spec.mlflow_parent == "0" * 32
    assert main([*words, "--output", "job.sh"]) == 0
    said = "study st: it is there already, and goes on\nsubmit it with `sbatch job.sh`\n"
    assert capsys.readouterr() == ("", said)
    assert Path("job.sh").read_text() == out
    Path("profile.yaml").write_text("partition: gpu\n")
    assert main([*words, "--name", "other"]) == 2
    assert not (tmp_path / "runs" / "studies" / "other").exists()


HEAVY = ("torch", "transformers", "trl", "mlflow", "datasets", "pandas", "matplotlib", "scipy", "optuna")


@pytest.mark.parametrize(
    "words",
    [
        ["sweep", "--help"],
        ["sweep", "status", "--help"],
        [*README, "--dry-run"],
        ["sweep", "-r", "quickstart", "gate.beta=0..1", "--search", "tpe", "--cells", "9", "--dry-run"],
        ["sweep", "ls"],
    ],
)
def test_nothing_heavy_is_loaded(words: list[str]) -> None:
    code = (
        "import sys; from sdar_cli.cli.main import main; code = main(sys.argv[1:]); "
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_shows_the_options_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--help"]) == 0
    out = capsys.readouterr().out
    for word in ("--recipe", "--seeds", "--jobs", "--dry-run", "worker", "status", "retry-failed"):
        assert word in out
    assert " start " not in out
