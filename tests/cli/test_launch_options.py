"""How many processes a run shall be: the commands that are made of it, and what is refused, without starting any."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from sdar_cli.cli.main import main
from sdar_cli.errors import UserError
from sdar_cli.launch import dist
from sdar_cli.launch.options import Launch, split_extra
from sdar_cli.launch.place import Place
from sdar_cli.launch.slurm import read_profile, script

OWN = ["train", "--recipe", "quickstart", "gate.beta=3"]
PROFILE = """
partition: gpu
nodes: 2
gpus: a100:4
cpus: 16
time: 24:00:00
setup:
  - export FROM_SETUP=yes
"""
STUBS = {
    "scontrol": "echo node7; echo node8",
    "srun": 'printf "%s\\n" "$PWD" "$FROM_SETUP" "$SRUN_CPUS_PER_TASK" "$@"',
}


@pytest.mark.parametrize(
    ("launch", "head"),
    [
        (Launch(4), "torchrun --standalone --nproc-per-node=4"),
        (
            Launch(4, 2, "node1:29500"),
            "torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=node1:29500 --rdzv-id=sdar",
        ),
        (Launch(4, extra=("--log-dir", "x")), "torchrun --standalone --nproc-per-node=4 --log-dir x"),
        (
            Launch(4, launcher="accelerate"),
            "accelerate launch --multi_gpu --num_machines=1 --num_processes=4 --mixed_precision=no --dynamo_backend=no",
        ),
    ],
)
def test_the_command_is_what_one_would_type(launch: Launch, head: str) -> None:
    launch.check()
    assert launch.words(4, OWN) == [*head.split(), "-m", "sdar_cli.cli.main", *OWN]


@pytest.mark.parametrize("launch", [Launch(2), Launch(2, 2, "a:1"), Launch(2, extra=("--log-dir", "x"))])
def test_torchrun_understands_it(launch: Launch) -> None:
    from torch.distributed import run

    parsed = run.parse_args(launch.words(2, OWN)[1:])
    assert (parsed.nproc_per_node, parsed.training_script) == ("2", "sdar_cli.cli.main")
    assert parsed.training_script_args == OWN


def test_accelerate_understands_it() -> None:
    from accelerate.commands.launch import launch_command_parser

    parsed = launch_command_parser().parse_args(Launch(2, launcher="accelerate").words(2, OWN)[2:])
    assert (parsed.num_processes, parsed.training_script, parsed.training_script_args) == (2, "sdar_cli.cli.main", OWN)


@pytest.mark.parametrize(
    ("launch", "says"),
    [
        (Launch(2, 2), "--nnodes 2 needs a place where the machines meet"),
        (Launch(2, 2, "node1"), "--rdzv 'node1' is no HOST:PORT"),
        (Launch(2, 2, "node1:x"), "--rdzv 'node1:x' is no HOST:PORT"),
        (Launch(2, 2, "node1:²"), "--rdzv 'node1:²' is no HOST:PORT"),
        (Launch(2, 2, "tcp://node1:29500"), "is no HOST:PORT"),
        (Launch(2, 2, "a:1", "accelerate"), "starts the processes of one machine"),
    ],
)
def test_what_does_not_go_together_is_refused(launch: Launch, says: str) -> None:
    with pytest.raises(UserError, match=says):
        launch.check()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("sdar_cli.launch.agent._gpus", lambda: 2)
    assert main([*OWN, "--nproc", "3"]) == 2
    assert "more than the 2 visible GPUs" in capsys.readouterr().err


def test_several_gpus_are_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("sdar_cli.launch.agent._gpus", lambda: 8)
    monkeypatch.setattr("sdar_cli.launch.agent.start", lambda words: started.append(list(words)) or 130)
    assert main([*OWN, "--json"]) == 130
    assert started == [Launch(8).words(8, [*OWN, "--json"])]


def test_words_behind_the_dashes_are_the_launchers(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("sdar_cli.launch.agent._gpus", lambda: 0)
    monkeypatch.setattr("sdar_cli.launch.agent.start", lambda words: started.append(list(words)) or 0)
    assert main([*OWN, "--nproc", "2", "--dist", "fsdp2", "--", "--log-dir", "logs"]) == 0
    assert started == [Launch(2, extra=("--log-dir", "logs")).words(2, [*OWN, "--dist", "fsdp2"])]
    assert split_extra(["a=1", "--x", "b"]) == (["a=1"], ("--x", "b"))


def test_a_dry_run_prints_the_command(capsys) -> None:
    assert main([*OWN, "--nproc", "2", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == Launch(2).words(2, OWN)


def test_zero3_without_deepspeed_is_refused_with_what_to_do(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.launch.agent._gpus", lambda: 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*OWN, "--nproc", "2", "--dist", "zero3"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'sdar[zero3]'" in said and "--dist fsdp2" in said


@pytest.mark.parametrize("name", ["fsdp2", "zero3"])
def test_what_cannot_be_divided_is_refused(capsys, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("sdar_cli.launch.dist.check_zero3", lambda: None)
    assert main([*OWN, "distill.divergence=jsd", "--nproc", "2", "--dist", name]) == 2
    assert f"--dist {name} has no whole head for distill.divergence=jsd" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero3"])
def test_a_process_knows_how_its_weights_lie(monkeypatch: pytest.MonkeyPatch, name: dist.Dist) -> None:
    for variable in (*dist.FSDP2, *dist.ZERO3):
        monkeypatch.setenv(variable, "")  # taken back after the test, whatever it becomes
        monkeypatch.delenv(variable)
    dist.apply(name)
    assert dist.in_use() == name


def test_a_place_is_read_from_the_launchers_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Place.here() == Place(0, 1, 0, launched=False)
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Place.here() == Place(3, 4, 1, launched=True)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UserError, match="no number"):
        Place.here()


def test_the_profile_reaches_accelerate() -> None:
    assert dist.FSDP2["FSDP_VERSION"] == "2" and dist.FSDP2["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"


def run_script(tmp_path: Path, text: str) -> list[str]:
    """What the stand-in for srun was given."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name, line in STUBS.items():
        (tools / name).write_text(f"#!/bin/bash\n{line}\n")
        (tools / name).chmod(0o755)
    file = tmp_path / "job.sh"
    file.write_text(text)
    variables = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "12345"}
    environment = {**os.environ, **variables, "PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(file)], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_batch_script_starts_a_launcher_a_node_and_goes_on_when_it_is_submitted_again(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    run = tmp_path / "my runs" / "big"
    command = ["sdar", "train", "--recipe", "quickstart", "--name", "big", "tracking.note=two words"]
    where = {"run": run, "folder": tmp_path}
    text = script(read_profile(tmp_path / "profile.yaml"), command, ["--dist", "fsdp2"], **where)
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n#SBATCH --gpus-per-node=a100:4\n" in text
    assert "#SBATCH --signal=USR1@120\n" in text and "#SBATCH --requeue\n" in text
    assert "\nexport SDAR_GRACE=110\n" in text
    rest = ["--nproc", "4", "--nnodes", "2", "--rdzv", "node7:32345", "--dist", "fsdp2"]
    head = [str(tmp_path), "yes", "16", "--kill-on-bad-exit=1"]
    assert run_script(tmp_path, text) == [*head, "sdar", "train", "--auto-resume", *command[2:], *rest]
    assert (
        script(
            read_profile(tmp_path / "profile.yaml"), [*command, "--auto-resume"], ["--dist", "fsdp2"], **where
        ).count("--auto-resume")
        == 1
    )


def test_the_script_needs_a_name(tmp_path: Path, capsys) -> None:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    assert main([*OWN, "--slurm", str(tmp_path / "profile.yaml")]) == 2
    assert "--slurm needs the run's name" in capsys.readouterr().err
    assert main([*OWN, "--slurm", str(tmp_path / "profile.yaml"), "--name", "big"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/bash\n# The run big.")
    words = [*OWN, "--slurm", str(tmp_path / "profile.yaml"), "--name", "big", "--grace", "30"]
    assert main(words) == 0 and " --grace 30 " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["two words", "a\n#SBATCH --wrap=b", "latest"])
def test_the_script_is_of_a_name_that_a_run_can_have(tmp_path: Path, capsys, name: str) -> None:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    assert main([*OWN, "--slurm", str(tmp_path / "profile.yaml"), "--name", name]) == 2
    told = capsys.readouterr()
    assert "cannot name a run" in told.err and not told.out


EXTRAS = {
    "zero3": ["--dist", "zero3", "--nproc", "2"],
    "qlora": ["model.lora.quantise=nf4"],
    "vllm": ["engine.kind=vllm"],
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_is_not_installed_is_said_by_the_plan_and_refused_by_the_run(
    capsys, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    """At once: before a run has a folder, and before any process is started."""
    find = importlib.util.find_spec
    absent = {"deepspeed", "bitsandbytes", "vllm"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in absent else find(name))
    monkeypatch.setattr("sdar_cli.launch.agent.processes", lambda launch: pytest.fail("it was started"))
    words = ["train", "--recipe", "quickstart", *EXTRAS[extra]]
    assert main(words) == 2
    (refused,) = capsys.readouterr().err.splitlines()
    assert f"is not installed: pip install 'sdar[{extra}]', or " in refused
    assert main([*words, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [f"error: {sentence}" for sentence in plan["lacking"]] == [refused]
    assert main([*words, "--dry-run"]) == 0
    assert f"\nlacking   {plan['lacking'][0]}\n" in capsys.readouterr().out


def test_what_is_there_is_not_lacking(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    words = ["train", "--recipe", "quickstart", "--dry-run", "--json"]
    for more in (["--dist", "zero3", "engine.kind=vllm"], ["model.lora.quantise=nf4"]):
        assert main([*words, *more]) == 0
        assert json.loads(capsys.readouterr().out)["lacking"] == []
    server = ["engine.kind=vllm", "engine.mode=server", "engine.server_url=http://h:1", "engine.sync_folder=/x"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*words, *server]) == 0
    assert json.loads(capsys.readouterr().out)["lacking"] == [], "the server's machine has it"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nnodes", "2"], "needs a place where the machines meet"),
        (["--nnodes", "2", "--rdzv", "a:1", "--launcher", "accelerate"], "starts the processes of one machine"),
        (["--dist", "fsdp2", "model.lora.quantise=nf4"], "divides no weights of four bits"),
        (["--dist", "zero3", "distill.divergence=jsd"], "has no whole head"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(capsys, words: list[str], says: str) -> None:
    assert main([*OWN, "--dry-run", *words]) == 2
    told = capsys.readouterr()
    assert says in told.err and len(told.err.splitlines()) == 1 and not told.out


def test_a_profile_says_how_many_there_are(tmp_path: Path, capsys) -> None:
    (tmp_path / "profile.yaml").write_text(PROFILE)
    words = [*OWN, "--name", "big", "--slurm", str(tmp_path / "profile.yaml")]
    for more in (
        ["--nproc", "4"],
        ["--nnodes", "2", "--rdzv", "a:1"],
        ["--launcher", "accelerate"],
        ["--", "--x", "1"],
    ):
        assert main([*words, *more]) == 2
        assert "the profile's `nodes` and `gpus` say" in capsys.readouterr().err
    assert main([*words, "--dist", "fsdp2", "model.lora.quantise=nf4"]) == 2
    assert "divides no weights of four bits" in capsys.readouterr().err
    assert main([*words, "--dist", "fsdp2", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["processes"] == {"count": 8, "dist": "fsdp2"} and plan["command"][0] == "sdar"
