"""What ``train`` and ``resume`` share: the options that say how many processes a run is, and running as one of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdar_cli.cli.render import note
from sdar_cli.launch.dist import Dist
from sdar_cli.launch.options import Launch, Launcher
from sdar_cli.launch.place import Place

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.training.events import Listener
    from sdar_cli.training.run import TrainResult

INTERRUPTED = 130
"""Exit code of what Ctrl-C stopped; SIGTERM and SIGUSR1 have their own (``sdar_cli.stop``)."""
PANEL = "Processes"

NprocOption = Annotated[
    int | None,
    typer.Option("--nproc", min=1, metavar="N", rich_help_panel=PANEL, help="Of this machine; else one a visible GPU."),
]
NnodesOption = Annotated[
    int, typer.Option("--nnodes", min=1, metavar="N", rich_help_panel=PANEL, help="Machines; each runs this command.")
]
RdzvOption = Annotated[
    str | None,
    typer.Option("--rdzv", metavar="HOST:PORT", rich_help_panel=PANEL, help="Where several machines meet."),
]
LauncherOption = Annotated[
    Launcher,
    typer.Option("--launcher", rich_help_panel=PANEL, help="What starts processes; words behind -- are for it."),
]
DistOption = Annotated[
    Dist,
    typer.Option("--dist", rich_help_panel=PANEL, help="Weights whole on each process (ddp), or in parts."),
]
GraceOption = Annotated[
    float | None,
    typer.Option(
        "--grace",
        min=0,
        metavar="SECONDS",
        help="To save in after Ctrl-C (exit code 130), SIGTERM (143) or SIGUSR1 (138); else SDAR_GRACE, else 60.",
    ),
]
SlurmOption = Annotated[
    Path | None,
    typer.Option("--slurm", metavar="FILE", rich_help_panel=PANEL, help="Print a batch script for this profile."),
]


def run_or_launch(
    launch: Launch,
    words: Sequence[str],
    recipe: Recipe,
    work: Callable[[Listener], TrainResult],
    *,
    as_json: bool,
    grace: float | None = None,
) -> None:
    """Run here, alone or as one of a launcher's processes; or start these with the same command, and end as they do.

    Args:
        words: the command without ``sdar``, and without the options of this module.
        work: the run, told where its progress goes.
        grace: ``--grace``.
    """
    from sdar_cli.launch import agent, dist, extras
    from sdar_cli.stop import STOP, VARIABLE, take_grace

    take_grace(grace)
    dist.check_recipe(launch.dist, recipe)
    extras.check(recipe, launch.dist)
    if not Place.here().launched:
        nproc = agent.processes(launch)
        if agent.is_needed(launch, nproc):
            more = ["--json"] * as_json + ["--debug"] * ("--debug" in sys.argv)
            os.environ[VARIABLE] = f"{STOP.grace:g}"
            raise typer.Exit(agent.start(launch.words(nproc, [*words, *launch.own_words, *more])))
    if Place.here().world > 1:  # one process has nobody to divide with
        dist.apply(launch.dist)

    from sdar_cli.cli.results import print_training
    from sdar_cli.training import ranks

    with ranks.session():
        _warn_of_memory(recipe, launch)
        with _display(recipe) as display:
            result = work(display)
        ranks.from_main(lambda: print_training(result, as_json=as_json))
        if result.report is None:
            raise typer.Exit(STOP.code)


def _warn_of_memory(recipe: Recipe, launch: Launch) -> None:
    """Rank 0 says that its GPU has too little memory, if an estimate has it so; the run is not refused."""
    from sdar_cli.checkup.room import too_large
    from sdar_cli.recipe.estimate import Processes

    place = Place.here()
    if place.is_main and (words := too_large(recipe, Processes(place.world, launch.dist), place.local_rank)):
        note(words)


@contextmanager
def _display(recipe: Recipe) -> Iterator[Listener]:
    """Rank 0 shows the progress of all; the others are silent."""
    from sdar_cli.cli.display import Display, may_download
    from sdar_cli.training.events import Listener

    if Place.here().is_main:
        with Display(downloads=may_download(recipe)) as display:
            yield display
        return
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with redirect_stdout(sys.stderr):
        yield Listener()
