"""What window and full context cost: the counts follow the closed form, the page the committed figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import marked  # noqa: E402
from contexts import closed, command, markdown, quality  # noqa: E402
from contexts.prefix import PrefixCache, found  # noqa: E402
from contexts.tokens import count  # noqa: E402
from contexts.wander import Walk, tell  # noqa: E402

from sdar_cli.models.word_tokenizer import build_tokenizer  # noqa: E402
from sdar_cli.rollout.context import Context  # noqa: E402
from sdar_cli.skills.retrieval import Retrieval  # noqa: E402
from sdar_cli.skills.skill import parse_skill  # noqa: E402
from sdar_envs import base  # noqa: E402

SKILL = "---\nname: one\ndescription: about it\ntask_types: [any]\n---\nopen the left door\n"


class Doors(base.Environment):
    """Every observation, action and prompt line is as long as every other."""

    name = "doors"

    def __init__(self) -> None:
        super().__init__(base.Options())

    def tasks(self, split: str) -> list[base.Task]:
        return [base.Task("t", "any", "leave the house")]

    def reset(self, task: base.Task) -> base.Observation:
        return base.Observation("you see a door")

    def step(self, action: str) -> base.Step:
        return base.Step(base.Observation("you see a door"), 0.0, False)

    def parse(self, response: str) -> base.Action | base.Invalid:
        return base.Action(response)

    def prompt(self, history: base.History) -> list[base.Message]:
        past = "".join(f"\nsaw {turn.observation.text} did {turn.action}" for turn in history.recent)
        return [{"role": "user", "content": f"task {history.goal}{past}\nnow {history.observation.text}"}]

    def followup(self, observation: base.Observation) -> str:
        return f"now {observation.text}"


@pytest.mark.parametrize(("turns", "history", "thought"), [(1, 2, 0), (2, 0, 3), (3, 5, 0), (9, 2, 4)])
def test_counted_tokens_are_those_of_the_closed_form(
    turns: int, history: int, thought: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Doors()
    (task,) = environment.tasks("train")
    skill = parse_skill(SKILL, where="here", stem="one")
    retrieved = Retrieval((skill,), {"one": ""}, True)
    tokenizer = build_tokenizer(["task leave the house saw you see a door did open it now", SKILL])
    context = Context(environment, tokenizer, "window", history, 10, "user", {}, False, True)
    retriever = SimpleNamespace(retrieve=lambda **_: retrieved)
    workshop = SimpleNamespace(environment=environment, retriever=retriever, context=lambda _: context)
    first = environment.reset(task)
    walk = Walk(task, first, [base.Exchange(first, "open it")] * turns, first)
    told = {
        kind: tell(workshop, tokenizer, [walk], kind=kind, turns=turns, group=1, thought=thought)
        for kind in ("window", "full")
    }
    opening = told["window"][0].turns[0]
    shape = closed.Shape(
        turns=turns,
        head=len(opening.prompt_ids) - 4,
        shared=2 + 1 + 3,  # the message's beginning, "task", the goal
        message=5 + 1,  # the message's beginning and end, the answer's beginning; "now"
        observation=4,
        response=2 + 2 + 1 + (2 + thought if thought else 0),
        past=1 + 4 + 1 + 2,
        history=history,
        skills=len(opening.teacher_prompt_ids) - len(opening.prompt_ids),
    )
    assert shape.skills > 4
    monkeypatch.setattr("contexts.tokens.found", lambda turns: found(turns, block=1))
    full = count(told["full"], "full")
    assert full == closed.full(shape)
    window, expected = count(told["window"], "window"), closed.window(shape)
    same = {name: getattr(window, name) for name in closed.Cost.__slots__ if name != "cached"}
    assert same == {name: getattr(expected, name) for name in same}
    assert window.cached >= expected.cached
    if not history:
        assert window.cached == window.read - len(opening.prompt_ids) - (turns - 1)  # all the same prompt


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), max_size=8), st.integers(1, 4))
def test_the_cache_finds_the_longest_beginning_in_whole_blocks(prompts: list[list[int]], block: int) -> None:
    cache = PrefixCache(block)
    for number, prompt in enumerate(prompts):
        longest = 0
        for other in prompts[:number]:
            common = next((i for i, (a, b) in enumerate(zip(prompt, other, strict=False)) if a != b), None)
            common = min(len(prompt), len(other)) if common is None else common
            longest = max(longest, common // block * block)
        assert cache.find(prompt) == min(longest, (len(prompt) - 1) // block * block)
        cache.keep(prompt)


def test_an_answer_is_found_by_the_next_turn_only() -> None:
    first, answer = [1, 2, 3, 4], [5, 6]
    again = [*first, *answer, 7]
    assert found([[(first, answer), (again, [8])]], block=1) == 4
    assert found([[(first, answer)], [(again, [8])]], block=1) == 5  # 6 was sampled last, and not read


def test_the_page_is_made_of_the_committed_figures() -> None:
    figures = json.loads(command.JSON.read_text(encoding="utf-8"))
    text = markdown.tables(figures, quality.read(quality.CSV))
    assert marked.embedded(command.PAGE, command.MARK) == text.strip()


def test_quality_pairs_seeds_that_both_contexts_have(tmp_path: Path) -> None:
    table = tmp_path / "seeds.csv"
    cells = "0.1,1.0,{},1.0"
    lines = ["overrides,seed,tasks,base_no_skills,base_skills,trained_no_skills,trained_skills"]
    for kind, shares in (("window", (0.5, 0.7, 0.9)), ("full", (0.6, 0.8))):
        lines += [f"rollout.context={kind} x=1,{n},10,{cells.format(share)}" for n, share in enumerate(shares)]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    runs = quality.read(table)
    assert list(runs["window"]) == list(runs["full"]) == [0, 1]
    difference = quality.difference(runs, "trained_no_skills")
    assert difference.estimate == pytest.approx(0.1)
    assert difference.low < 0.1 < difference.high
    assert "| full − window, points | +0.0" in markdown.quality(runs)


@pytest.mark.train
def test_the_command_measures_tokens_and_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    words = ["contexts.py", "--tiny", "--only", "tokens", "time", "--repeats", "1", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    assert command.main("about") == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    (short, long) = figures["tokens"]["household"]
    assert long["full"]["read"] > long["window"]["read"] > short["window"]["read"]
    assert long["full"]["trained"] < long["window"]["trained"]
    assert all(cell["median"] > 0 for cell in figures["ratios"].values())
    assert max(map(len, capsys.readouterr().out.splitlines()[2:])) <= 80
