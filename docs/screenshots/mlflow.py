"""Pictures of MLflow's pages for docs/mlflow.md, taken from a real `sdar ui` with a headless Chromium.

    python docs/screenshots/mlflow.py --runs RUNS --study STUDY

writes ``mlflow-*.png`` beside this file. Without ``--study`` it takes the newest study.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser import FOLDER, browser, new_page, save

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIZE = (1600, 900)
"""CSS pixels."""
DEADLINE = 120_000
"""Milliseconds for a page to show what it has."""
STORED = {
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
"""What MLflow's pages keep in the browser: the assistant's panel closed, the view of trainings chosen."""
TRACE = re.compile("^tr-[0-9a-f]{4}")
"""How the id of a trace begins, which opens it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is pictured."""

    experiment: str
    study: str
    parent: str
    child: str
    model: str
    version: str
    figure: str
    """Name of the study's response curve."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the documentation's pictures of MLflow's pages.")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="the folder of runs")
    parser.add_argument("--study", metavar="NAME", help="a study; else the newest")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where the pictures go")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with serving(options.runs) as landing, browser() as launched:
        address = landing.partition("/#")[0]
        subject = find(address, options.study)
        page = new_page(launched, *SIZE)
        page.set_default_timeout(DEADLINE)
        for name, value in STORED.items():
            page.add_init_script(f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})")
        for name, (path, ready) in pages(subject).items():
            page.goto("about:blank")
            page.goto(f"{address}/#/{path}")
            ready(page)
            settle(page)
            sys.stdout.write(f"{save(page, f'mlflow-{name}', options.out)}\n")


def pages(subject: Subject) -> dict[str, tuple[str, Callable[[Page], Any]]]:
    """Picture's name → path behind ``#/``, and what waits until the page shows what it is about."""
    runs = f"experiments/{subject.experiment}/runs"
    child, parent = f"{runs}/{subject.child}", f"{runs}/{subject.parent}"
    view = f"{runs}?workflowType=machine_learning&viewStateShareKey="

    def below(page: Page) -> None:
        """The study's row, opened."""
        row = page.locator(".ag-row", has=page.get_by_role("link", name=subject.study, exact=True)).first
        row.wait_for()
        row.locator("button").first.click()
        page.get_by_role("link", name=f"{subject.study}-c000").first.wait_for()

    def text(*words: str) -> Callable[[Page], None]:
        def ready(page: Page) -> None:
            for word in words:
                page.get_by_text(word).first.wait_for()

        return ready

    def picture(page: Page) -> None:
        page.wait_for_function("[...document.images].some(image => image.naturalWidth > 500)")

    def traces(page: Page) -> None:
        page.get_by_text(TRACE).first.wait_for()

    def trace(page: Page) -> None:
        page.get_by_text(TRACE).first.click()
        page.get_by_text("turn 0").first.click()
        page.get_by_text("action").first.wait_for()

    return {
        "runs": (f"{view}sdar-runs", below),
        "study": (f"{view}sdar-study-{subject.study}", text("Group: ")),
        "study-run": (parent, text("Child runs", "Description")),
        "response": (f"{parent}/artifacts/figures/{subject.figure}", picture),
        "cells": (f"{parent}/artifacts/tables/cells.json", text("View as table")),
        "run": (child, text("Parent run", "Registered models")),
        "plots": (f"{child}/artifacts/plots/success.png", picture),
        "traces": (f"{child}/traces", traces),
        "trace": (f"{child}/traces", trace),
        "tasks": (f"{child}/artifacts/tables/tasks.json", text("View as table")),
        "model": (f"models/{subject.model}/versions/{subject.version}", text("Source Run", "Description")),
    }


def find(address: str, study: str | None) -> Subject:
    """The newest study, or the one of that name, and its run of the best cell that has a registered checkpoint."""
    experiments = [
        one["experiment_id"] for one in ask(address, "experiments/search", {"max_results": 200})["experiments"]
    ]
    named = f" and tags.`sdar.study` = '{study}'" if study else ""
    parents = search(address, experiments, f"tags.`sdar.kind` = 'study'{named}")
    if not parents:
        raise SystemExit(f"there is no study {study or ''} in this store: run `sdar sweep` first")
    parent = parents[0]
    name = parent["tags"]["sdar.study"]
    children = search(
        address, [parent["experiment"]], f"tags.`sdar.study` = '{name}' and tags.`sdar.kind` = 'training'"
    )
    best = sorted(children, key=lambda run: float(run["tags"].get("sdar.cell_mean", 0)), reverse=True)
    figures = ask(address, f"artifacts/list?run_id={parent['id']}&path=figures", None).get("files", [])
    curves = sorted(one["path"].rpartition("/")[2] for one in figures if one["path"].endswith(".png"))
    for child in best:
        condition = urllib.request.quote(f"run_id='{child['id']}'")
        found = ask(address, f"model-versions/search?filter={condition}", None).get("model_versions", [])
        if found and curves:
            curve = next((one for one in curves if one.startswith("response-")), curves[0])
            version = found[0]
            return Subject(
                parent["experiment"], name, parent["id"], child["id"], version["name"], version["version"], curve
            )
    raise SystemExit(f"the study {name} has no finished run with a figure and a registered checkpoint yet")


def search(address: str, experiments: list[str], condition: str) -> list[dict[str, Any]]:
    question = {"experiment_ids": experiments, "filter": condition, "max_results": 1000}
    question["order_by"] = ["attributes.start_time DESC"]
    return [
        {
            "id": run["info"]["run_id"],
            "experiment": run["info"]["experiment_id"],
            "tags": {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])},
        }
        for run in ask(address, "runs/search", question).get("runs", [])
    ]


def ask(address: str, path: str, question: dict[str, Any] | None) -> Any:
    content = None if question is None else json.dumps(question).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/{path}", content, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@contextmanager
def serving(runs: Path) -> Iterator[str]:
    """The address that `sdar ui` prints, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sdar_cli.cli.main", "ui", "--runs", str(runs), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            landing = server.stdout.readline().strip()
            if not landing:
                raise SystemExit("sdar ui did not start")
            yield landing
        finally:
            server.terminate()


def settle(page: Page) -> None:
    """Wait until two pictures in a row are alike: MLflow's pages fade things in."""
    last = b""
    for _ in range(20):
        now = page.screenshot()
        if now == last:
            return
        last = now
        page.wait_for_timeout(300)


if __name__ == "__main__":
    main()
