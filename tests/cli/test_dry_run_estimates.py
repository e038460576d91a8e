from __future__ import annotations

import json

import pytest

from sdar_cli.checkup import devices
from sdar_cli.cli.main import main
from sdar_cli.recipe.gpus import GIB

WORDS = ["train", "--recipe", "alfworld-qwen3-1.7b", "--dry-run"]


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main([*WORDS, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_gpu_is_fitted_and_timed(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--gpu", "h100", "engine.gpu_memory=0.5")
    assert found["memory_peak"] == {
        "phase": "updates",
        "bytes": sum(p["amount"] for p in found["memory"] if "updates" in p["when"]),
    }
    assert found["fit"]["gpu"] == "h100" and not found["fit"]["fits"] and found["fit"]["left_bytes"] < 0
    mended = plan(capsys, "--gpu", "h100", found["fit"]["remedy"])
    assert mended["fit"]["fits"] and mended["fit"]["remedy"] is None
    hours = found["hours"]
    assert hours["usual"] < hours["most"] and hours["evaluations"] == 33
    assert [part["name"] for part in hours["step_seconds"]] == ["generation", "environment", "scoring", "updates"]
    assert any("989 TFLOP/s" in line for line in hours["assumed"])


def test_without_a_gpu_there_is_memory_alone(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys)
    assert found["fit"] is None and found["hours"] is None and found["memory_peak"]["bytes"] > 30 * GIB
    by_size = plan(capsys, "--gpu-memory", "160G")
    assert by_size["fit"]["fits"] and by_size["fit"]["gpu_bytes"] == 160 * GIB and by_size["hours"] is None


def test_processes_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--nproc", "4", "--nnodes", "2", "--rdzv", "a:1", "--dist", "fsdp2", "--gpu", "h100")
    assert found["processes"] == {"count": 8, "dist": "fsdp2"}
    weights = next(part for part in found["memory"] if part["name"] == "weights")
    assert weights["amount"] == 4 * 1_720_574_976 // 8 and weights["formula"].endswith("/ 8 processes")


def test_without_a_number_a_run_takes_every_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "visible_gpus", lambda: 4)
    found = plan(capsys, "--dist", "fsdp2")
    assert found["processes"] == {"count": 4, "dist": "fsdp2"} and found["command"][0] == "sdar"
    both = plan(capsys, "--nnodes", "2", "--rdzv", "a:1")
    assert both["processes"]["count"] == 8 and "--nproc-per-node=4" in both["command"]
    one = plan(capsys, "--nproc", "1")
    assert one["processes"]["count"] == 1 and one["command"][-2:] == ["--nproc", "1"]
    assert main(WORDS) == 0
    out = capsys.readouterr().out
    assert "\nprocesses 4, --dist ddp\n" in out and "each of 4 devices" in out
    monkeypatch.setattr(devices, "visible_gpus", lambda: 0)
    assert main(WORDS) == 0
    assert "\nprocesses 1\n" in capsys.readouterr().out


def test_the_driver_is_asked_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        started = 0

        def cuInit(self, flags: int) -> int:
            return self.started

        def cuDeviceGetCount(self, count: object) -> int:
            count._obj.value = 3
            return 0

    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: Driver())
    assert devices.visible_gpus() == 3
    monkeypatch.setattr(Driver, "started", 100)
    assert devices.visible_gpus() == 0, "there is a driver and no GPU"
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: object())
    assert devices.visible_gpus() == 0


def test_the_plan_in_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*WORDS, "engine.gpu_memory=0.5", "--gpu", "h100"]) == 0
    out = capsys.readouterr().out
    lines = "\nfits      no, ", "\nvLLM      room for ", "\nchange    engine.gpu_memory="
    for words in ("most at once", *lines, "at most"):
        assert words in out
    assert "an estimate: a factor of two off is usual" in out and "\nassumed   989 TFLOP/s" in out
    tables = out[out.index("Tokens of a step") : out.index("assumed")]
    assert max(map(len, tables.splitlines())) <= 100, "sentences are not cut, tables keep to the width"
    assert main([*WORDS, "--gpu-memory", "160G"]) == 0
    out = capsys.readouterr().out
    assert "\nfits      " in out and "to spare" in out and "Hours: unknown" in out
    assert main(WORDS) == 0
    assert "add --gpu h100" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dry-run", "--gpu", "tpu"], "choose b200"),
        (["--dry-run", "--gpu", "a100"], "a100-40 or a100-80"),
        (["--dry-run", "--gpu-memory", "lots"], "80G"),
        (["--gpu", "h100"], "--dry-run"),
    ],
)
def test_what_makes_no_sense(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["train", "--recipe", "quickstart", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
