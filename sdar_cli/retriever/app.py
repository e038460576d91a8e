"""The HTTP application: POST /retrieve, GET /health. Every refusal is ``{"detail": "one sentence"}``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.to_thread import run_sync
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sdar_cli.errors import SdarError, shortened
from sdar_cli.retriever.protocol import BadRequest, Limits, answer, parse
from sdar_cli.retriever.service import Service
from sdar_cli.servers.guard import Guard, Rules

LOADING = "the index is still being loaded: try again in some seconds"


REASONS = 20
"""That are said of searches that failed; whoever asks could fill a disk with more."""


@dataclass(slots=True)
class Loaded:
    """Where the service is put once it can answer."""

    service: Service | None = None


def build_app(loaded: Loaded, limits: Limits, rules: Rules, say: Callable[[str], None]) -> Guard:
    """``say`` hears why a search failed, once for each reason, ``REASONS`` at most."""
    # No pages about the interface: they would load scripts from elsewhere.
    app = FastAPI(title="sdar retriever", docs_url=None, redoc_url=None, openapi_url=None)
    limiters: dict[int, anyio.CapacityLimiter] = {}
    said: set[str] = set()

    def service() -> Service:
        if loaded.service is None:
            raise HTTPException(503, LOADING, {"Retry-After": "2"})
        return loaded.service

    @app.post("/retrieve")
    async def retrieve(request: Request) -> JSONResponse:
        ready = service()
        asked = parse(await request.body(), limits)
        at_once = ready.engine.at_once
        limiter = limiters.setdefault(at_once, anyio.CapacityLimiter(at_once))
        found = await run_sync(ready.retrieve, asked.queries, asked.topk, limiter=limiter)
        return JSONResponse(answer(found, asked.return_scores))

    @app.get("/health")
    async def health() -> JSONResponse:
        ready = service()
        return JSONResponse(
            {"name": ready.corpus.file.name, "engine": ready.engine.name, "documents": len(ready.corpus)}
        )

    @app.exception_handler(BadRequest)
    async def refused(_: Request, error: BadRequest) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if error.status_code in (404, 405):
            detail = f"there is no {request.method} {request.url.path} here: use POST /retrieve or GET /health"
        return JSONResponse({"detail": detail}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        reason = str(error) if isinstance(error, SdarError) else f"{type(error).__name__}: {error}"
        reason = shortened(" ".join(reason.split()))
        if len(said) < REASONS and reason not in said:
            said.add(reason)
            say(f"a search failed: {reason}")
            if len(said) == REASONS:
                say(f"searches failed for {REASONS} reasons: further ones are not said")
        return JSONResponse({"detail": f"the search failed ({type(error).__name__}): see the server's output"}, 500)

    return Guard(app, rules)
