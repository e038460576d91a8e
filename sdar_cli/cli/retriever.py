"""``sdar retriever``: serve a corpus to Search-QA over HTTP, and build the index for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sdar_cli.cli.progress import progress_bar
from sdar_cli.cli.render import note, say

if TYPE_CHECKING:
    from sdar_cli.retriever.service import Service

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Serve a corpus to Search-QA over HTTP.\n\nUsage: sdar retriever serve --corpus corpus.jsonl",
)


ModelOption = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Dense: the E5 encoder that the index is of, a folder or a hub id.")
]
DeviceOption = Annotated[
    Literal["cpu", "cuda"] | None, typer.Option(help="Dense: where the encoder runs; cpu by default.")
]


@app.callback()
def _retriever() -> None:
    """Serve a corpus to Search-QA over HTTP.

    Usage: sdar retriever serve --corpus corpus.jsonl
    """


@app.command("serve")
def serve(
    index: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A folder made by build; or a faiss file, with its corpus.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON lines, .gz too; alone: by BM25, indexed in the cache.")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Dense: read the vectors into memory instead of mapping their file.")
    ] = False,
    ef_search: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Dense, HNSW: candidates of a search; else the index's own.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others reach needs SDAR_RETRIEVER_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 is any free one.")] = 8000,
    topk: Annotated[int, typer.Option(min=1, help="Passages for a request that does not say.")] = 3,
    max_topk: Annotated[int, typer.Option(min=1, help="The most passages a request may ask for.")] = 100,
    max_queries: Annotated[int, typer.Option(min=1, help="The most queries in a request.")] = 1024,
    max_requests: Annotated[int, typer.Option(min=1, help="The most requests under way; further ones get 429.")] = 1024,
    rate: Annotated[
        float, typer.Option(min=1, help="Requests a second that one address may send; further ones get 429.")
    ] = 2000,
) -> None:
    """Answer searches over HTTP, by Search-R1's protocol.

    Usage: sdar retriever serve --corpus corpus.jsonl
    """
    from sdar_cli.errors import UserError
    from sdar_cli.paths import user_path
    from sdar_cli.retriever.engine import Settings
    from sdar_cli.retriever.extras import require
    from sdar_cli.retriever.protocol import Limits
    from sdar_cli.retriever.service import plan
    from sdar_cli.servers.guard import LOOPBACK, Rules, is_loopback
    from sdar_cli.servers.listen import listen, url
    from sdar_cli.servers.token import RETRIEVER, token_for

    require("retriever", "fastapi", "uvicorn")
    from sdar_cli.retriever import server

    if topk > max_topk:
        raise UserError(f"--topk {topk} is above --max-topk {max_topk}: raise the latter")
    rules = Rules(
        token_for(host, RETRIEVER), hosts=LOOPBACK if is_loopback(host) else None, at_once=max_requests, rate=rate
    )
    with listen(host, port) as opened:
        address = url(opened, host)
        settings = Settings(model, device, in_memory=in_memory, ef_search=ef_search)
        load = plan(index and user_path(index), corpus and user_path(corpus), settings, progress_bar)
        note(f"loading; {address} answers 503 until then")

        def announce(service: Service) -> None:
            print(f"{address}/retrieve", flush=True)  # for who reads a pipe to know when it answers
            found = f"{len(service.corpus):,} passages of {service.corpus.file.name}, by {service.engine.name}"
            note(f"{found}; Ctrl-C ends it")

        server.serve(opened, load, Limits(topk, max_topk, max_queries), rules, announce, note)


@app.command("build")
def build(
    corpus: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines with id and contents; .gz too.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")],
    engine: Annotated[Literal["bm25", "dense"], typer.Option(help="How to search.")] = "bm25",
    model: ModelOption = None,
    index_type: Annotated[
        Literal["flat", "hnsw"] | None,
        typer.Option(help="Dense: flat is exact and the default; hnsw is fast and close."),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Check a corpus and build its index, once, for serve --index.

    Usage: sdar retriever build --corpus corpus.jsonl --engine bm25 --out index
    """
    from sdar_cli.paths import user_path
    from sdar_cli.retriever.engine import Settings
    from sdar_cli.retriever.engines import ENGINES
    from sdar_cli.retriever.store import build as build_index

    settings = Settings(model, device, index_type)
    manifest = build_index(user_path(corpus), user_path(out), ENGINES[engine], settings, progress_bar)
    say(f"{manifest.source.documents:,} passages, by {engine}, in {out}")
