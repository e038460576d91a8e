"""``sdar runs send``: what MLflow lacks of runs that are over."""

from __future__ import annotations

from typing import Annotated

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, note, print_json, print_table


def send(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Runs; else all that lack any.")] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send to MLflow what it lacks of runs that ended while it was away.

    Usage: sdar runs send latest
    """
    from sdar_cli.cli.runs import named
    from sdar_cli.runs.store import list_runs
    from sdar_cli.tracking.leftover import send, waiting
    from sdar_cli.tracking.location import is_own, redact, runs_option, runs_root

    root = runs_root(runs)
    asked = [named(name, root) for name in names or []]
    chosen = asked or [run for run in list_runs(root) if not run.lock().is_held() and waiting(run)]
    found = {}
    for run in chosen:
        store = run.state.tracking_uri or ""
        if run in asked or is_own(store, root):
            note(f"sending what MLflow lacks of {run.name}" + (f" to {redact(store)}" if store else ""))
            found[run.name] = send(run, note)
        else:  # somebody else's file may name any
            note(
                f"the MLflow store {redact(store)} of {run.name} is not that of this folder: to send there, say "
                f"`sdar runs send {run.name}{runs_option(root)}`"
            )
            found[run.name] = 0, waiting(run)
    if as_json:
        print_json({name: {"sent": sent, "left": left} for name, (sent, left) in found.items()})
    elif found:
        rows = [(name, str(sent), str(left)) for name, (sent, left) in found.items()]
        print_table(("run", "sent", "left"), rows, ("sent", "left"))
    else:
        note(f"MLflow lacks nothing of the runs in {root}")
    if any(left for _, left in found.values()):
        raise typer.Exit(1)
