"""The job array: what the script says, that a shell runs it, and that the worker gets the signal."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sdar_cli.errors import UserError
from sdar_cli.sweep.slurm import read_profile, script

FULL = """
partition: gpu
account: my-group
qos: long
constraint: a100
gpus: a100:2
cpus: 8
memory: 64G
time: 1-12:00:00
array: 8
at_once: 4
signal: 300
setup:
  - export FROM_SETUP=yes
sbatch:
  - --exclude=node[1-3]
"""
STUB = """#!/bin/bash
trap 'echo "told" >> "$RECORD"; exit 138' USR1
printf '%s\\n' "$PWD" "$FROM_SETUP" "$SDAR_GRACE" "$@" >> "$RECORD"
if [ -n "$STAY" ]; then echo ready >> "$RECORD"; while true; do sleep 0.05; done; fi
"""


def profile(tmp_path: Path, text: str):
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    return read_profile(path)


def test_the_whole_script(tmp_path: Path) -> None:
    text = script(profile(tmp_path, FULL), "st", root=Path("/shared/my runs"), folder=Path("/home/me"))
    assert text == (
        "#!/bin/bash\n"
        "# Workers of the study st. Submit it again and it goes on: what is done is not run twice.\n"
        "#SBATCH --job-name=sdar-st\n"
        "#SBATCH --partition=gpu\n"
        "#SBATCH --account=my-group\n"
        "#SBATCH --qos=long\n"
        "#SBATCH --constraint=a100\n"
        "#SBATCH --nodes=1\n"
        "#SBATCH --ntasks=1\n"
        "#SBATCH --gpus-per-node=a100:2\n"
        "#SBATCH --cpus-per-task=8\n"
        "#SBATCH --mem=64G\n"
        "#SBATCH --time=1-12:00:00\n"
        "#SBATCH --array=0-7%4\n"
        "#SBATCH --signal=B:USR1@300\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --requeue\n"
        "#SBATCH --exclude=node[1-3]\n"
        "set -eo pipefail\n"
        "cd /home/me\n"
        "export FROM_SETUP=yes\n"
        "export SDAR_GRACE=290\n"
        "# exec: Slurm signals this shell, and the worker is to get it\n"
        "exec sdar sweep worker st --runs '/shared/my runs'\n"
    )


def test_the_least_profile(tmp_path: Path) -> None:
    text = script(profile(tmp_path, "time: 60\ngpus: 0"), "st", root=Path("/r"), folder=Path("/f"))
    assert "--gpus" not in text and "#SBATCH --time=60\n" in text and "#SBATCH --array=0-3\n" in text
    assert "#SBATCH --signal=B:USR1@120\n" in text


def test_options_stand_before_the_first_command(tmp_path: Path) -> None:
    """Slurm reads no option after it."""
    lines = script(profile(tmp_path, FULL), "st", root=Path("/r"), folder=Path("/f")).splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:])


def start(tmp_path: Path, text: str, **environment: str) -> subprocess.Popen[str]:
    """The script in a shell, with a ``sdar`` that records how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sdar").write_text(STUB)
    (folder / "sdar").chmod(0o755)
    (tmp_path / "job.sh").write_text(text)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "RECORD": str(tmp_path / "record"),
        **environment,
    }
    command = ["bash", str(tmp_path / "job.sh")]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True)


def test_a_shell_runs_it(tmp_path: Path) -> None:
    root = tmp_path / "my runs"
    storage = "postgresql://me@host/db?a=1&b=2"
    text = script(profile(tmp_path, FULL), "st", root=root, folder=tmp_path, storage=storage)
    with start(tmp_path, text) as process:
        assert process.wait(timeout=30) == 0
    record = (tmp_path / "record").read_text().splitlines()
    assert record == [str(tmp_path), "yes", "290", "sweep", "worker", "st", "--runs", str(root), "--storage", storage]


def test_the_worker_gets_the_signal_that_slurm_sends_to_the_shell(tmp_path: Path) -> None:
    text = script(profile(tmp_path, FULL), "st", root=tmp_path, folder=tmp_path)
    with start(tmp_path, text, STAY="yes") as process:
        while "ready" not in (tmp_path / "record").read_text() if (tmp_path / "record").exists() else True:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGUSR1)
        assert process.wait(timeout=30) == 138
    assert (tmp_path / "record").read_text().endswith("told\n")


def test_a_password_does_not_stand_in_the_script(tmp_path: Path) -> None:
    storage = "postgresql://me:secret@host/db"
    text = script(profile(tmp_path, "time: 60"), "st", root=tmp_path, folder=tmp_path, storage=storage)
    assert "secret" not in text and "--storage" not in text
    with start(tmp_path, text) as process:
        _, error = process.communicate(timeout=30)
    assert process.returncode != 0 and "set it to the URL of the database that holds the study" in error


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("partition: gpu", "FILE: the key 'time' is missing: set it"),
        ("partiton: gpu\ntime: 60", "FILE:1: there is no key 'partiton': did you mean 'partition'?"),
        ("time: 60\npartition: a b", "FILE:2: partition is 'a b', but must be one word: correct it"),
        ("time: soon", "FILE:1: time is 'soon', but must be a time such as 12:00:00 or 2-00:00:00: correct it"),
        (
            "time: 60\ngpus: many",
            "FILE:2: gpus is 'many', but must be a number, or kind:number such as a100:1: correct",
        ),
        ("time: 60\nmemory: 3X", "FILE:2: memory is '3X', but must be a size such as 32G: correct it"),
        ("time: 60\narray: 0", "FILE:2: array is 0, but must be a number of at least 1: correct the value"),
        ("time: 60\narray: 2\nat_once: 3", "FILE: at_once=3 is more than array=2: lower it, or leave it out"),
        ("time: 60\nsetup: [1.5]", "FILE:2: setup is 1.5, but must be a line of shell: correct it"),
        ("time: 60\nsbatch: [exclusive]", "FILE:2: sbatch is 'exclusive', but must be an option of sbatch such as"),
        ("time: 60\nsignal: 5", "FILE:2: signal is 5, but must be a number of at least 10: correct the value"),
        ("- time", "FILE holds no keys and values: write at least 'time: 12:00:00'"),
        ("time: [", "FILE:1 is not valid YAML"),
    ],
)
def test_errors(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        profile(tmp_path, text)
    assert str(error.value).replace(str(tmp_path / "profile.yaml"), "FILE").startswith(sentence)
    assert "\n" not in str(error.value)
