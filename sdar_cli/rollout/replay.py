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
import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from sdar_cli.errors import UserError
from sdar_cli.rollout.episode import Episode, Turn
from sdar_cli.rollout.loop import Start, Timing

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever

FORMAT = 1
START = b'{"format":'
"""How a recording begins."""
END = gzip.compress(b"", mtime=0)
"""An empty gzip member behind every write: by it the next one knows that the last was not broken off."""
GZIP = b"\x1f\x8b"
BLOCK = 1 << 16
MOST_ID = 2**31


def append_rollout(path: Path, step: int, episodes: Iterable[Episode]) -> None:
    """Add a step's episodes to a file, synced before this returns. What a broken write left is cut off first.

    Raises:
        UserError: the file cannot be written, is something else, or a task holds data that JSON cannot.
    """
    try:
        lines = "".join(json.dumps(_to_json(step, episode), separators=(",", ":")) + "\n" for episode in episodes)
    except (TypeError, ValueError) as error:
        raise UserError(f"the rollout file {path} cannot hold these tasks ({error}): remove rollout.record") from None
    data = lines.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0) + END
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            size = _mend(file, path)
            try:
                _write(file, data)
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise UserError(f"the rollout file {path} cannot be written ({error.strerror}): name another") from None


def read_rollouts(path: Path) -> dict[int, list[Episode]]:
    """Episodes by step, in the order of group and sample. A last line that was cut off is left out.

    Raises:
        UserError: one sentence naming the file and the line: missing, malformed, empty.
    """
    found: dict[tuple[int, int, int], Episode] = {}
    *lines, rest = _text(path).split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, 1):
        try:
            step, episode = _from_json(json.loads(line))
        except (ValueError, RecursionError) as error:
            if number > len(lines):
                break
            raise UserError(
                f"{path}, line {number}, is no recorded episode ({_reason(error)}): record the rollouts again"
            ) from None
        found[step, episode.group, episode.sample] = episode
    if not found:
        raise UserError(f"{path} holds no episode: record rollouts with rollout.record={path}")
    out: dict[int, list[Episode]] = {}
    for (step, _, _), episode in sorted(found.items(), key=lambda item: item[0]):
        out.setdefault(step, []).append(episode)
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
        self._rollouts = {
            step: {(episode.group, episode.sample): episode for episode in episodes}
            for step, episodes in read_rollouts(path).items()
        }

    def play(self, starts: Sequence[Start]) -> list[Episode]:
        """The recorded episode of each group and sample that is asked for; a recording may hold more of them.

        Raises:
            UserError: the recording lacks the step, a group or sample of it, or the teacher's prompts.
        """
        step = self._step()
        if step not in self._rollouts:
            raise UserError(f"{self.path} {_steps_but(step, self._rollouts)}")
        recorded = self._rollouts[step]
        groups = {group for group, _ in recorded}
        for start in starts:
            if start.group not in groups:
                raise UserError(
                    f"{self.path} has no group {start.group} at step {step}: set rollout.tasks to what was recorded"
                )
            if (start.group, start.sample) not in recorded:
                raise UserError(
                    f"{self.path} has no sample {start.sample} of group {start.group} at step {step}: set "
                    "rollout.group to what was recorded"
                )
        episodes = [recorded[start.group, start.sample] for start in starts]
        if self._teacher and any(turn.teacher_prompt_ids is None for e in episodes for turn in e.turns[:1]):
            raise UserError(
                f"{self.path} was recorded without a teacher: record it with a method that has one, or set method=grpo"
            )
        return episodes


class RecordingLoop:
    """A rollout loop whose episodes are written down: by ``keep``, once every process has played its own."""

    def __init__(self, loop: Any, keep: Callable[[list[Episode]], None]) -> None:
        self._loop = loop
        self.keep = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _steps_but(step: int, recorded: Iterable[int]) -> str:
    first, last = min(recorded), max(recorded)
    remedy = f"set train.steps={last + 1}" if step > last else "record it from the first step on"
    return f"holds the steps {first} to {last} and not {step}: {remedy}"


def _write(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _mend(file: BinaryIO, path: Path) -> int:
    """The size of a recording without what a broken write left behind, which is cut off.

    Raises:
        UserError: it is no recording.
    """
    size, zipped = file.seek(0, os.SEEK_END), path.suffix == ".gz"
    whole = END if zipped else b"\n"
    file.seek(max(0, size - len(whole)))
    broken = file.read() != whole
    file.seek(0)
    if zipped:
        head, sound = _gunzip(file.read(), path) if broken else (START, size)
    elif broken:
        head = file.read()
        sound = head.rfind(b"\n") + 1
    else:
        head, sound = file.read(len(START)), size
    if not START.startswith(head[: len(START)]):
        raise UserError(f"{path} exists and is no recording of rollouts: name another file with rollout.record")
    return file.truncate(sound)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"the rollout file {path} cannot be read ({error.strerror}): correct rollout.replay") from None
    if path.suffix == ".gz":
        data, _ = _gunzip(data, path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"the rollout file {path} is not UTF-8 text: correct rollout.replay") from None


def _gunzip(data: bytes, path: Path) -> tuple[bytes, int]:
    """All text that can be read, a last member that was cut off included, and where the last whole one ends."""
    out, at, sound = [], 0, 0
    member = zlib.decompressobj(wbits=31)
    while at < len(data):
        block = data[at : at + BLOCK]
        try:
            out.append(member.decompress(block))
        except zlib.error:
            what = "is damaged" if data.startswith(GZIP) else "is not gzip"
            raise UserError(f"the rollout file {path} {what}: name another, or record the rollouts again") from None
        at += len(block) - len(member.unused_data)
        if member.eof:
            sound, member = at, zlib.decompressobj(wbits=31)
    return b"".join(out), sound


def _to_json(step: int, episode: Episode) -> dict[str, Any]:
    return {"format": FORMAT, "step": step, **dataclasses.asdict(episode)}


def _from_json(content: Any) -> tuple[int, Episode]:
    """Raises ValueError for anything but a recorded episode."""
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    step = content.pop("step", None)
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise ValueError("its step is not a number")
    episode = _episode_type().validate_python(content)
    for place, turn in enumerate(episode.turns):
        _check(turn, place)
    return step, episode


@cache
def _episode_type() -> TypeAdapter[Episode]:
    return TypeAdapter(Episode)


def _check(turn: Turn, place: int) -> None:
    """Raises ValueError where a turn would not make a training row."""
    ids = [*turn.prompt_ids, *turn.response_ids, *(turn.teacher_prompt_ids or ())]
    if turn.index != place:
        raise ValueError(f"turn {place} has the index {turn.index}")
    if not turn.prompt_ids or turn.teacher_prompt_ids == []:
        raise ValueError(f"the prompt of turn {place} is empty")
    if any(not 0 <= token < MOST_ID for token in ids):
        raise ValueError(f"turn {place} holds a number that is no token")
    if turn.logprobs is not None and len(turn.logprobs) != len(turn.response_ids):
        raise ValueError(f"turn {place} has {len(turn.logprobs)} log-probs for {len(turn.response_ids)} tokens")


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split())[:80]
