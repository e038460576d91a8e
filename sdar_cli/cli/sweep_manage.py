"""``sdar sweep worker|status|pause|resume|retry-failed|ls``: a study that was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, moment, note, print_json, print_table
from sdar_cli.cli.trust_option import TrustOption
from sdar_cli.errors import StudyError

if TYPE_CHECKING:
    from sdar_cli.sweep.store import StudyStore

StudyArgument = Annotated[
    str | None, typer.Argument(metavar="STUDY", help="A study's name or folder; else the newest.")
]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, max=256, metavar="K", help="Runs at a time, here.")]
StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SDAR_SWEEP_STORAGE",
        show_envvar=False,
        help="A database that machines share, postgresql://…; else a file under the runs.",
    ),
]


def add_commands(app: typer.Typer) -> None:
    commands = {
        "worker": worker,
        "status": status,
        "pause": pause,
        "resume": resume,
        "retry-failed": retry_failed,
        "ls": list_,
    }
    for name, command in commands.items():
        app.command(name)(command)


def worker(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's name or folder.")],
    runs: RunsOption = None,
    storage: StorageOption = None,
    trust_remote_code: TrustOption = False,
) -> None:
    """Work on a study until nothing is left; on any machine, as many as you like.

    Usage: sdar sweep worker STUDY
    """
    from sdar_cli.stop import STOP
    from sdar_cli.sweep.leash import hold
    from sdar_cli.sweep.shares import gpu_of, visible_gpus
    from sdar_cli.sweep.worker import Options
    from sdar_cli.sweep.worker import worker as work

    hold()
    store = _open(study, runs, storage)
    if (gpu := gpu_of(0)) is not None:
        note(
            f"a run uses one GPU: this worker's use {gpu} of {len(visible_gpus())}; all of them work under "
            f"`sdar sweep resume {_reference(store)} --jobs {len(visible_gpus())}`"
        )
    ending = work(store, Options(gpu=gpu, say=note))
    if ending == "paused":
        note(f"the study {store.spec.name} is paused: `sdar sweep resume {_reference(store)}` goes on")
    if ending == "interrupted":
        raise typer.Exit(STOP.code)


def status(
    study: StudyArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show changes until the study is over.")] = False,
    runs: RunsOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a study stands: cells by rank, runs at work, failures.

    Usage: sdar sweep status
    """
    from sdar_cli.cli.sweep_results import print_status

    store = _open(study, runs, storage)
    if watch:
        from sdar_cli.cli.sweep_display import watch as watch_study

        watch_study(store)
    print_status(store.view(), store.root, as_json=as_json)


def pause(
    study: StudyArgument = None,
    now: Annotated[bool, typer.Option("--now", help="Save and stop the runs at work; else they end first.")] = False,
    runs: RunsOption = None,
    storage: StorageOption = None,
) -> None:
    """Let all workers of a study leave, here and elsewhere.

    Usage: sdar sweep pause STUDY --now
    """
    store = _open(study, runs, storage)
    store.pause(now)
    when = "at once, their runs saved" if now else "when their runs are over"
    note(f"the workers of {store.spec.name} leave {when}; `sdar sweep resume {_reference(store)}` goes on")


def resume(
    study: StudyArgument = None,
    jobs: JobsOption = 1,
    runs: RunsOption = None,
    storage: StorageOption = None,
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a study on this machine: what is done is not run again, what was cut short is resumed.

    Usage: sdar sweep resume STUDY --jobs 2
    """
    from sdar_cli.cli.sweep_run import run_here

    store = _open(study, runs, storage)
    store.unpause()
    note(f"study {store.spec.name}")
    run_here(store, jobs, storage=storage, as_json=as_json)


def retry_failed(study: StudyArgument = None, runs: RunsOption = None, storage: StorageOption = None) -> None:
    """Let the failed runs of a study be run again.

    Usage: sdar sweep retry-failed STUDY
    """
    store = _open(study, runs, storage)
    number = store.forgive()
    if not number:
        note(f"no run of {store.spec.name} has failed")
        return
    runs_ = "1 run" if number == 1 else f"{number} runs"
    note(
        f"{runs_} of {store.spec.name} will be run again: by its workers, or by `sdar sweep resume {_reference(store)}`"
    )


def list_(runs: RunsOption = None, as_json: JsonOption = False) -> None:
    """List the studies, the newest last.

    Usage: sdar sweep ls
    """
    from sdar_cli.sweep.store import StudyStore
    from sdar_cli.sweep.study_folder import list_studies
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    rows: list[dict[str, object]] = []
    for folder in list_studies(root):
        try:
            view = StudyStore.open(str(folder), root).view()
        except StudyError as error:
            rows.append({"study": folder.name, "recipe": "-", "state": "unreadable", "error": str(error)})
            continue
        from sdar_cli.cli.sweep_results import study_state

        rows.append(
            {
                "study": view.spec.name,
                "recipe": view.spec.recipe,
                "cells": view.spec.total_cells,
                "seeds": len(view.spec.seeds),
                "done": view.counts.get("done", 0),
                "runs": view.total_runs,
                "state": study_state(view),
                "created": view.created,
            }
        )
    if as_json:
        print_json(rows)
    elif not rows:
        note(f"no studies in {root}: start one with `sdar sweep`")
    else:
        print_table(("study", "cells", "runs done", "state", "made"), map(_row, rows), ("cells", "runs done"))


def _row(study: dict) -> tuple[str, ...]:
    if "error" in study:
        return (study["study"], "-", "-", study["error"], "-")
    return (
        study["study"],
        str(study["cells"]),
        f"{study['done']}/{study['runs']}",
        study["state"],
        moment(study["created"]),
    )


def _open(study: str | None, runs: Path | None, storage: str | None) -> StudyStore:
    """The study that is meant: the newest where none is named."""
    from sdar_cli.sweep.store import StudyStore
    from sdar_cli.sweep.study_folder import list_studies, not_found
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    if study is None or study == "latest":
        studies = list_studies(root)
        if not studies:
            raise StudyError(not_found("latest", root))
        study = str(studies[-1])
    return StudyStore.open(study, root, storage)


def _reference(store: StudyStore) -> str:
    """The study as one names it on the command line."""
    from sdar_cli.tracking.location import runs_option

    return f"{store.spec.name}{runs_option(store.root)}"
