"""The HTML page as text: whole, escaped, and nothing in it that a browser would fetch."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from html_samples import (
    HOSTILE,
    PANEL,
    episode,
    head,
    hostile_report,
    hostile_transcripts,
    pair,
    played,
    report,
    response,
    row,
    turn,
    write,
    write_transcripts,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdar_cli.compare.html.page import html
from sdar_cli.compare.html.viewer import viewer_data
from sdar_cli.compare.report import Report
from sdar_cli.errors import RunError
from sdar_cli.statistics import Interval
from sdar_cli.visible import visible


class Page(HTMLParser):
    """Tags, texts and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self._inside: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.texts).append(data)

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])


def test_the_page_says_what_the_report_says(tmp_path: Path) -> None:
    text = " ".join(" ".join(Page(html(report(), write_transcripts(tmp_path))).texts).split())
    for said in (
        "sdar and grpo",
        "64 tasks of the test split, ab12ab12ab12",
        "temperature 0.4, top p 1.0, max turns 6",
        "Two seeds each: about the methods.",
        "46.9",
        "[35.2, 58.9] · 2 seeds",
        "+15.6",
        "[+2.0, +29.0]",
        "1 h 02 min",
        "0.042",
        "gate.temperature",
        "84.4 %",
        "own/metric",
    ):
        assert said in text, said


def test_no_other_script_can_run_and_nothing_can_be_fetched(tmp_path: Path) -> None:
    page = Page(html(report(), write_transcripts(tmp_path)))
    policy = next(tag["content"] for name, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert len(page.scripts) == 2
    for name, tag in page.tags:
        assert name not in ("img", "iframe", "object", "embed", "base", "video", "audio")
        assert not tag.get("src") and (tag.get("href") or "#").startswith(("#", "data:,"))
        assert not [key for key in tag if key.startswith("on")]
    style = re.search(r"<style>(.*?)</style>", html(report(), {}), re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]


def test_hostile_texts_are_shown_and_change_nothing(tmp_path: Path) -> None:
    text = html(hostile_report(), hostile_transcripts(tmp_path))
    text.encode("utf-8")
    page, plain = Page(text), Page(html(report(), {}))
    assert len(page.scripts) == 2 and "window.bad" not in page.scripts[1]
    assert {name for name, _ in page.tags} <= {name for name, _ in plain.tags} | TAGS_OF_THE_VIEWER | {"strong", "wbr"}
    assert not [key for _, tag in page.tags for key in tag if key.startswith("on")]
    assert "<" not in page.scripts[0] and page.scripts[0].isascii()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\x00\x07\x1b]", text)
    assert page.data["files"][0]["episodes"][0]["task"] == HOSTILE[0]
    assert "⟨U+202E⟩reversed⟨U+202C⟩" in "".join(page.texts)


TAGS_OF_THE_VIEWER = {"noscript", "label", "select", "input", "kbd", "p", "ul", "ol", "dialog", "form"}


@given(text=st.text(st.characters(), max_size=30))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_may_stand_anywhere(text: str, tmp_path: Path) -> None:
    made = report(title=text, notes=(text,), rows=(row(text or "a", 3), row("b", 4)), types=(text,))
    page = html(made, {})
    page.encode("utf-8")
    assert Page(page).data == {"rows": [visible(text or "a"), "b"]}


@given(st.text(st.characters()))
def test_visible_leaves_nothing_hidden_and_the_rest_alone(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\x00-\x08\x0b-\x1f\x7f]", shown)
    if text.isascii() and text.isprintable():
        assert shown == text


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    folders = write_transcripts(tmp_path)
    assert html(report(), folders) == html(report(), folders)


@pytest.mark.parametrize(
    "made",
    [
        report(rows=(row("one", 3, seeds=1),), pairs=(), responses=(), paper=(), notes=(), by=()),
        report(rows=tuple(row(f"r{i}", i) for i in range(40)), pairs=()),
        report(responses=(response(log=False), response(key="method", numeric=False))),
        report(pairs=(pair(None, measure="score", difference=Interval(0.0, -1.0, 1.0), effect=None, needed=None),)),
        report(split=None, bank=None, types=(), tasks_by_type={}, forced=("temperature: 0.4 and 1.0",), level=0.9),
    ],
    ids=["one run", "forty rows", "other axes", "a score", "bare and forced"],
)
def test_reports_of_all_sorts(made: Report) -> None:
    page = Page(html(made, {}))
    assert "nan" not in "".join(page.texts).lower()
    places = [tag.get(key) or "" for _, tag in page.tags for key in ("d", "style", "cx", "cy", "x1", "y1")]
    assert not [place for place in places if "nan" in place]


