"""Nothing that a model says is obeyed by what shows it: terminal, page, spreadsheet, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "compare"))

import pytest
from garbage_payloads import ANSI, CSV, FORMAT, HTML, LATEX, MARKDOWN
from garbage_speech import CLASSES, PROTOCOLS, utterances
from harness import COUNT
from html_samples import report
from rich.console import Console

from sdar_cli.cli.play import _episode
from sdar_cli.cli.players import Move
from sdar_cli.compare.html.page import html
from sdar_cli.compare.render.csv import measures, pairs
from sdar_cli.compare.render.latex import latex
from sdar_cli.compare.render.markdown import markdown
from sdar_cli.compare.render.terminal import render
from sdar_cli.compare.report import Report
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.evaluation.transcripts import load_transcript, save_transcript, transcript_file
from sdar_cli.export.markdown import code, fenced
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.bank import SkillBank
from sdar_cli.spreadsheet import cell
from sdar_cli.tracking.tables import Table, of_evaluation
from sdar_cli.visible import visible
from sdar_envs.base import Invalid, Observation, Task
from sdar_envs.household.environment import Household, HouseholdOptions

PAYLOADS = (*HTML, *LATEX, *MARKDOWN, *CSV, *ANSI, *FORMAT)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Letters that a terminal acts upon."""
OUR_STYLES = re.compile(r"\x1b\[(0|1|2|36)m")


