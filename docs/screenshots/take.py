"""The documentation's pictures of the comparison's page, from runs and a study that are there.

    python docs/screenshots/take.py --runs RUNS --compare RUN RUN --study STUDY

writes ``report-*.png`` from ``--compare`` and ``study-*.png`` from ``--study`` beside this file. The pages are made by
``sdar compare``, so a picture shows what a reader gets.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from browser import FOLDER, browser, new_page, save

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HIDE_BAR = "nav.bar { display: none !important }"
"""A bar that stays at the top would stand in every picture of a part."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch, browser() as launched:
        if options.compare:
            page = _report(Path(scratch) / "runs.html", options.runs, [*options.compare, *_by(options.by)])
            _of_runs(launched, page, options.out)
        if options.study:
            page = _report(Path(scratch) / "study.html", options.runs, ["--study", options.study])
            _of_study(launched, page, options.out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take the documentation's pictures of the comparison's page.")
    parser.add_argument("--runs", required=True, metavar="DIR", help="the folder of runs")
    parser.add_argument("--compare", nargs="+", default=[], metavar="RUN", help="runs to compare")
    parser.add_argument("--by", metavar="KEY", help="what makes a row of them, as in `sdar compare --by`")
    parser.add_argument("--study", metavar="NAME", help="a study, for its response curves")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="where the pictures go")
    options = parser.parse_args()
    if not options.compare and not options.study:
        parser.error("give --compare RUN RUN, --study NAME, or both")
    return options


def _by(key: str | None) -> list[str]:
    return ["--by", key] if key else []


def _report(path: Path, runs: str, words: Sequence[str]) -> str:
    """Address of the page that ``sdar compare`` writes."""
    command = [sys.executable, "-m", "sdar_cli.cli.main", "compare", *words, "--runs", runs, "--html", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.strip() or f"error: {' '.join(command)} ended with code {done.returncode}")
    return path.as_uri()


def _of_runs(launched: Browser, address: str, out: Path) -> None:
    page = _open(launched, address, 1240, 1000)
    save(page, "report", out)
    if page.locator("#differences").count():
        save(page.locator("#differences"), "report-differences", out)
    if page.locator("#types").count():
        save(page.locator("#types"), "report-types", out)
    page.close()
    for scheme in ("light", "dark"):
        page = _open(launched, address, 1240, 860, scheme)
        if page.locator("#viewer").count():
            _choose_telling_task(page)
            page.mouse.move(0, 0)
            page.locator("#transcripts").evaluate("one => one.scrollIntoView()")
            save(page, "report-transcripts" if scheme == "light" else "report-transcripts-dark", out)
        page.close()
    page = _open(launched, address, 360, 760)
    save(page, "report-narrow", out)
    page.close()


def _of_study(launched: Browser, address: str, out: Path) -> None:
    page = _open(launched, address, 1240, 1000)
    for part in ("responses", "curves"):
        if page.locator(f"#{part}").count():
            save(page.locator(f"#{part}"), f"study-{part}", out)
    page.close()


def _open(launched: Browser, address: str, width: int, height: int, scheme: str = "light") -> Page:
    page = new_page(launched, width, height, scheme)
    page.goto(address)
    page.add_style_tag(content=HIDE_BAR)
    return page


def _choose_telling_task(page: Page) -> None:
    """One that the two sides disagree on, where there is any, with a token of a large gap in sight."""
    page.select_option("#outcome", "one")
    if not page.locator("#tasks li").count():
        page.select_option("#outcome", "all")
    for number in range(page.locator("#tasks li").count()):
        page.locator("#tasks li").nth(number).click()
        if page.locator("#turns .l4, #turns .g4, #turns .l3, #turns .g3").count():
            return


if __name__ == "__main__":
    main()
