"""The transcript viewer: by keyboard alone, its filters, and the colours of tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_samples import PANEL, episode, head, played, report, turn, write, write_transcripts

from sdar_cli.compare.html.page import html


@pytest.fixture
def viewer(opened: Callable[..., Any], tmp_path: Path) -> Any:
    return opened(html(report(), write_transcripts(tmp_path / "runs"))).page


OUTLINE = """(() => {
    const own = document.activeElement;
    const seen = own.matches("input[type=radio]") ? own.nextElementSibling : own;
    return [own.id || own.name || own.className || own.tagName, getComputedStyle(seen).outlineStyle];
})()"""


def goals(page: Any) -> list[str]:
    return page.eval_on_selector_all("#tasks li > span:nth-of-type(2)", "all => all.map(one => one.textContent)")


def thing(number: int) -> str:
    return f"bring thing {number} to the shelf."


def test_it_begins_with_the_ends_of_both_rows_without_skills(viewer: Any) -> None:
    assert [who.inner_text() for who in viewer.locator("#heads .how").all()] == [
        "sdar-s0 · trained 40 · without skills",
        "grpo-s0 · trained 40 · without skills",
    ]
    assert goals(viewer) == [thing(number) for number in range(8)]
    assert viewer.locator("#found").inner_text() == "8 of 8 tasks"


def test_by_keyboard_alone(viewer: Any) -> None:
    press, focused = viewer.keyboard.press, lambda: viewer.evaluate("document.activeElement.id")
    press("j")
    press("j")
    assert viewer.locator("#goal").inner_text() == thing(2)
    press("k")
    assert viewer.locator("#goal").inner_text() == thing(1)
    press("/")
    assert focused() == "search"
    viewer.keyboard.type("jg? thing 5")
    assert viewer.locator("#search").input_value() == "jg? thing 5"
    viewer.keyboard.press("ControlOrMeta+a")
    viewer.keyboard.type("thing 5")
    assert goals(viewer) == [thing(5)] and viewer.locator("#goal").inner_text() == thing(5)
    viewer.keyboard.press("ControlOrMeta+a")
    press("Delete")
    press("Escape")
    assert focused() != "search" and len(goals(viewer)) == 8
    viewer.locator("#search").focus()
    press("Tab")
    assert focused() == "help"
    press("Tab")
    assert focused() == "tasks"
    press("ArrowDown")
    press("End")
    chosen = viewer.locator("#tasks li[aria-selected=true]")
    assert chosen.count() == 1 and thing(7) in chosen.inner_text()
    assert viewer.locator("#tasks").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    press("Home")
    assert viewer.locator("#goal").inner_text() == thing(0)
    press("?")
    assert viewer.locator("#keys").is_visible()
    press("j")
    assert viewer.locator("#goal").inner_text() == thing(0)
    press("Escape")
    assert not viewer.locator("#keys").is_visible()


def test_every_stop_of_the_tab_key_can_be_seen(viewer: Any) -> None:
    viewer.locator("#left").focus()
    seen = []
    for _ in range(14):
        viewer.keyboard.press("Tab")
        outline = viewer.evaluate(OUTLINE)
        seen.append(outline[0])
        assert outline[1] != "none", outline
    assert seen[:8] == ["right", "outcome", "type", "search", "help", "tasks", "colour", "SUMMARY"]
    assert "response" in seen


def test_tokens_are_read_out_and_coloured(viewer: Any) -> None:
    viewer.keyboard.press("j")
    viewer.keyboard.press("j")
    left = viewer.locator("#turns .response").nth(0)
    assert left.inner_text() == "<action> take thing 2 </action>∎"
    classes = left.evaluate("one => [...one.children].map(token => token.className.trim().split(' ')[0])")
    assert classes == ["s2", "s2", "l2", "g3", "g1", "s2"]
    background = "one => getComputedStyle(one.children[3]).backgroundColor"
    by_gap = left.evaluate(background)
    viewer.keyboard.press("g")
    by_gate = left.evaluate(background)
    assert viewer.locator('input[value="gate"]').is_checked()
    assert by_gap != by_gate and "gate" in viewer.locator("#scale").inner_text()
    viewer.keyboard.press("g")
    assert left.evaluate(background) == by_gap
    viewer.locator(".choice label").nth(2).click()
    assert left.evaluate(background) == "rgba(0, 0, 0, 0)" and viewer.locator("#scale").inner_text() == ""
    left.focus()
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "End"):
        viewer.keyboard.press(key)
        said.append(viewer.locator("#tip").inner_text())
    assert said[2:] == ["“ thing”, gap −0.600, gate 0.05", "“ 2”, gap +2.50, gate 1.00", SAID_OF_THE_END]
    assert viewer.locator("#readout").inner_text() == SAID_OF_THE_END
    left.locator("span").nth(3).hover()
    assert viewer.locator("#tip").inner_text() == "“ 2”, gap +2.50, gate 1.00"


SAID_OF_THE_END = "end of the response, gap 0.000, gate 0.50"


def test_filters(viewer: Any) -> None:
    """Task t is solved on the left where t's last bit is set, on the right where its second is."""
    expected = {
        "all": range(8),
        "one": (1, 2, 5, 6),
        "left": (1, 5),
        "right": (2, 6),
        "both": (3, 7),
        "neither": (0, 4),
    }
    for name, tasks in expected.items():
        viewer.select_option("#outcome", name)
        assert goals(viewer) == [thing(number) for number in tasks], name
        assert f"({len(tasks)})" in viewer.locator(f'#outcome option[value="{name}"]').inner_text()
        assert viewer.locator("#goal").inner_text() == thing(tasks[0])
    viewer.select_option("#outcome", "all")
    viewer.select_option("#type", "heat")
    assert goals(viewer) == [thing(number) for number in (1, 4, 7)]
    viewer.select_option("#outcome", "left")
    assert goals(viewer) == [thing(1)]
    viewer.locator("#search").fill("nothing holds this")
    assert goals(viewer) == [] and viewer.locator("#goal").inner_text() == "No task fits the filters."
    viewer.keyboard.press("Escape")
    viewer.keyboard.press("j")
    assert viewer.locator("#turns li").count() == 0


