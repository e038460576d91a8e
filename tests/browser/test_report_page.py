"""The comparison's page in a browser: from a disk, without a network, in light, dark, print, and on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_samples import HOSTILE, hostile_report, hostile_transcripts, report, row, write_transcripts

from sdar_cli.compare.html.page import html

SECTIONS = ("numbers", "differences", "responses", "curves", "types", "teacher", "signals", "paper", "transcripts")
LUMINANCE = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"


@pytest.fixture
def text(tmp_path: Path) -> str:
    return html(report(), write_transcripts(tmp_path / "runs"))


def test_it_opens_from_a_disk_and_asks_for_nothing(opened: Callable[..., Any], text: str) -> None:
    page = opened(text).page
    assert page.title() == "sdar and grpo"
    assert page.locator("h1").inner_text() == "sdar and grpo"
    for name in SECTIONS:
        assert page.locator(f"#{name}").is_visible(), name
        assert page.locator(f'nav a[href="#{name}"]').count() == 1
    assert page.locator(".chart.roomy svg path.band").count() == 2
    page.wait_for_load_state("networkidle")


def test_it_does_without_transcripts(opened: Callable[..., Any]) -> None:
    page = opened(html(report(), {})).page
    assert page.locator("#transcripts").count() == 0
    page.keyboard.press("j")
    page.keyboard.press("/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(opened: Callable[..., Any], text: str, scheme: str) -> None:
    page = opened(text, scheme=scheme).page
    first = page.evaluate(LUMINANCE)
    assert (sum(first) < 150) == (scheme == "dark")
    page.click("#theme")
    second = page.evaluate(LUMINANCE)
    assert (sum(second) < 150) == (scheme == "light")
    assert page.locator("#theme").get_attribute("aria-pressed") == str(scheme == "light").lower()
    page.reload()
    assert page.evaluate(LUMINANCE) == first
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_print_is_light_and_whole(opened: Callable[..., Any], text: str) -> None:
    page = opened(text, scheme="dark", width=700).page
    page.click("#theme")
    page.click("#theme")
    page.locator("#transcripts").scroll_into_view_if_needed()
    page.keyboard.press("j")
    goal = page.locator("#goal").inner_text()
    page.emulate_media(media="print")
    assert sum(page.evaluate(LUMINANCE)) > 700
    for hidden in ("nav.bar", ".tools", ".side", ".choice"):
        assert not page.locator(hidden).is_visible(), hidden
    assert page.locator("#goal").inner_text() == goal and page.locator("#goal").is_visible()
    assert page.locator("#turns li").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('table')).breakInside") == "avoid"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(page.pdf(format="A4")) > 10_000


@pytest.mark.parametrize("width", [360, 700, 1000, 1920])
def test_no_width_scrolls_sideways(opened: Callable[..., Any], tmp_path: Path, width: int) -> None:
    long = "a-label-without-any-place-to-break-" * 3
    made = report(rows=(row("sdar", 30), row("grpo", 20), row(long, 5)), title=long * 2, notes=(long * 3,))
    page = opened(html(made, write_transcripts(tmp_path / "runs")), width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".chart.tight").first.is_visible() == (width <= 640)


def test_charts_are_read_out_under_the_pointer_and_by_keys(opened: Callable[..., Any], text: str) -> None:
    page = opened(text).page
    chart, tip = page.locator("#responses .chart.roomy"), page.locator("#tip")
    assert not tip.is_visible()
    chart.focus()
    said = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        said.append(tip.locator("strong").inner_text())
    assert said == [f"gate.temperature {value}" for value in ("0.1", "0.2", "5", "1", "0.1")]
    assert "31.2" in tip.inner_text() and "seeds 28.2, 34.2" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    curve = page.locator("#curves .chart.roomy svg")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    curve.hover(position={"x": box["width"] - 20, "y": 40})
    assert "step 40" in tip.inner_text() and "sdar: 46.9" in tip.inner_text() and "grpo: 31.2" in tip.inner_text()
    page.mouse.move(1, 1)
    assert not tip.is_visible()


def test_a_logarithmic_axis_has_its_values_at_equal_ratios(opened: Callable[..., Any], text: str) -> None:
    page = opened(text).page
    places = page.eval_on_selector_all(
        "#responses .chart.roomy circle.dot", "dots => dots.map(dot => Number(dot.getAttribute('cx')))"
    )
    first, second, third, fourth = places
    assert (second - first) / (third - second) == pytest.approx(0.43068, abs=1e-3)  # log 2 / log 5
    assert fourth - third == pytest.approx(third - second, abs=0.1)


def test_hostile_texts_do_nothing(opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened(html(hostile_report(), hostile_transcripts(tmp_path / "runs"))).page
    for _ in HOSTILE:
        page.keyboard.press("j")
        page.keyboard.press("g")
    page.keyboard.press("/")
    page.keyboard.insert_text("<img src=x onerror=alert(1)>")
    page.locator("#search").fill("")
    for name in ("left", "right", "outcome"):
        page.select_option(f"#{name}", index=0)
    for summary in page.locator("#heads summary").all():
        summary.click()
    page.locator("#responses .chart.roomy").focus()
    page.keyboard.press("End")
    assert page.evaluate("window.bad") is None
    assert page.locator("img, iframe, script[src]").count() == 0 and page.locator("script").count() == 2
    page.locator("#tasks li").nth(6).click()
    shown = page.locator("#episode").inner_text()
    assert "⟨U+202E⟩reversed⟨U+202C⟩" in shown and "\u202e" not in shown
    page.locator("#tasks li").nth(0).click()
    assert "</script><script>window.bad = 1</script>" in page.locator("#turns").inner_text()