def test_a_forced_comparison_is_marked() -> None:
    text = html(report(forced=("evaluation.sampling.temperature: 0.4 and 1.0",)), {})
    assert "Not the same conditions" in text and "0.4 and 1.0" in text
    assert "Not the same conditions" not in html(report(), {})


# -- the viewer's data --------------------------------------------------------------------------------


def test_tokens_are_lengths_in_utf_16(tmp_path: Path) -> None:
    tokens = ["<a>", "", "🧊", " ñandú", "\ud83d", "\u0000"]
    line = episode(0, True, [turn(tokens, [0.1, None, -0.12345, 2.0, 0.0, -0.0], "done")])
    write(tmp_path / "base-no_skills.jsonl.gz", [head("sdar-s0", "base", "no_skills"), line])
    found = viewer_data(report(), {"sdar-s0": tmp_path})
    assert found is not None
    shown = found["files"][0]["episodes"][0]["turns"][0]
    units = shown["text"].encode("utf-16-le", "surrogatepass")
    parts, start = [], 0
    for length in shown["cuts"]:
        parts.append(units[2 * start : 2 * (start + length)].decode("utf-16-le", "surrogatepass"))
        start += length
    assert parts == tokens and 2 * start == len(units)
    assert shown["gap"] == [100, None, -123, 2000, 0, 0]


def test_a_turn_reads_what_the_one_before_was_answered(tmp_path: Path) -> None:
    found = viewer_data(report(), write_transcripts(tmp_path))
    assert found is not None
    shown, texts = found["files"][0]["episodes"][3], found["texts"]
    assert [texts[one["read"]] for one in shown["turns"]] == [
        "You see: thing 3 on counter.",
        "Answer 0 to run 0.",
        "Answer 1 to run 0.",
    ]
    assert texts[shown["last"]] == "Answer 2 to run 0."


def test_the_end_comes_before_the_base_and_the_latest_step_counts(tmp_path: Path) -> None:
    folders = write_transcripts(tmp_path, tasks=1)
    write(folders["sdar-s0"] / "trained-step-9-no_skills.jsonl.gz", [head("sdar-s0", "trained", "no_skills")])
    other = head("sdar-s0", "trained", "no_skills") | {"step": 90}
    write(folders["sdar-s0"] / "trained-step-90-no_skills-ffffffff.jsonl.gz", [other, played(5, 0)])
    found = viewer_data(report(), folders)
    assert found is not None
    order = [(one["run"], one["label"], one["mode"]) for one in found["files"][:4]]
    assert order == [("sdar-s0", *rest) for rest in PAIRS]
    assert found["files"][0]["episodes"][0]["task"].endswith("task-00")


PAIRS = (("trained", "no_skills"), ("trained", "skills"), ("base", "no_skills"), ("base", "skills"))


def test_what_would_make_the_page_large_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdar_cli.compare.html.viewer.LARGEST", 1000)
    folders = write_transcripts(tmp_path)
    found = viewer_data(report(), folders)
    assert found is not None and found["left_out"] == ["grpo-s0"]
    assert "Left out, to keep the page small: grpo-s0." in " ".join(Page(html(report(), folders)).texts)


def test_runs_without_transcripts_have_no_viewer(tmp_path: Path) -> None:
    assert viewer_data(report(), {"sdar-s0": tmp_path / "none"}) is None
    assert 'id="transcripts"' not in html(report(), {})


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b'{"format": 2}', mtime=0)]
)
def test_a_damaged_transcript_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "base-no_skills.jsonl.gz").write_bytes(content)
    with pytest.raises(RunError, match=r"the transcript .*base-no_skills\.jsonl\.gz cannot be read .*remove it"):
        viewer_data(report(), {"sdar-s0": tmp_path})


def test_two_runs_of_long_episodes_stay_under_three_megabytes(tmp_path: Path) -> None:
    """Two modes of two runs, 16 tasks of 30 turns and 60 tokens each."""
    tokens = [f" word{number}" for number in range(59)] + [""]
    gap = [round(0.137 * (number % 17) - 1, 4) for number in range(60)]
    folders = {}
    for run in ("sdar-s0", "grpo-s0"):
        folders[run] = tmp_path / run
        for mode in ("no_skills", "skills"):
            made = [turn(tokens, None if mode == "skills" else gap, f"{run} {mode} sees " * 20) for _ in range(30)]
            lines = [episode(task, True, made, prompt="p" * 6000) for task in range(16)]
            write(folders[run] / f"trained-step-40-{mode}.jsonl.gz", [head(run, "trained", mode), *lines])
    assert len(html(report(), folders)) < 3_000_000


def test_the_panel_is_there_in_full() -> None:
    assert PANEL in html(report(), {})
