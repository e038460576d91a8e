"""What the documentation's pictures are taken with: a headless Chromium from the PATH, and small PNG files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

FOLDER = Path(__file__).parent
LIMIT = 250_000
"""Bytes that a picture may take."""
COLOURS = (256, 128, 64, 32)


@contextmanager
def browser() -> Iterator[Browser]:
    """Raises SystemExit where Playwright or a Chromium is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("error: Playwright is missing: pip install 'sdar[browser]'") from None
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("error: there is no Chromium on the PATH: install one")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--hide-scrollbars"])
        try:
            yield launched
        finally:
            launched.close()


def new_page(launched: Browser, width: int, height: int, scheme: Literal["light", "dark"] = "light") -> Page:
    """A page of so many CSS pixels, drawn at twice as many for narrow ones and one and a half times for others."""
    factor = 2 if width < 600 else 1.5
    context = launched.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        device_scale_factor=factor,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    return page


def save(what: Page | Locator, name: str, folder: Path = FOLDER) -> Path:
    """``name``.png of what is seen, with as many colours as fit into ``LIMIT``.

    Raises:
        SystemExit: it is larger even so.
    """
    from PIL import Image

    picture = Image.open(BytesIO(what.screenshot(animations="disabled"))).convert("RGB")
    for colours in COLOURS:
        buffer = BytesIO()
        few = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LIMIT:
            path = folder / f"{name}.png"
            path.write_bytes(buffer.getvalue())
            return path
    raise SystemExit(f"error: {name}.png takes {buffer.tell()} bytes, above {LIMIT}: show less of the page")
