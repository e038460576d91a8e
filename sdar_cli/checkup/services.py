"""What runs speak to: MLflow's store and the Hugging Face hub. A secret is said to be there, never shown."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sdar_cli.checkup.finding import Finding
from sdar_cli.errors import RunError
from sdar_cli.reading import Unreadable, open_regular

PATIENCE = 5.0
"""Seconds for a server to answer."""
HUB = "https://huggingface.co"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def mlflow_store(uri_given: str | None, runs_root: Path) -> Finding:
    """The store that runs would be tracked in: a file is opened, a server asked; another database is only named."""
    from sdar_cli.tracking.location import redact, sqlite_file, tracking_uri

    subject = "MLflow's store"
    try:
        uri = tracking_uri(uri_given, runs_root)
    except RunError as error:
        found, _, remedy = str(error).rpartition(": ")
        return Finding(subject, "problem", found, remedy)
    shown = redact(uri)
    if uri.startswith(("http://", "https://")):
        return _server(subject, uri, shown)
    file = sqlite_file(uri)
    if file is None:
        return Finding(subject, "ok", f"{shown}, not asked")
    if not file.exists():
        return Finding(subject, "ok", f"{file}, made by the first run")
    try:
        open_regular(file).close()
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=PATIENCE)) as store:
            (count,) = store.execute("SELECT count(*) FROM experiments").fetchone()
    except (Unreadable, sqlite3.Error) as error:
        remedy = "restore the file, or track elsewhere: --tracking-uri sqlite:////path/to/mlflow.db"
        return Finding(subject, "problem", f"{file} cannot be read ({error})", remedy)
    return Finding(subject, "ok", f"{file}, {count} experiments")


def _server(subject: str, uri: str, shown: str) -> Finding:
    import httpx

    remedy = "start it, or correct MLFLOW_TRACKING_URI or --tracking-uri"
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return Finding(subject, "problem", f"{shown} does not answer ({type(error).__name__})", remedy)
    if answer.status_code in (401, 403):
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return Finding(subject, "ok", f"{shown}, which asks who you are ({answer.status_code})", remedy)
    if answer.status_code >= 400:
        return Finding(subject, "problem", f"{shown} answers {answer.status_code}", remedy)
    return Finding(subject, "ok", f"{shown} answers")


def offline() -> str | None:
    """The variable that keeps Hugging Face's libraries off the network, if one does."""
    return next((name for name in OFFLINE if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")), None)


def hub() -> Finding:
    """Whether the hub can be reached, and whether there is a token for it."""
    import httpx

    from sdar_cli.tracking.location import redact

    subject = "Hugging Face hub"
    if (name := offline()) is not None:
        return Finding(subject, "ok", f"not asked, as {name} is set; models come from folders and the cache")
    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    token = "with a token" if _has_token() else "without a token (public models only)"
    try:
        answer = httpx.head(endpoint, timeout=PATIENCE, follow_redirects=True)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        why = f"{redact(endpoint)} does not answer ({type(error).__name__}), {token}"
        remedy = (
            "for models that are not here: mend the connection, name a mirror (HF_ENDPOINT), or give --model FOLDER"
        )
        return Finding(subject, "absent", why, remedy)
    return Finding(subject, "ok", f"{redact(endpoint)} answers, {token}")


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None
