"""Trainings as processes: their environment, the leash they are on, and who claims to be whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from worker_nursery import STANDIN, until

from sdar_cli.sweep.processes import Claimant


def test_environment_of_a_training(tmp_path):
    from sdar_cli.sweep.worker import Options

    assert Options(threads=2, gpu="1").environment == {
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert Options().environment == {}


def test_a_leash_holds_and_is_not_passed_on(tmp_path):
    """The training's parent dies without a word; its own children are free."""
    script = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from sdar_cli.sweep.leash import hold
try:
    hold()
    assert "SDAR_LEASH" not in os.environ
    print("held", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    open(sys.argv[2], "w").write("saved")
"""
    parent = """
import os, subprocess, sys, time
from sdar_cli.sweep.leash import leashed
subprocess.Popen(sys.argv[1:], env=os.environ | leashed(os.getpid()))
time.sleep(60)
"""
    saved = tmp_path / "saved"
    child = [sys.executable, "-c", script, str(STANDIN.parents[2]), str(saved)]
    with subprocess.Popen([sys.executable, "-c", parent, *child], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
    until(lambda: saved.exists() and saved.read_text() == "saved")


def test_a_leash_whose_holder_died_before_ends_the_process():
    environment = os.environ | {"SDAR_LEASH": "1"}
    command = [sys.executable, "-m", "sdar_cli.cli.main", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_a_claimant_is_told_from_others_of_its_pid():
    here = Claimant.here()
    assert not here.is_dead
    assert Claimant("w", here.host, here.machine, here.pid, here.birth + 1).is_dead
    assert not Claimant("w", here.host, "another machine", 1, 1).is_dead
    assert Claimant("w", here.host, here.machine, 2**22 + 1, 1).is_dead
