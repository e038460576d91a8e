"""``sdar ui``: MLflow at the store the runs went to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdar_cli.cli.render import RunsOption, note


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="The store; else the newest run's, else as for training."),
    ] = None,
    expose: Annotated[bool, typer.Option("--expose", help="Allow a --host that others can reach.")] = False,
    runs: RunsOption = None,
) -> None:
    """Open MLflow at the store the runs went to.

    Usage: sdar ui --port 5001
    """
    from sdar_cli.tracking.location import redact, runs_root
    from sdar_cli.tracking.server import Server, check_host, check_port, check_store

    check_host(host, expose)
    root = runs_root(runs)
    uri = _store(tracking_uri, root)
    if uri.startswith(("http://", "https://")):
        note("the runs are tracked by a server that is there already; open it at")
        print(redact(uri))
        return
    check_store(uri)
    check_port(host, port)
    note(f"starting MLflow at {redact(uri)} …")
    with Server(uri, host, port, root) as server:
        server.wait_until_ready()
        print(server.url, flush=True)
        note("Ctrl-C ends it")
        server.wait()


def _store(flag: str | None, root: Path) -> str:
    from sdar_cli.runs.store import list_runs
    from sdar_cli.tracking.location import tracking_uri

    if flag is None:
        used = [run.state.tracking_uri for run in list_runs(root)]
        if used and used[-1] is not None:
            return used[-1]
    return tracking_uri(flag, root)
