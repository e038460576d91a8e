"""MLflow's own pages, served by ``sdar ui`` and opened in Chromium, show a study, its runs and all that they have."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from chromium import Watched, executable, watched_page
from mlflow_study import EXPERIMENT, STUDY, Made, make

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
DEADLINE = 120_000
"""Milliseconds for a page of MLflow's to show what it has, on a machine with better things to do."""
OWN = ("users/current", "path=MLmodel")
"""What MLflow's pages ask for in vain wherever there is no login, and no model of its own flavours."""


@dataclass(frozen=True, slots=True)
class Ui:
    made: Made
    landing: str
    """What ``sdar ui`` printed."""
    watched: Watched
    failed: list[str]
    """Addresses that the server refused."""

    @property
    def page(self) -> Page:
        return self.watched.page

    def open(self, path: str) -> Page:
        """A page of the server, from its start: a changed fragment alone would keep what was shown before."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.landing.partition('/#')[0]}/#/{path}")
        return self.page

    def run(self, name: str, rest: str = "") -> Page:
        run_id = self.made.parent if name == STUDY else self.made.runs[name]
        return self.open(f"experiments/{self.made.experiment}/runs/{run_id}{rest}")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """One store, one server and one browser for all tests here, as each takes seconds to start."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if executable() is None:
        pytest.skip("there is no Chromium on the PATH")
    root: Path = tmp_path_factory.mktemp("runs")
    made = make(root)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sdar_cli.cli.main", "ui", "--runs", str(root), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as server:
        try:
            assert server.stdout is not None
            landing = server.stdout.readline().strip()
            assert landing.startswith(f"http://127.0.0.1:{port}/#/"), landing
            with watched_page(1800, 900) as watched:
                failed: list[str] = []
                watched.page.on("response", lambda got: failed.append(got.url) if got.status >= 400 else None)
                watched.page.set_default_timeout(DEADLINE)
                yield Ui(made, landing, watched, failed)
        finally:
            server.terminate()
            server.wait(timeout=30)


def see(where: Page | Locator, text: str | re.Pattern[str]) -> None:
    where.get_by_text(text).first.wait_for()


def test_sdar_ui_lands_on_the_last_study_grouped_by_setting(ui: Ui) -> None:
    assert f"viewStateShareKey=sdar-study-{STUDY}" in ui.landing
    ui.page.goto(ui.landing)
    for text in (
        f"Study {STUDY}",
        "Group by: sdar.setting",
        "Group: gate.temperature=0.1",
        "Group: gate.temperature=5",
    ):
        see(ui.page, text)
    for name in ui.made.runs:
        see(ui.page, name)
    headings = ui.page.locator(".ag-header")
    for text in ("eval/no_skills/success", "gate.temperature", "sdar.seed", "sdar.status"):
        see(headings, text)
    see(ui.page, re.compile(r"0\.675.*\(average\)"))


def test_runs_stand_below_their_study(ui: Ui) -> None:
    page = ui.open(f"experiments/{ui.made.experiment}/runs?workflowType=machine_learning&viewStateShareKey=sdar-runs")
    row = page.locator(".ag-row", has=page.get_by_role("link", name=STUDY, exact=True)).first
    row.wait_for()
    child = page.get_by_role("link", name=f"{STUDY}-c001-s2")
    assert child.count() == 0
    row.locator("button").first.click()
    child.wait_for()


def test_a_study_has_its_description_children_table_and_figures(ui: Ui) -> None:
    page = ui.run(STUDY)
    for text in ("Does a sharper gate help?", "Child runs", "study/best_mean_success", f"{STUDY}-c000-s1"):
        see(page, text)
    page = ui.run(STUDY, "/artifacts/figures/response-gate.temperature.png")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 500)")
    page = ui.run(STUDY, "/artifacts/tables/cells.json")
    for text in ("View as table", "with skills", "2 of 2"):
        see(page, text)


def test_a_run_has_its_description_dataset_parent_and_registered_model(ui: Ui) -> None:
    page = ui.run(f"{STUDY}-c000-s1")
    for text in ("gap (with − without)", "Parent run", "toy, test, 20 tasks", "Registered models"):
        see(page, text)
    page.get_by_role("link", name=STUDY, exact=True).first.wait_for()
    page.get_by_role("link", name=EXPERIMENT, exact=True).first.wait_for()


def test_a_run_has_its_plots_tables_and_traces(ui: Ui) -> None:
    name = f"{STUDY}-c000-s1"
    page = ui.run(name, "/artifacts/plots/success.png")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 500)")
    page = ui.run(name, "/artifacts/tables/tasks.json")
    for text in ("base without", "trained with", "t0"):
        see(page, text)
    page = ui.run(name, "/traces")
    for number in range(3):
        see(page, f"wash mug {number}")
    page.get_by_text("wash mug 0").first.click()
    for text in ("turn 0", "turn 1", "general"):
        see(page, text)


def test_the_registered_checkpoint_leads_back_to_its_run(ui: Ui) -> None:
    page = ui.open(f"models/{EXPERIMENT}/versions/1")
    for text in ("Version 1", "gap (with − without)", "sdar.step"):
        see(page, text)
    page.get_by_role("link", name=f"{STUDY}-c000-s1").first.wait_for()


def test_a_training_that_writes_through_the_server_registers_its_checkpoint_too(
    ui: Ui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    from sdar_cli.tracking.registry import Version
    from sdar_cli.tracking.tables import Table
    from sdar_cli.tracking.tracker import Tracker

    server = ui.landing.partition("/#")[0]
    checkpoint = tmp_path / "step-3"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "model.safetensors").write_bytes(b"far away")
    said: list[str] = []
    tracker = Tracker.start(server, "remote", "far", "name: far\n", {}, {"sdar.kind": "warm-up"}, say=said.append)
    tracker.table(Table("tasks", ("task", "solved"), [("t0", True)]))
    tracker.register(Version("remote", checkpoint, 3, "name: far\n", "From afar.", {"sdar.step": "3"}, {"a": 0.5}))
    tracker.finish()
    assert said == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = Path(mlflow.artifacts.download_artifacts("models:/remote/latest", dst_path=str(tmp_path / "got")))
    assert (folder / "model.safetensors").read_bytes() == b"far away"


def test_nothing_leaves_this_machine(ui: Ui) -> None:
    page = ui.open("experiments")
    page.get_by_role("link", name=EXPERIMENT, exact=True).first.wait_for()
    hosts = {urlsplit(url).hostname for url in ui.watched.requests if url != "about:blank"}
    assert hosts == {"127.0.0.1"}
    assert [url for url in ui.failed if not any(own in url for own in OWN)] == []
    thrown = [line for line in ui.watched.console if line.startswith("exception:")]
    assert thrown == []