def said() -> Iterator[str]:
    """A response of every class, and more where more are asked for."""
    for name in PROTOCOLS:
        for _, turns in utterances(max(len(CLASSES), COUNT // 4), PROTOCOLS[name], f"shown/{name}"):
            yield turns[0]


def wild_episodes() -> list[Episode]:
    """What was said stands wherever a model's text can."""
    found = []
    for number, text in enumerate(text[:3000] for text in said()):
        turn = Turn(0, [1], None, list(text.encode()), None, text, text, text, text[:200], text, 0.0)
        task = Task(f"{number} {text[:50]}", text[:50] or "none", text)
        found.append(
            Episode(task, text, number, 0, ("general",), turns=[turn], stop=StopReason.FAILURE, error=text[:200])
        )
    return found


def evaluation(episodes: list[Episode]) -> Evaluation:
    records = tuple(EpisodeRecord.of(one) for one in episodes)
    return Evaluation("no_skills", "base", "household", "ab12" * 16, {}, 0, "hf", records, 1.0, step=0, run="sdar-s0")


# -- play ---------------------------------------------------------------------------------------------


class Talker:
    """A player that says what it was given, as a checkpoint does."""

    ending, typed = "left", False

    def __init__(self, environment: Household, texts: list[str]) -> None:
        self.environment, self.texts = environment, list(texts)

    def move(self, observation: Observation) -> Move | None:
        if not self.texts:
            return None
        text = self.texts.pop()
        parsed = self.environment.parse(text)
        return (
            Move(parsed.fallback or None, text, parsed.reason)
            if isinstance(parsed, Invalid)
            else Move(parsed.text, text)
        )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_shows_an_episode_and_obeys_none_of_it(terminal: bool) -> None:
    environment = Household(HouseholdOptions())
    out = io.StringIO()
    colours = "standard" if terminal else None
    console = Console(file=out, highlight=False, soft_wrap=True, force_terminal=terminal, color_system=colours)
    texts = [text[:30_000] for text in said()]
    task = replace(environment.tasks("test")[0], task_type="\x1b]0;owned\x07\u202e")
    with Pool(Household, environment.options, workers=1, timeout=60) as pool:
        record = _episode(console, environment, pool, task, Talker(environment, texts), None)
    shown = out.getvalue()
    shown.encode()
    assert not OBEYED.search(OUR_STYLES.sub("", shown) if terminal else shown)
    spoken = [turn["response"] for turn in record["turns"] if "response" in turn]
    assert spoken == [text for text in reversed(texts) if text][: len(spoken)] and len(spoken) > len(CLASSES) // 2
    flat = OUR_STYLES.sub("", shown)
    assert all(visible(text).expandtabs() in flat.expandtabs() or "\t" in text for text in spoken)


# -- page ---------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Names of elements in their order, and the first script's text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        if self.names and self.names[-1] == "script" and self.names.count("script") == 1:
            self.script += data


def page_of(folder: Path, episodes: list[Episode]) -> str:
    bank = SkillBank.from_texts(
        {"general": "---\nname: general\ndescription: g\ntask_types: []\nkeywords: []\n---\nB\n"}
    )
    first = {episode.task.id: episode.goal for episode in episodes}
    played = evaluation(episodes)
    file = transcript_file(folder, "base-no_skills")
    save_transcript(file, played, episodes, first, decode=decode, scores={}, bank=bank, about={"gate": None})
    kept = load_transcript(file).episodes
    assert ["".join(one["turns"][0]["tokens"]) for one in kept] == [one.turns[0].response for one in episodes]
    return html(report(), {"sdar-s0": file.parent})


def decode(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def test_a_page_has_no_element_of_a_models(tmp_path: Path) -> None:
    episodes = wild_episodes()
    calm = [replace(one, task=Task(str(n), "a"), goal="a", error="a") for n, one in enumerate(episodes)]
    calm = [replace(one, turns=[replace(one.turns[0], response="a", response_ids=[97])]) for one in calm]
    wild, plain = (Elements(page_of(tmp_path / name, some)) for name, some in (("wild", episodes), ("plain", calm)))
    assert wild.names == plain.names and wild.attributes == plain.attributes
    assert not any(name.startswith("on") for name in wild.attributes)
    shown = json.loads(wild.script)["files"][0]["episodes"]
    assert [one["turns"][0]["text"] for one in shown] == [one.turns[0].response for one in episodes]


# -- tables -------------------------------------------------------------------------------------------


def labelled(texts: list[str]) -> Report:
    """A report whose labels, types and notes are what somebody said."""
    made = report(
        title=texts[0], notes=tuple(texts), forced=tuple(texts[:3]), environment=texts[1], bank=texts[2], by=("x",)
    )
    first, second = (f"{text}" for text in texts[:2])
    rows = [
        replace(row, label=label, settings={texts[2]: texts[3], "gate.beta": -0.5})
        for row, label in zip(made.rows, (first, second), strict=True)
    ]
    return replace(
        made, rows=tuple(rows), pairs=tuple(replace(pair, first=first, second=second) for pair in made.pairs)
    )


def wild_reports() -> Iterator[Report]:
    random = Random("reports")
    for start in range(0, len(PAYLOADS) - 4, 4):
        yield labelled(list(PAYLOADS[start : start + 4]))
    for _ in range(max(6, COUNT // 20)):
        yield labelled([f"{random.choice(PAYLOADS)}{random.choice(PAYLOADS)}" for _ in range(4)])


def cells(text: str) -> Iterator[str]:
    for line in csv.reader(io.StringIO(text)):
        yield from line


NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")


def check_cells(text: str) -> None:
    for one in cells(text):
        assert not one.lstrip().startswith(("=", "+", "-", "@")) or NUMBER.fullmatch(one), one
        assert not OBEYED.search(one)


def test_no_spreadsheet_computes_what_was_said() -> None:
    for made in wild_reports():
        check_cells(measures(made))
        check_cells(pairs(made))
    check_cells(of_evaluation(evaluation(wild_episodes())).csv)
    check_cells(Table("t", CSV, [list(CSV)]).csv)
    assert [cell(value) for value in (-1.5, None, "-1.5", "+2e-3", "a-b", "-", "=1", " =1")] == [
        *(-1.5, None, "-1.5", "+2e-3", "a-b", "'-", "'=1", "' =1"),
    ]


def test_markdown_and_latex_show_what_was_said() -> None:
    for made in wild_reports():
        text = markdown(made)
        assert not OBEYED.search(text) and not re.search(r"(?<!\\)<(?!br>)", text)
        assert not re.search(r"(?<!\\)\]\(", text)
        text = latex(made)
        assert not OBEYED.search(text)
        assert not re.search(r"^[^%].*\\(input|write|loop|end\{document)", text, re.MULTILINE)
        out = io.StringIO()
        render(made, Console(file=out, width=100, highlight=False))
        assert not OBEYED.search(out.getvalue())
    for row in Table("t", ("a",), [[text] for text in PAYLOADS]).markdown.splitlines():
        assert not OBEYED.search(row) and not re.search(r"(?<!\\)<", row) and not re.search(r"(?<!\\)\]\(", row)


def test_a_card_keeps_what_was_said_in_its_place() -> None:
    for text in (*PAYLOADS, *(text[:2000] for text in said())):
        block = fenced(text).split("\n")
        assert block[-1] == block[0].removesuffix("text") and not any(
            line.startswith(block[-1]) for line in block[1:-1]
        )
        one = code(text)
        ticks = re.match("`+", one)[0]
        assert "\n" not in one and "|" not in one and one.endswith(ticks) and ticks not in one[len(ticks) : -len(ticks)]
        assert not OBEYED.search(fenced(text)) and not OBEYED.search(one)


def test_what_is_kept_of_an_evaluation_is_read_back(tmp_path: Path) -> None:
    made = evaluation(wild_episodes())
    made.save(tmp_path / "base-no_skills.json")
    loaded: Any = Evaluation.load(tmp_path / "base-no_skills.json")
    assert loaded.records == made.records
