"""Pages opened from a disk in a headless Chromium that is on the PATH; every test here is skipped without one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import QUIET, executable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).parents[1] / "compare"))


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a module: Playwright runs once in a thread, and other tests here start their own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = executable()
    if path is None:
        pytest.skip("there is no Chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, "--no-sandbox"])
        yield browser
        browser.close()


@dataclass(slots=True)
class Opened:
    """A page, what it asked of the network and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def check(self, address: str) -> None:
        assert set(self.requests) == {address}
        assert self.complaints == []


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a page's text from a file. At the end it must have asked for nothing else and complained of nothing."""
    found: list[tuple[Opened, str]] = []

    def open_page(text: str, *, width: int = 1280, height: int = 900, scheme: str = "light") -> Opened:
        path = tmp_path / f"page-{len(found)}.html"
        path.write_text(text, encoding="utf-8")
        page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(10_000)
        made = Opened(page)
        page.on("request", lambda request: made.requests.append(request.url))
        page.on("console", lambda message: made.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        page.on("dialog", lambda dialog: made.complaints.append(f"dialog: {dialog.message}"))
        page.goto(path.as_uri())
        found.append((made, path.as_uri()))
        return made

    yield open_page
    for made, address in found:
        made.check(address)
        made.page.close()
