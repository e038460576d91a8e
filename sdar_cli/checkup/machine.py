"""The machine around Python: compilers, shared memory, limits, and room on disks."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from sdar_cli.checkup.finding import Finding
from sdar_cli.paths import cache_root

GIB = 2**30
NEEDED_BYTES = 5 * GIB
SHARED_BYTES = GIB
"""Of /dev/shm, through which NCCL and vLLM's processes speak; containers are given 64 MiB unless told otherwise."""
FILES = 4096
"""Open files: a server has up to 256 connections, a worker some pipes."""


def tools() -> Iterator[Finding]:
    for tool, package in (("g++", "g++"), ("make", "make")):
        path = shutil.which(tool)
        if path is not None:
            yield Finding(tool, "ok", path)
        else:
            remedy = f"to install ALFWorld's engine: install {package} with the system's package manager"
            yield Finding(tool, "absent", "not found", remedy)


def limits() -> Iterator[Finding]:
    yield shared_memory(Path("/dev/shm"))
    yield open_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def shared_memory(folder: Path) -> Finding:
    if not folder.is_dir():
        remedy = "for several processes and for vLLM: mount a tmpfs there"
        return Finding("shared memory", "absent", f"no {folder}", remedy)
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free in {folder}"
    if usage.free < SHARED_BYTES:
        remedy = "for several processes and for vLLM: start the container with --shm-size=16g, or empty it"
        return Finding("shared memory", "absent", found, remedy)
    return Finding("shared memory", "ok", found)


def open_files(soft: int, hard: int) -> Finding:
    unlimited = resource.RLIM_INFINITY
    found = "no limit" if soft == unlimited else f"{soft} at a time"
    if soft == unlimited or soft >= FILES:
        return Finding("open files", "ok", found)
    if hard == unlimited or hard >= FILES:
        remedy = f"for many workers and for servers: ulimit -n {65536 if hard == unlimited else min(hard, 65536)}"
    else:
        remedy = f"for many workers and for servers: raise nofile to {FILES} in /etc/security/limits.conf"
    return Finding("open files", "absent", found, remedy)


def room(runs_root: Path, needed: int = NEEDED_BYTES) -> Iterator[Finding]:
    """Of the runs folder, which shall hold ``needed`` bytes, and of the cache."""
    places = (("runs folder", runs_root, "--runs or SDAR_RUNS", max(needed, NEEDED_BYTES)),)
    for subject, folder, setting, least in (*places, ("cache", cache_root(), "SDAR_CACHE", NEEDED_BYTES)):
        there = _nearest_existing(folder)
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            remedy = f"make it writable, or name another with {setting}"
            yield Finding(subject, "problem", f"{folder} cannot be written", remedy)
            continue
        free = shutil.disk_usage(there).free
        found = f"{folder}, {free / GIB:.0f} GiB free"
        if free < least:
            remedy = f"free {least / GIB:,.0f} GiB, or name another with {setting}"
            yield Finding(subject, "problem", found, remedy)
        else:
            yield Finding(subject, "ok", found)


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
