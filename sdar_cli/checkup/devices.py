"""Processors and GPUs: memory that is free, what they compute in, whether driver, torch and NCCL go together."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from sdar_cli.checkup.finding import Finding

BFLOAT16 = (8, 0)
"""First compute capability whose tensor cores have bfloat16."""


def devices() -> Iterator[Finding]:
    yield Finding("CPU", "ok", f"{len(os.sched_getaffinity(0))} cores, {_memory()} of memory")
    if find_spec("torch") is None:
        return
    import torch

    yield from gpus(torch, driver_version)


def gpus(torch: Any, driver: Callable[[], tuple[int, int] | None]) -> Iterator[Finding]:
    """What torch sees of GPUs.

    Args:
        torch: the module.
        driver: the CUDA version that NVIDIA's driver serves; None: there is none.
    """
    if not torch.cuda.is_available():
        yield _without_gpus(torch.version.cuda, driver)
        return
    built = f"torch for CUDA {torch.version.cuda}"
    serves = driver()
    yield Finding("CUDA", "ok", built if serves is None else f"{built}, driver for {_dotted(serves)}")
    count = torch.cuda.device_count()
    for index in range(count):
        yield _gpu(torch, index)
    yield from _nccl(torch, count)
    if count > 1:
        yield _links(torch, count)


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver serves, asked of the driver's own library."""
    version = ctypes.c_int(0)
    try:
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return version.value // 1000, version.value % 1000 // 10


def visible_gpus() -> int:
    """How many GPUs a process may use, asked of the driver's own library, which heeds CUDA_VISIBLE_DEVICES."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value


def _without_gpus(built: str | None, driver: Callable[[], tuple[int, int] | None]) -> Finding:
    if built is None:
        return Finding("GPU", "absent", "torch is a CPU build", "on a GPU machine, install a CUDA build of torch")
    serves = driver()
    if serves is None:
        remedy = "on a GPU machine, install NVIDIA's driver; in a container, give it the GPUs (--gpus all)"
        return Finding("GPU", "absent", "no NVIDIA driver", remedy)
    if serves[0] < int(built.split(".")[0]):
        found = f"the driver is for CUDA {_dotted(serves)}, torch for {built}"
        return Finding("GPU", "problem", found, f"update the driver, or install torch for CUDA {serves[0]}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = f"none visible, CUDA_VISIBLE_DEVICES={hidden!r}"
        return Finding("GPU", "absent", found, "unset CUDA_VISIBLE_DEVICES, or name GPUs that nvidia-smi lists")
    return Finding("GPU", "absent", "none visible to torch", "see what nvidia-smi says")


def _gpu(torch: Any, index: int) -> Finding:
    card = torch.cuda.get_device_properties(index)
    capability = (card.major, card.minor)
    subject = f"GPU {index}"
    if not _has_kernels(torch.cuda.get_arch_list(), capability):
        found = f"{card.name}, compute capability {_dotted(capability)}, for which torch has no kernels"
        return Finding(subject, "problem", found, "install a build of torch for this GPU, see pytorch.org")
    try:
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:  # another process has it for itself, or it is broken
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return Finding(subject, "problem", f"{card.name} cannot be used: {first}", "see with nvidia-smi what holds it")
    memory = f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
    found = f"{card.name}, {memory}, compute capability {_dotted(capability)}"
    if capability < BFLOAT16:
        return Finding(subject, "absent", f"{found}, without bfloat16", "set model.dtype=float32")
    return Finding(subject, "ok", f"{found}, bfloat16")


def _has_kernels(built: list[str], capability: tuple[int, int]) -> bool:
    """Binary code runs on later minors of its major, PTX on everything later."""
    for name in built:
        kind, _, digits = name.partition("_")
        digits = digits.rstrip("af")
        if not digits.isdigit():
            continue
        own = (int(digits[:-1]), int(digits[-1]))
        if own <= capability and (kind == "compute" or own[0] == capability[0]):
            return True
    return not built


def _nccl(torch: Any, count: int) -> Iterator[Finding]:
    if torch.distributed.is_available() and torch.distributed.is_nccl_available():
        yield Finding("NCCL", "ok", ".".join(map(str, torch.cuda.nccl.version())))
    else:
        verdict = "problem" if count > 1 else "absent"
        remedy = "for several GPUs: install a CUDA build of torch, which brings it"
        yield Finding("NCCL", verdict, "torch is built without it", remedy)


def _links(torch: Any, count: int) -> Finding:
    apart = [(a, b) for a in range(count) for b in range(a + 1, count) if not torch.cuda.can_device_access_peer(a, b)]
    if not apart:
        return Finding("GPU links", "ok", f"each of the {count} reads the others' memory")
    first = f"{apart[0][0]} and {apart[0][1]}"
    found = f"{len(apart)} of {count * (count - 1) // 2} pairs cannot read each other's memory, first {first}"
    remedy = (
        "exchange goes through the host, slower: choose GPUs with links, CUDA_VISIBLE_DEVICES=…, see nvidia-smi topo"
    )
    return Finding("GPU links", "absent", found, remedy)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _memory() -> str:
    import psutil

    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
