"""Rollouts on disk: record what a policy played, and train on it again without generating anything.

    sdar train … rollout.record=rollouts.jsonl.gz
    sdar train … rollout.replay=rollouts.jsonl.gz

One JSON object a line, an episode each, gzipped where the name ends in ``.gz``. An episode that was recorded
twice (a run that was resumed) counts as it was recorded last. Token ids mean what the recording's tokenizer
meant; no weights and no prompts beyond those ids and texts are kept.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import UserError
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.rollout.loop import Start, Timing
from sdar_envs.base import Task

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever

FORMAT = 1


def append_rollout(path: Path, step: int, episodes: Iterable[Episode]) -> None:
    """Add a step's episodes to a file, in one write that is synced before this returns.

    Raises:
        UserError: the file cannot be written.
    """
    lines = "".join(json.dumps(_to_json(step, episode), separators=(",", ":")) + "\n" for episode in episodes)
    data = lines.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"the rollout file {path} cannot be written ({error.strerror}): name another") from None


def read_rollouts(path: Path) -> dict[int, list[Episode]]:
    """Episodes by step, in the order of group and sample. A last line that was cut off is left out.

    Raises:
        UserError: one sentence naming the file and the line: missing, malformed, empty.
    """
    found: dict[tuple[int, int, int], Episode] = {}
    lines = _lines(path)
    for number, line in enumerate(lines, 1):
        try:
            step, episode = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            reason = " ".join(str(error).split())[:80]
            raise UserError(
                f"{path}, line {number}, is no recorded episode ({reason}): record the rollouts again"
            ) from None
        found[step, episode.group, episode.sample] = episode
    if not found:
        raise UserError(f"{path} holds no episode: record rollouts with rollout.record={path}")
    out: dict[int, list[Episode]] = {}
    for step, _, _ in sorted(found):
        out.setdefault(step, [])
    for (step, _, _), episode in sorted(found.items(), key=lambda item: item[0]):
        out[step].append(episode)
    return out


class ReplayLoop:
    """Stands where the rollout loop stands, and gives each step's recorded episodes.

    Args:
        step: what step it is.
        teacher: whether episodes must hold the teacher's prompts.
    """

    def __init__(self, path: Path, retriever: Retriever, step: Callable[[], int], *, teacher: bool) -> None:
        self.path = path
        self.retriever = retriever
        self.timing = Timing()
        self._step = step
        self._teacher = teacher
        self._rollouts = read_rollouts(path)

    def play(self, starts: Sequence[Start]) -> list[Episode]:
        """The recorded episodes of the groups that are asked for.

        Raises:
            UserError: the recording lacks the step, or a group of it, or the teacher's prompts.
        """
        step = self._step()
        if step not in self._rollouts:
            steps = f"{min(self._rollouts)} to {max(self._rollouts)}"
            raise UserError(
                f"{self.path} holds the steps {steps} and not {step}: set train.steps={max(self._rollouts) + 1}"
            )
        groups = {start.group for start in starts}
        episodes = [episode for episode in self._rollouts[step] if episode.group in groups]
        if missing := groups - {episode.group for episode in episodes}:
            raise UserError(
                f"{self.path} has no group {min(missing)} at step {step}: set rollout.tasks to what was recorded"
            )
        if self._teacher and any(turn.teacher_prompt_ids is None for e in episodes for turn in e.turns[:1]):
            raise UserError(
                f"{self.path} was recorded without a teacher: record it with a method that has one, or set method=grpo"
            )
        return episodes


class RecordingLoop:
    """A rollout loop that also writes down what it played; ``keep`` receives each step's episodes."""

    def __init__(self, loop: Any, keep: Callable[[list[Episode]], None]) -> None:
        self._loop = loop
        self._keep = keep

    def play(self, starts: Sequence[Start]) -> list[Episode]:
        episodes = self._loop.play(starts)
        self._keep(episodes)
        return episodes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = _gunzip(data)
        return data.decode("utf-8").splitlines(keepends=True)
    except OSError as error:
        reason = error.strerror or "it is not gzip"
        raise UserError(f"the rollout file {path} cannot be read ({reason}): correct rollout.replay") from None
    except UnicodeDecodeError:
        raise UserError(f"the rollout file {path} is not UTF-8 text: correct rollout.replay") from None


def _gunzip(data: bytes) -> bytes:
    """All that can be read: a last member that was cut off ends the text."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        try:
            while block := file.read(1 << 20):
                out.write(block)
        except EOFError:
            pass
    return out.getvalue()


def _to_json(step: int, episode: Episode) -> dict[str, Any]:
    return {"format": FORMAT, "step": step, **dataclasses.asdict(episode)}


def _from_json(content: dict[str, Any]) -> tuple[int, Episode]:
    if content.pop("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    step = content.pop("step")
    if not isinstance(step, int):
        raise ValueError("its step is not a number")
    content["task"] = Task(**content["task"])
    content["turns"] = [Turn(**turn) for turn in content["turns"]]
    content["skills"] = tuple(content["skills"])
    content["stop"] = StopReason(content["stop"])
    return step, Episode(**content)
