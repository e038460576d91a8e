"""What one recipe needs of this machine: its model, engine, environment, memory, store and room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sdar_cli.checkup.devices import devices
from sdar_cli.checkup.engines import quantisation, vllm
from sdar_cli.checkup.finding import Finding, from_sentence
from sdar_cli.checkup.machine import limits, room
from sdar_cli.checkup.model import model
from sdar_cli.checkup.packages import packages, python
from sdar_cli.checkup.server import server
from sdar_cli.checkup.services import mlflow_store
from sdar_cli.errors import ModelError, SdarError
from sdar_cli.launch.dist import DEFAULT, Dist, check_recipe, check_zero3
from sdar_cli.recipe.estimate import Processes
from sdar_cli.recipe.fit import fit
from sdar_cli.recipe.gpus import GIB, Gpu, named_like
from sdar_cli.recipe.hours import hours
from sdar_cli.recipe.memory import memory
from sdar_cli.recipe.memory_case import recipe_shape
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape

SMALL = 100_000_000
"""Parameters up to which a model is trained without a GPU."""


def examine_recipe(recipe: Recipe, runs_root: Path, nproc: int | None = None, dist: Dist = DEFAULT) -> list[Finding]:
    """All findings, in the order of the table.

    Args:
        nproc: processes of the run; None: one a visible GPU.
    """
    gpus = present_gpus()
    return [
        *python(),
        *packages(),
        *devices(),
        model(recipe, runs_root),
        *engine(recipe),
        *division(recipe, dist),
        environment(recipe),
        *size(recipe, gpus, nproc, dist),
        *limits(),
        *room(runs_root, kept_bytes(recipe)),
        mlflow_store(recipe.tracking.uri, runs_root),
    ]


def engine(recipe: Recipe) -> Iterator[Finding]:
    """vLLM here, or the servers; and what quantised weights need."""
    own = recipe.engine
    if own.kind == "hf":
        yield Finding("engine", "ok", "Hugging Face's generate")
    elif own.mode == "colocate":
        found = vllm()
        if found.verdict == "absent":
            remedy = "pip install 'sdar[vllm]', or set engine.kind=hf, which is slower"
            found = Finding("vLLM", "problem", "not installed, and engine.kind=vllm colocates it", remedy)
        yield found
    else:
        for url in own.urls:
            yield server(recipe, url)
    if recipe.model.lora is not None and recipe.model.lora.quantise is not None:
        found = quantisation()
        if found.verdict == "absent":
            remedy = "pip install 'sdar[qlora]', or set model.lora.quantise=null"
            found = Finding(found.subject, "problem", "not installed, and model.lora.quantise needs it", remedy)
        yield found


def division(recipe: Recipe, dist: Dist) -> Iterator[Finding]:
    """Whether weights can be divided like this, and what does it is installed; nothing where they are not divided."""
    if dist == DEFAULT:
        return
    try:
        check_recipe(dist, recipe)
        if dist == "zero3":
            check_zero3()
    except SdarError as error:
        yield from_sentence("weights in parts", str(error))
    else:
        yield Finding("weights in parts", "ok", f"--dist {dist}")


def environment(recipe: Recipe) -> Finding:
    """Whether its data are there for both of the splits that are used, and its servers answer."""
    from sdar_cli.environments import build_environment

    section = recipe.environment
    subject = f"environment {section.name}" if len(section.name) <= 20 else "environment"
    try:
        made = build_environment(section)
        try:
            counts = len(made.tasks("train")), len(made.tasks(recipe.evaluation.split))
            made.check()
        finally:
            made.close()
    except SdarError as error:
        return from_sentence(subject, str(error))
    if counts[1] < recipe.evaluation.tasks:
        found = f"{counts[1]} tasks of {recipe.evaluation.split}, and evaluation.tasks={recipe.evaluation.tasks}"
        return Finding(subject, "problem", found, f"lower evaluation.tasks to {counts[1]}, or bring more data")
    return Finding(subject, "ok", f"{counts[0]:,} tasks to train on, {counts[1]:,} of {recipe.evaluation.split}")


def size(recipe: Recipe, gpus: list[Gpu], nproc: int | None = None, dist: Dist = DEFAULT) -> Iterator[Finding]:
    """Memory and hours on the GPUs that are here, a process each.

    Args:
        nproc: processes; None: one a GPU.
    """
    subject = "GPU memory"
    processes = Processes(nproc or max(1, len(gpus)), dist)
    if 0 < len(gpus) < processes.count:
        found = f"--nproc {processes.count} is more than the {len(gpus)} visible GPUs"
        yield Finding("processes", "problem", found, "lower it, or train on a machine with more")
    shape = _shape(recipe)
    if shape is None:
        remedy = "give a folder with its config.json: --model FOLDER"
        yield Finding(subject, "absent", "not known, as the model's shape is not", remedy)
        return
    if not gpus:
        if shape.parameters <= SMALL:
            yield Finding(subject, "ok", "not needed: the model is small enough for a CPU")
            return
        colocated = recipe.engine.kind == "vllm" and recipe.engine.mode == "colocate"
        beside = ", vLLM's share not counted" if colocated else ""
        found = f"{memory(recipe, processes).peak / GIB:.1f} GiB needed{beside}, and there is no GPU"
        yield Finding(subject, "problem", found, "train on a machine with a GPU; docs/sizing.md says of which size")
        return
    smallest = min(gpus, key=lambda gpu: gpu.memory)
    fitting = fit(recipe, smallest, processes)
    found = f"{fitting.memory.peak / GIB:.1f} GiB needed at once, {smallest.memory / GIB:.1f} GiB on {smallest.name}"
    if fitting.sequences is not None and fitting.sequences < 1:
        found += ", and no cache fits into vLLM's share"
    verdict = "ok" if fitting.fits else "problem"
    yield Finding(subject, verdict, f"{found}{_each(processes)}", _set(fitting.remedy, len(gpus)))
    time = hours(recipe, smallest, processes)
    if time is not None:
        span = f"about {time.usual / 3600:,.1f}, at most {time.most / 3600:,.1f}"
        yield Finding("hours", "ok", f"{span}, on {processes.count} × {smallest.name}")


def _each(processes: Processes) -> str:
    """How many processes need it, where that is not one."""
    if processes.count == 1:
        return ""
    how = "" if processes.dist == DEFAULT else f" with --dist {processes.dist}"
    return f", for each of {processes.count} processes{how}"


def _set(remedy: str, gpus: int) -> str:
    """The remedy as a sentence, which says where there are not as many GPUs here as it needs."""
    if not remedy:
        return ""
    asked = re.search(r"--nproc (\d+)", remedy)
    elsewhere = f", on a machine with {asked[1]} GPUs" if asked and int(asked[1]) > gpus else ""
    return f"{'' if remedy.startswith('take ') else 'set '}{remedy}{elsewhere}"


def present_gpus() -> list[Gpu]:
    """Those that torch sees, with the speed of the table's GPU of their name."""
    import torch

    if not torch.cuda.is_available():
        return []
    out = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        like = named_like(card.name)
        speed = (like.bfloat16, like.float32, like.bandwidth) if like else (None, None, None)
        out.append(Gpu(card.name, card.total_memory, *speed))
    return out


def kept_bytes(recipe: Recipe) -> int:
    """Of a run's checkpoints, the one included that is being written: weights, and two moments of what trains."""
    shape = _shape(recipe)
    if shape is None:
        return 0
    lora = recipe.model.lora
    trained = shape.lora_parameters(lora) if lora else shape.parameters
    return (recipe.train.keep_checkpoints + recipe.train.keep_best + 1) * 3 * 4 * trained


def _shape(recipe: Recipe) -> Shape | None:
    """The model's; None too where its folder is damaged, which is a finding of its own."""
    try:
        return recipe_shape(recipe)
    except ModelError:
        return None
