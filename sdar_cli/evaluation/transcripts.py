"""Transcripts: the first episodes of an evaluation, word for word, in ``RUN/transcripts/<evaluation.name>.jsonl.gz``.

The file's first line says what was played and what its numbers mean; then follows a line an episode, in the
panel's order. For each response token there is its text (those of a turn, joined, are the response as the
environment read it) and, for a policy that read no skills,

    gap   Δ_t = log π(y_t | prompt with skills) − log π(y_t | prompt without), under the weights that played and at
          the training's temperature, whatever the method and its teacher: two runs can stand side by side
    gate  g_t by the run's ``gate`` settings, β as the run ends, also where its method has no gate

A policy that read the skills has no gap: it is about words that were chosen without them. Nor has an episode that
no skill was retrieved for, or whose environment failed.

Size: 16 tasks of ``quickstart`` take 3 KB a file, 16 episodes of 50 turns with 200 tokens each about 0.8 MB.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from sdar_cli.errors import RunError
from sdar_cli.evaluation.files import write_bytes
from sdar_cli.evaluation.token_texts import token_texts
from sdar_cli.evaluation.transcript_form import FORMAT, check
from sdar_cli.reading import Unreadable, gunzip, read_bytes
from sdar_cli.rollout.context import Context, Dialogue, Prompt
from sdar_cli.rollout.episode import Episode, Turn
from sdar_envs.base import Observation, Task

if TYPE_CHECKING:
    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.skills.bank import SkillBank

FOLDER = "transcripts"
SUFFIX = ".jsonl.gz"
LARGEST = 1 << 27
"""Bytes of a transcript, packed or not, that are read."""

Scores = Mapping[tuple[int, int], tuple[Sequence[float], Sequence[float]]]
"""(place of the episode, index of the turn) → gap and gate of its response tokens."""


@dataclass(slots=True)
class Witness:
    """Sees what the episodes of some tasks read, and has the prompt with skills written beside the policy's own."""

    tasks: frozenset[str]
    """Ids."""
    first: dict[str, str] = field(default_factory=dict)
    """Task id → the first observation."""

    @classmethod
    def of(cls, task_ids: Sequence[str], count: int) -> Witness | None:
        """Of the first tasks of a panel; None for none."""
        return cls(frozenset(task_ids[:count])) if count else None

    def watched(self, episodes: Sequence[Episode]) -> list[Episode]:
        return [episode for episode in episodes if episode.task.id in self.tasks]

    def watch(self, context: Context) -> Context:
        own = {entry.name: getattr(context, entry.name) for entry in fields(Context) if entry.init}
        return WatchedContext(**own, witness=self, both=replace(context, teacher=not context.policy_sees_skills))


@dataclass(frozen=True, slots=True)
class WatchedContext(Context):
    """A context whose episodes are watched. What the policy reads is the same to the token."""

    witness: Witness
    both: Context
    """Writes the prompt with skills beside the policy's own, where that has none."""

    def open(self, task: Task, first: Observation, block: str) -> Dialogue:
        if task.id in self.witness.tasks:
            self.witness.first[task.id] = first.text
        return Context.open(self, task, first, block)

    def prompt(self, dialogue: Dialogue) -> Prompt | None:
        watched = bool(dialogue.block) and dialogue.task.id in self.witness.tasks
        return self.both.prompt(dialogue) if watched else Context.prompt(self, dialogue)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A file's content as plain data; see ``head_of`` and ``episode_of`` for the keys."""

    head: Mapping[str, Any]
    episodes: tuple[Mapping[str, Any], ...]


def transcript_file(run: Path, name: str) -> Path:
    """Where a run keeps the transcript of an evaluation."""
    return run / FOLDER / f"{name}{SUFFIX}"


def save_transcript(
    path: Path,
    evaluation: Evaluation,
    episodes: Sequence[Episode],
    first: Mapping[str, str],
    *,
    decode: Callable[[list[int]], str],
    scores: Scores,
    bank: SkillBank,
    about: Mapping[str, Any],
) -> None:
    """Write episodes of an evaluation, whole or not at all.

    Args:
        first: task id → the first observation.
        decode: response tokens → text, as the environment read it.
        about: what the scores were made with.
    """
    shown = {name for episode in episodes for name in episode.skills}
    skills = {skill.name: skill.body for skill in bank.skills if skill.name in shown}
    lines = [head_of(evaluation, skills, about)]
    for place, episode in enumerate(episodes):
        lines.append(episode_of(place, episode, first.get(episode.task.id, ""), decode, scores))
    text = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines)
    write_bytes(path, gzip.compress(text.encode("ascii"), mtime=0))


def head_of(evaluation: Evaluation, skills: Mapping[str, str], about: Mapping[str, Any]) -> dict[str, Any]:
    """The first line: what was played, the texts of the skills that were retrieved, and what scored."""
    return {
        "format": FORMAT,
        "evaluation": evaluation.name,
        "run": evaluation.run,
        "label": evaluation.label,
        "mode": evaluation.mode,
        "step": evaluation.step,
        "environment": evaluation.environment,
        "panel": evaluation.panel,
        "skills": dict(skills),
        **about,
    }


def episode_of(
    place: int, episode: Episode, first: str, decode: Callable[[list[int]], str], scores: Scores
) -> dict[str, Any]:
    """One line. ``read`` is the first observation; a later turn newly reads the ``answer`` of the one before.

    ``prompt`` is the whole text that the first turn read.
    """
    return {
        "task": episode.task.id,
        "type": episode.task.task_type,
        "goal": episode.goal,
        "won": episode.won,
        "score": episode.score,
        "reward": episode.reward,
        "stop": episode.stop.value,
        "error": episode.error,
        "skills": list(episode.skills),
        "prompt": episode.turns[0].prompt_text if episode.turns else "",
        "read": first,
        "turns": [_turn(turn, decode, scores.get((place, turn.index))) for turn in episode.turns],
    }


def _turn(
    turn: Turn, decode: Callable[[list[int]], str], scores: tuple[Sequence[float], Sequence[float]] | None
) -> dict[str, Any]:
    gap, gate = scores or (None, None)
    return {
        "tokens": token_texts(turn.response_ids, decode, turn.response),
        "gap": _rounded(gap, 4),
        "gate": _rounded(gate, 3),
        "action": turn.action,
        "invalid": turn.invalid,
        "answer": turn.observation,
        "reward": turn.reward,
        "truncated": turn.truncated,
    }


def _rounded(values: Sequence[float] | None, digits: int) -> list[float | None] | None:
    """None for a value that is not finite."""
    if values is None:
        return None
    return [round(value, digits) + 0.0 if math.isfinite(value) else None for value in values]


def load_transcript(path: Path) -> Transcript:
    """Raises RunError where the file is missing, damaged, or none that ``save_transcript`` could have written."""
    try:
        head, *episodes = [_line(line) for line in gunzip(read_bytes(path, LARGEST), LARGEST).splitlines()]
        check(head, episodes)
    except (Unreadable, ValueError, RecursionError) as error:
        why = error if isinstance(error, Unreadable) else "holds lines that are none of a transcript"
        raise RunError(
            f"the transcript {path} cannot be read (it {why}): remove it, or rewrite it with `sdar eval`"
        ) from None
    return Transcript(head, tuple(episodes))


def _line(text: bytes) -> Any:
    return json.loads(text.decode(), parse_constant=lambda name: _raise(ValueError(name)))


def _raise(error: Exception) -> Never:
    raise error
