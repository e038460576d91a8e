"""``sdar resume``: an interrupted run goes on from its latest checkpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from sdar_cli.cli.render import JsonOption, RunsOption
from sdar_cli.errors import RunError


def resume(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; else the latest.")] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with an interrupted run.

    Usage: sdar resume latest
    """
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import runs_root

    target = resolve_run(run, runs_root(runs))
    if isinstance(target, ModelFolder):
        raise RunError(f"{target.name} is a model, not a run: start a run from it with `sdar train --init-from`")

    from sdar_cli.cli.display import Display, may_download
    from sdar_cli.cli.results import print_training
    from sdar_cli.cli.train import INTERRUPTED

    with Display(downloads=may_download(target.recipe())) as display:
        from sdar_cli.training.run import resume as resume_run

        result = resume_run(target, display=display)
    print_training(result, as_json=as_json)
    if result.report is None:
        raise typer.Exit(INTERRUPTED)