def test_search_finds_what_was_said_and_read(viewer: Any) -> None:
    viewer.locator("#search").fill("TAKE THING 6")
    assert goals(viewer) == [thing(6)]
    viewer.locator("#search").fill("answer 3 to run 1")
    assert len(goals(viewer)) == 8


def test_turns_stand_side_by_side(viewer: Any) -> None:
    viewer.keyboard.press("j")
    turns = viewer.locator("#turns > li")
    assert turns.count() == 5
    boxes = [one.bounding_box() for one in turns.nth(0).locator(".response").all()]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
    assert "invalid: no action tag" in turns.nth(0).inner_text() and "nothing" in turns.nth(0).inner_text()
    assert "The episode is over." in turns.nth(3).inner_text() and "Answer 2 to run 0." in turns.nth(3).inner_text()
    assert "solved" in viewer.locator("#heads").inner_text()


def test_the_base_beside_the_end_of_one_run(viewer: Any) -> None:
    labels = viewer.eval_on_selector_all("#right option", "all => all.map(one => one.textContent)")
    viewer.select_option("#right", str(labels.index("sdar-s0 · base · without skills")))
    assert "sdar-s0 · base · without skills" in viewer.locator("#heads").inner_text()
    viewer.keyboard.press("s")
    assert viewer.locator("#heads .how").nth(0).inner_text() == "sdar-s0 · base · without skills"
    viewer.select_option("#left", str(labels.index("sdar-s0 · trained 40 · with skills")))
    assert "Skills in its prompt: general" in viewer.locator("#heads").inner_text()
    token = viewer.locator("#turns .response").nth(0)
    assert token.evaluate("one => one.children[2].className") == ""
    token.focus()
    viewer.keyboard.press("ArrowRight")
    assert viewer.locator("#tip").inner_text() == "“<action>”, no gap"


def test_the_first_difference_of_two_episodes_is_marked(opened: Callable[..., Any], tmp_path: Path) -> None:
    for run, actions in (("sdar-s0", ("a", "b", "c")), ("grpo-s0", ("a", "x", "y"))):
        made = [turn(["act"], [0.0], "seen", action=action) for action in actions]
        write(tmp_path / run / "base-no_skills.jsonl.gz", [head(run, "base", "no_skills"), episode(0, False, made)])
    folders = {run: tmp_path / run for run in ("sdar-s0", "grpo-s0")}
    page = opened(html(report(), folders)).page
    marked = page.eval_on_selector_all(
        "#turns li", "all => all.map(one => one.textContent.includes('first difference'))"
    )
    assert marked == [False, True, False, False]


def test_long_texts_are_folded(opened: Callable[..., Any], tmp_path: Path) -> None:
    long = "You see a great many things. " * 40
    lines = [head("sdar-s0", "base", "no_skills"), episode(0, False, [turn(["act"], [0.0], long)], read=long)]
    write(tmp_path / "base-no_skills.jsonl.gz", lines)
    page = opened(html(report(), {"sdar-s0": tmp_path})).page
    fold = page.locator("#turns details").first
    assert not fold.locator("p").is_visible()
    fold.locator("summary").click()
    assert fold.locator("p").inner_text().count("great many") == 40


def test_fifty_turns_of_two_hundred_tokens_stay_smooth(opened: Callable[..., Any], tmp_path: Path) -> None:
    tokens, gap = [f" w{number}" for number in range(200)], [0.01 * number - 1 for number in range(200)]
    folders = {}
    for run in ("sdar-s0", "grpo-s0"):
        folders[run] = tmp_path / run
        made = [turn(tokens, gap, "seen " * 30) for _ in range(50)]
        lines = [head(run, "trained", "no_skills"), *(episode(task, True, made) for task in range(3))]
        write(folders[run] / "trained-step-40-no_skills.jsonl.gz", lines)
    page = opened(html(report(), folders)).page
    assert page.locator("#turns .response span").count() == 20_000
    clock = time.perf_counter()
    page.keyboard.press("j")
    page.wait_for_function("document.getElementById('goal').textContent.includes('thing 1 ')")
    page.keyboard.press("g")
    page.evaluate("document.body.offsetHeight")
    assert time.perf_counter() - clock < 3.0  # a fifth of it on an idle core


def test_a_task_that_one_side_lacks(opened: Callable[..., Any], tmp_path: Path) -> None:
    for run, tasks in (("sdar-s0", (0, 1)), ("grpo-s0", (1, 2))):
        lines = [head(run, "base", "no_skills") | {"panel": PANEL}, *(played(task, 0) for task in tasks)]
        write(tmp_path / run / "base-no_skills.jsonl.gz", lines)
    page = opened(html(report(), {run: tmp_path / run for run in ("sdar-s0", "grpo-s0")})).page
    assert goals(page) == [thing(number) for number in range(3)]
    assert "not in this transcript" in page.locator("#heads").inner_text()
    assert page.locator("#turns .response").count() == 3
