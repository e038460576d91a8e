"""What the policy reads each turn: one user message, in full sentences or in very few words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sdar_envs.base import Exchange, History, Message, Observation
from sdar_envs.search_qa.parsing import read_action, tagged

FULL = """\
Answer a question with the help of a search engine.
Question: {question}
Steps taken so far: {steps}. Searches that you may make in all: {searches}.{recent}

First reason about what you know and what is missing, inside <think> </think>. Then do exactly one of two things:
- look up what is missing with a short query: <search> query </search>. What is found comes back to you inside \
<information> </information>.
- give the answer itself, in as few words as possible and without an explanation: <answer> answer </answer>. \
This ends the task."""

NEXT = "Reason about it inside <think> </think>, then either search again or answer."

BRIEF = "question: {question}{recent}"

HINT = "Write search[words] to look something up, or answer[text] to answer, which ends the episode."
NOTHING_FOUND = "Nothing was found."
OUT_OF_SEARCHES = "No search is left. The episode ends without an answer."
RIGHT = "Right."
WRONG = "Wrong. The answer is {answer}."

_INFORMATION = re.compile(r"\A<information>(?P<json>.*)</information>\Z", re.DOTALL)
_DOCUMENT = re.compile(r"^Doc \d+: ", re.MULTILINE)


def information(documents: Sequence[str]) -> str:
    """An observation: the documents as JSON, in ASCII, between tags."""
    listed = "".join(f"Doc {number}: {contents.strip()}\n" for number, contents in enumerate(documents, 1))
    return f"<information>{json.dumps({'result': listed or NOTHING_FOUND})}</information>"


def full_prompt(history: History, searches: int) -> list[Message]:
    """Question, steps taken, recent steps with what each found."""
    recent = "".join(
        f"\n\nStep {number}: {tagged(turn.action)}" + (f"\n{found}" if found else "")
        for number, turn, found in _steps(history)
    )
    text = FULL.format(question=history.goal, steps=len(history.turns), searches=searches, recent=recent)
    return [{"role": "user", "content": text}]


def brief_prompt(history: History) -> list[Message]:
    """The same, for a small model that learns what the parts mean."""
    recent = "".join(
        f"\n{_brief_action(turn)}" + (f"\n{brief(found)}" if found else "") for _, turn, found in _steps(history)
    )
    return [{"role": "user", "content": BRIEF.format(question=history.goal, recent=recent)}]


def brief(observation: str) -> str:
    """An observation's documents, one a line, each without its title where the text names that."""
    found = _INFORMATION.match(observation)
    if found is None:
        return observation
    listed = json.loads(found["json"])["result"]
    return "\n".join(_brief_document(document) for document in reversed(_DOCUMENT.split(listed)) if document.strip())


def full_followup(observation: Observation) -> str:
    return f"{observation.text}\n{NEXT}"


def _brief_document(contents: str) -> str:
    title, _, text = contents.strip().partition("\n")
    title, text = title.strip('"'), " ".join(text.split())
    return text if title in text else f"{title}: {text}"


def _brief_action(turn: Exchange) -> str:
    move = read_action(turn.action)
    return f"{move[0]}: {move[1]}" if move else turn.action or "nothing"


def _steps(history: History) -> Iterator[tuple[int, Exchange, str]]:
    """Number, turn and what was found of each recent step; the current observation is always among them."""
    seen = [*(turn.observation for turn in history.turns), history.observation]
    results = [_new(before, after) for before, after in pairwise(seen)]
    first = len(history.turns) - len(history.recent)
    shown = list(zip(range(first + 1, len(history.turns) + 1), history.recent, results[first:], strict=True))
    latest = max((number for number, result in enumerate(results, 1) if result), default=0)
    if 0 < latest <= first:  # the window begins after the step that found what is observed now
        shown.insert(0, (latest, history.turns[latest - 1], results[latest - 1]))
    yield from shown


def _new(before: Observation, after: Observation) -> str:
    """What a step found: nothing where it was invalid, since the same is observed again."""
    return "" if after == before else after.text
