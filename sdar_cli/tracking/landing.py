"""Which page of a running MLflow server to open: the last study, or the experiment of the newest run.

It is asked of the server itself, over its REST interface, so that the answer also fits a store that others write to.
"""

from __future__ import annotations

import json
import os
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from sdar_cli.servers.guard import is_loopback
from sdar_cli.tracking.views import PREFIX, RUNS, link, study_key

SECONDS = 5.0
"""Longest wait for an answer."""
EXPERIMENTS = 200
LARGEST = 1 << 26
"""Bytes of an answer that are read."""


def landing(url: str) -> str:
    """The page, with the view of the runs that fits; the server's root where it holds nothing of ours, or is away."""
    try:
        experiments = _ask(url, "experiments/search", {"max_results": EXPERIMENTS})["experiments"]
        runs = _ask(
            url,
            "runs/search",
            {
                "experiment_ids": [one["experiment_id"] for one in experiments],
                "filter": "tags.`sdar.kind` != 'warm-up'",
                "order_by": ["attributes.start_time DESC"],
                "max_results": 1,
            },
        )["runs"]
        return root_of(url) + _page(experiments, runs[0])
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return root_of(url)


def root_of(url: str) -> str:
    """The server's address without user, password and trailing slash."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")))


def _page(experiments: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> str:
    """The newest run is a study's, or a study itself: the study's view; else the view of all runs."""
    own = run["info"]["experiment_id"]
    there = next((one for one in experiments if one["experiment_id"] == own), {})
    views = {tag["key"].removeprefix(PREFIX) for tag in there.get("tags", []) if tag["key"].startswith(PREFIX)}
    tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
    wanted = [RUNS.key]
    if "sdar.study" in tags:
        wanted.insert(0, study_key(tags["sdar.study"]))
    return link(own, next((key for key in wanted if key in views), None))


def _ask(url: str, path: str, question: Mapping[str, Any]) -> Any:
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", **_credentials(parts)}
    address = f"{root_of(url)}/api/2.0/mlflow/{path}"
    request = urllib.request.Request(address, json.dumps(question).encode(), headers, method="POST")
    with opener(address).open(request, timeout=SECONDS) as answer:
        return json.loads(answer.read(LARGEST))


def opener(url: str) -> urllib.request.OpenerDirector:
    """What asks a server; one on this machine is asked without the proxy that the environment may name."""
    direct = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
    return urllib.request.build_opener(*direct)


def _credentials(parts: SplitResult) -> dict[str, str]:
    """Those of the URL, else those that MLflow's own client takes from the environment."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if user:
        return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
