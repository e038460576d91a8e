"""``sdar ui``: MLflow at the store the runs went to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdar_cli.cli.render import RunsOption, confirm, note


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="The store; else the newest run's (asks first where it is not this folder's), else as for training.",
        ),
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Allow a --host that others can reach; they are asked for a token.")
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show the page in the browser as well.")] = False,
    runs: RunsOption = None,
) -> None:
    """Serve MLflow at the store the runs went to; the address leads to the last study, or to the newest run's
    experiment.

    Usage: sdar ui --port 5001 --open
    """
    from sdar_cli.servers.guard import is_loopback
    from sdar_cli.tracking.landing import landing, root_of
    from sdar_cli.tracking.location import redact, runs_root
    from sdar_cli.tracking.server import Server, check_host, check_port, check_store

    check_host(host, expose)
    root = runs_root(runs)
    uri = _store(tracking_uri, root)
    if uri.startswith(("http://", "https://")):
        note("the runs are tracked by a server that is there already; open it at")
        page = landing(uri)
        print(page if page != root_of(uri) else redact(uri))
        _show(page, open_)
        return
    check_store(uri)
    check_port(host, port)
    note(f"starting MLflow at {redact(uri)} …")
    if not is_loopback(host):
        _serve_guarded(uri, host, port, root)
        return
    with Server(uri, host, port, root) as server:
        server.wait_until_ready()
        page = landing(server.url)
        print(page, flush=True)
        note("Ctrl-C ends it")
        _show(page, open_)
        server.wait()


def _serve_guarded(uri: str, host: str, port: int, root: Path) -> None:
    """MLflow on loopback, and before it what asks for the token."""
    import secrets

    from sdar_cli.servers.front import Front
    from sdar_cli.servers.token import UI, token
    from sdar_cli.tracking.landing import landing, root_of
    from sdar_cli.tracking.server import Server, free_port

    given = token(UI)
    secret = given or secrets.token_hex(16)
    with Server(uri, "127.0.0.1", free_port(), root) as server:
        server.wait_until_ready()
        with Front(host, port, server.url, secret) as front:
            page = landing(server.url)
            print(front.url + page.removeprefix(root_of(server.url)), flush=True)
            note(f"any user name, and as the password {f'what {UI} holds' if given else secret}; Ctrl-C ends it")
            server.wait()


def _show(page: str, wanted: bool) -> None:
    if wanted:
        import webbrowser

        webbrowser.open(page)


def _store(flag: str | None, root: Path) -> str:
    from sdar_cli.runs.listing import list_all
    from sdar_cli.tracking.location import is_own, tracking_uri, usable

    runs = [] if flag is not None else list_all(root)
    if not runs or runs[-1].tracking_uri is None:
        return tracking_uri(flag, root)
    if not is_own(runs[-1].tracking_uri, root):
        _confirm(runs[-1].name, runs[-1].tracking_uri)
    return usable(runs[-1].tracking_uri)


def _confirm(run: str, uri: str) -> None:
    """Ask before a store is opened that nothing but the run's own file names, which others may have written."""
    import sys

    from sdar_cli.errors import UserError
    from sdar_cli.tracking.location import redact

    store = f"the MLflow store {redact(uri)}, which is not that of this folder"
    if not sys.stdin.isatty():
        raise UserError(
            f"the newest run, {run}, names {store}: to open it, name it with --tracking-uri, or in MLFLOW_TRACKING_URI"
        )
    if not confirm(f"the newest run, {run}, names {store}: open it?"):
        raise typer.Exit(1)
