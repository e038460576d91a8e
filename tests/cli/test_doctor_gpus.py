"""``sdar doctor`` on a machine's GPUs, by stand-ins for torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sdar_cli.checkup import devices
from sdar_cli.checkup.finding import Finding


def torch_with(cards: list, *, peers: bool = True, nccl: bool = True, archs: list[str] | None = None):
    """What ``gpus`` asks of torch; a card is (name, major, minor, free GiB, total GiB)."""
    cuda = SimpleNamespace(
        is_available=lambda: bool(cards),
        device_count=lambda: len(cards),
        get_device_properties=lambda i: SimpleNamespace(name=cards[i][0], major=cards[i][1], minor=cards[i][2]),
        get_arch_list=lambda: archs if archs is not None else ["sm_80", "sm_90", "compute_90"],
        mem_get_info=lambda i: (cards[i][3] * 2**30, cards[i][4] * 2**30),
        can_device_access_peer=lambda a, b: peers,
        nccl=SimpleNamespace(version=lambda: (2, 27, 3)),
    )
    distributed = SimpleNamespace(is_available=lambda: True, is_nccl_available=lambda: nccl)
    return SimpleNamespace(cuda=cuda, distributed=distributed, version=SimpleNamespace(cuda="12.8"))


H100 = ("NVIDIA H100 80GB HBM3", 9, 0, 70, 80)


def seen(torch, driver: tuple[int, int] | None = (13, 0)) -> dict[str, Finding]:
    return {finding.subject: finding for finding in devices.gpus(torch, lambda: driver)}


def test_gpus_with_their_memory_and_links() -> None:
    found = seen(torch_with([H100, H100]))
    assert found["CUDA"].found == "torch for CUDA 12.8, driver for 13.0"
    assert found["GPU 1"].found == "NVIDIA H100 80GB HBM3, 70 of 80 GiB free, compute capability 9.0, bfloat16"
    assert found["NCCL"].found == "2.27.3"
    assert found["GPU links"].verdict == "ok"
    assert "GPU links" not in seen(torch_with([H100]))


def test_a_gpu_that_cannot_be_used_is_one_finding() -> None:
    torch = torch_with([H100, H100])

    def busy(index: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable\nFor debugging consider …")

    torch.cuda.mem_get_info = busy
    found = seen(torch)
    assert found["GPU 0"].verdict == found["GPU 1"].verdict == "problem"
    assert found["GPU 0"].found.endswith(
        "cannot be used: CUDA error: CUDA-capable device(s) is/are busy or unavailable"
    )
    assert found["NCCL"].verdict == "ok"


def test_several_gpus_that_do_not_go_together() -> None:
    found = seen(torch_with([H100] * 4, peers=False, nccl=False))
    assert found["GPU links"].verdict == "absent" and found["GPU links"].found.startswith("6 of 6 pairs")
    assert found["NCCL"].verdict == "problem"
    assert seen(torch_with([H100], nccl=False))["NCCL"].verdict == "absent"


def test_a_gpu_without_bfloat16_or_without_kernels() -> None:
    t4 = ("Tesla T4", 7, 5, 14, 15)
    old = seen(torch_with([t4], archs=["sm_75", "sm_80"]))["GPU 0"]
    assert old.verdict == "absent" and old.remedy == "set model.dtype=float32"
    assert seen(torch_with([t4]))["GPU 0"].verdict == "problem", "built for 8.0 and later"
    new = ("NVIDIA B200", 10, 0, 170, 179)
    assert seen(torch_with([new]))["GPU 0"].verdict == "ok", "compute_90 is compiled for it by the driver"
    assert seen(torch_with([new], archs=["sm_90a"]))["GPU 0"].verdict == "problem"
    minor = ("NVIDIA L40S", 8, 9, 44, 45)
    assert seen(torch_with([minor], archs=["sm_80"]))["GPU 0"].verdict == "ok"


def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nothing = torch_with([])
    old = seen(nothing, (11, 4))["GPU"]
    assert old.verdict == "problem" and old.found == "the driver is for CUDA 11.4, torch for 12.8"
    assert seen(nothing, None)["GPU"].found == "no NVIDIA driver"
    assert seen(nothing)["GPU"].found == "none visible to torch"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES=''" in seen(nothing)["GPU"].found
    nothing.version.cuda = None
    assert seen(nothing)["GPU"].found == "torch is a CPU build"


def test_a_driver_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str):
        raise OSError(name)

    monkeypatch.setattr(devices.ctypes, "CDLL", missing)
    assert devices.driver_version() is None
