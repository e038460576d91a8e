"""``sdar resume``: an interrupted run goes on from its latest checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdar_cli.cli.launching import (
    DistOption,
    GraceOption,
    LauncherOption,
    NnodesOption,
    NprocOption,
    RdzvOption,
    run_or_launch,
)
from sdar_cli.cli.render import JsonOption, RunsOption, note
from sdar_cli.cli.trust_option import TrustOption, announce
from sdar_cli.errors import RunError, UserError

if TYPE_CHECKING:
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.training.events import Listener
    from sdar_cli.training.run import TrainResult


def resume(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]", help="A run; else the newest that can go on.")
    ] = None,
    runs: RunsOption = None,
    nproc: NprocOption = None,
    nnodes: NnodesOption = 1,
    rdzv: RdzvOption = None,
    launcher: LauncherOption = "torchrun",
    dist: DistOption = "ddp",
    grace: GraceOption = None,
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was interrupted, was killed or failed.

    Usage: sdar resume
    """
    from sdar_cli.launch.options import Launch, split_extra
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import runs_root

    named, extra = split_extra(words or [])
    if len(named) > 1:
        raise UserError(f"`sdar resume` goes on with one run, and {len(named)} are named: name {named[0]!r} alone")
    root = runs_root(runs)
    target = resolve_run(named[0], root) if named else _newest(root)
    if isinstance(target, ModelFolder):
        raise RunError(f"{target.name} is a model, not a run: start a run from it with `sdar train --init-from`")

    def run_here(display: Listener) -> TrainResult:
        from sdar_cli.training.run import resume as resume_run

        return resume_run(target, display=display)

    launch = Launch(nproc, nnodes, rdzv, launcher, dist, extra)
    again = ["resume", str(target.path), "--runs", str(root)]
    recipe = target.recipe()
    announce(recipe)
    run_or_launch(launch, again, recipe, run_here, as_json=as_json, grace=grace)


def _newest(root: Path) -> RunFolder:
    """The newest run that can go on, which is said."""
    from sdar_cli.launch.place import Place
    from sdar_cli.runs.auto import how_it_stands, newest_open

    is_main = Place.here().is_main
    run = newest_open(root, busy=not is_main)  # rank 0, whose choice it is, may hold the lock already
    if is_main:
        note(f"going on with {run.name} ({how_it_stands(run)})")
    return run
