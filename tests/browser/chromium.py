"""A page of a headless Chromium that keeps what it asked for and what it wrote to its console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)
"""What stops the browser's own calls home, so that every request is one of the page's."""


@dataclass(slots=True)
class Watched:
    """A page, and what was seen of it so far."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """URLs in order, ``data:`` and ``blob:`` left out."""
    console: list[str] = field(default_factory=list)
    """``error: text``, ``warning: text`` and so on; what a script threw is ``exception: text``."""

    @property
    def errors(self) -> list[str]:
        return [line for line in self.console if line.startswith(("error:", "exception:"))]


def executable() -> str | None:
    """Path of the Chromium of this machine, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def watched_page(width: int = 1280, height: int = 800, **context: Any) -> Iterator[Watched]:
    """A fresh browser with one page; ``context`` goes to Playwright's ``new_context`` (``color_scheme="dark"``…).

    Raises:
        RuntimeError: there is no Chromium on the PATH.
    """
    from playwright.sync_api import sync_playwright

    path = executable()
    if path is None:
        raise RuntimeError("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, "--no-sandbox"])
        try:
            opened = browser.new_context(viewport={"width": width, "height": height}, **context)
            watched = Watched(opened.new_page())
            _listen(watched)
            yield watched
        finally:
            browser.close()


def _listen(watched: Watched) -> None:
    def asked(request: Any) -> None:
        if not request.url.startswith(("data:", "blob:")):
            watched.requests.append(request.url)

    watched.page.context.on("request", asked)
    watched.page.on("console", lambda message: watched.console.append(f"{message.type}: {message.text}"))
    watched.page.on("pageerror", lambda error: watched.console.append(f"exception: {error}"))
