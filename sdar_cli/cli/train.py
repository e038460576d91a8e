"""``sdar train``: a recipe, its overrides, and off it goes (or only the plan, with ``--dry-run``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.launching import (
    INTERRUPTED,
    DistOption,
    GraceOption,
    LauncherOption,
    NnodesOption,
    NprocOption,
    RdzvOption,
    SlurmOption,
    run_or_launch,
)
from sdar_cli.cli.render import JsonOption, RunsOption, print_json
from sdar_cli.cli.trust_option import TrustOption, announce, as_option
from sdar_cli.errors import UserError

__all__ = ["INTERRUPTED", "train"]

if TYPE_CHECKING:
    from sdar_cli.training.events import Listener
    from sdar_cli.training.run import TrainResult

GpuOption = Annotated[
    str | None, typer.Option("--gpu", metavar="NAME", help="With --dry-run: fit and hours on it, such as h100.")
]
GpuMemoryOption = Annotated[
    str | None, typer.Option("--gpu-memory", metavar="SIZE", help="With --dry-run: fit on a GPU of 80G, say.")
]
OverlayOption = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="YAML laid over the recipe; repeatable."),
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, for example gate.beta=5.")
]

ModelOption = Annotated[str | None, typer.Option("--model", metavar="PATH", help="A Hugging Face folder or id.")]
DataOption = Annotated[str | None, typer.Option("--data", metavar="PATH", help="The environment's data folder.")]


def train(
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="A shipped recipe's name, or a file.")],
    overrides: OverridesArgument = None,
    overlays: OverlayOption = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="An objective: see `sdar methods`.")] = None,
    init_from: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A run or Hugging Face folder whose weights RL starts from."),
    ] = None,
    model: ModelOption = None,
    data: DataOption = None,
    seed: Annotated[int | None, typer.Option(help="The seed of everything.")] = None,
    runs: RunsOption = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="MLflow store; else MLFLOW_TRACKING_URI, else under the runs."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; else recipe, time and four digits.")] = None,
    auto_resume: Annotated[
        bool, typer.Option("--auto-resume", help="Go on with the run of this --name, or else of equal settings.")
    ] = False,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="A name that runs share, to find them by.")] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Shown with the run.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag in MLflow; repeatable.")
    ] = None,
    nproc: NprocOption = None,
    nnodes: NnodesOption = 1,
    rdzv: RdzvOption = None,
    launcher: LauncherOption = "torchrun",
    dist: DistOption = "ddp",
    slurm: SlurmOption = None,
    grace: GraceOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")] = False,
    gpu: GpuOption = None,
    gpu_memory: GpuMemoryOption = None,
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train an agent from a recipe.

    Usage: sdar train --recipe quickstart gate.beta=10 --seed 3

    Told to leave, it saves, says how to go on, and ends with the exit code 130 (Ctrl-C), 143 (SIGTERM) or 138
    (SIGUSR1). Told so twice, it leaves at once, and goes on from its last checkpoint.
    """
    from sdar_cli.launch.options import Launch, split_extra
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.tracking.location import runs_root

    overrides, extra = split_extra(overrides or [])
    launch = Launch(nproc, nnodes, rdzv, launcher, dist, extra)
    root = runs_root(runs)
    given: dict[str, tuple[str, Any]] = {
        "method": ("--method", method),
        "init_from": ("--init-from", init_from),
        "model.path": ("--model", model),
        "environment.options.data": ("--data", data),
        "seed": ("--seed", seed),
        "tracking.uri": ("--tracking-uri", tracking_uri),
        "tracking.group": ("--group", group),
        "tracking.note": ("--note", note),
        "tracking.tags": ("--tag", _tags(tags or [])),
    }
    options = {key: value for key, value in given.items() if value[1] is not None} | as_option(trust_remote_code)
    resolved = load_recipe(recipe, overlays or [], overrides, options)
    announce(resolved.recipe)
    command = _command(recipe, overlays or [], overrides, options, runs, name, auto_resume)
    command += [] if grace is None else ["--grace", f"{grace:g}"]
    if dry_run or slurm is not None:
        from sdar_cli.launch.dist import check_recipe

        launch.check() if slurm is None else launch.check_profile_alone()
        check_recipe(dist, resolved.recipe)
    if dry_run:
        from sdar_cli.cli.train_plan import print_plan, processes_here
        from sdar_cli.recipe.estimate import Processes
        from sdar_cli.recipe.gpus import find_gpu
        from sdar_cli.recipe.plan import Plan
        from sdar_cli.rollout.recorded import check_recording

        check_recording(resolved.recipe)
        if slurm is not None:
            from sdar_cli.launch.slurm import read_profile

            profile = read_profile(slurm)
            count = profile.processes * profile.nodes
            command += [*launch.own_words, "--slurm", str(slurm)]
        else:
            own = processes_here(launch)
            count = own * nnodes
            command += launch.own_words
            if launch.is_several:
                command = launch.words(own, command[1:])
            elif nproc == 1:  # unsaid, it would be one a visible GPU
                command += ["--nproc", "1"]
        plan = Plan.make(resolved, command, Processes(count, dist), find_gpu(gpu, gpu_memory))
        print_json(plan.to_json()) if as_json else print_plan(plan)
        return
    if gpu is not None or gpu_memory is not None:
        raise UserError("--gpu and --gpu-memory are about the estimates of --dry-run: add it, or leave them out")

    if slurm is not None:
        from sdar_cli.launch.slurm import read_profile, script
        from sdar_cli.runs.store import check_name

        if name is None:
            raise UserError(
                "--slurm needs the run's name, under which the job goes on when it is submitted again: --name"
            )
        check_name(name)
        where = {"run": root / name, "folder": Path.cwd()}
        text = script(read_profile(slurm), command, launch.own_words, **where)
        print_json({"script": text}) if as_json else print(text, end="")
        return

    def run_here(display: Listener) -> TrainResult:
        if auto_resume:
            from sdar_cli.training.auto_resume import train_or_resume as run_training
        else:
            from sdar_cli.training.run import train as run_training

        return run_training(resolved, root=root, name=name, display=display)

    run_or_launch(launch, command[1:], resolved.recipe, run_here, as_json=as_json, grace=grace)


def _tags(words: list[str]) -> dict[str, str] | None:
    """``KEY=VALUE`` words as a mapping; None where there is none."""
    pairs = [word.partition("=") for word in words]
    for word, (key, separator, _) in zip(words, pairs, strict=True):
        if not separator or not key.strip():
            raise UserError(f"--tag {word!r} is no tag: write KEY=VALUE, for example --tag owner=lee")
    return {key.strip(): value for key, _, value in pairs} or None


def _command(
    recipe: str,
    overlays: list[Path],
    overrides: list[str],
    options: dict[str, tuple[str, Any]],
    runs: Path | None,
    name: str | None,
    auto_resume: bool,
) -> list[str]:
    """The command that trains what the dry run showed."""
    words = ["sdar", "train", "--recipe", recipe]
    for overlay in overlays:
        words += ["-c", str(overlay)]
    for option, value in options.values():
        if value is True:
            words.append(option)
            continue
        values = [f"{key}={text}" for key, text in value.items()] if isinstance(value, dict) else [str(value)]
        words += [word for text in values for word in (option, text)]
    if runs is not None:
        words += ["--runs", str(runs)]
    if name is not None:
        words += ["--name", name]
    return words + ["--auto-resume"] * auto_resume + overrides
