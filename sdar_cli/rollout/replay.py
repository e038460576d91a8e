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
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sdar_cli.errors import UserError
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start, Timing
from sdar_cli.rollout.recorded import BLOCK, FORMAT, read_rollouts, sound_members
from sdar_cli.runs.disk import disk

if TYPE_CHECKING:
    from sdar_cli.skills.retrieval import Retriever

START = b'{"format":'
"""How a recording begins."""
END = gzip.compress(b"", mtime=0)
"""An empty gzip member behind every write: by it the next one knows that the last was not broken off."""


def append_rollout(path: Path, step: int, episodes: Iterable[Episode]) -> None:
    """Add a step's episodes to a file, synced before this returns. What a broken write left is cut off first.

    Raises:
        RunError: the user may not write there.
        RunFailed: the disk is full, broken, read-only or away; the file is as it was.
        UserError: no file can have this name, it is something else, or a task holds data that JSON cannot.
    """
    try:
        lines = "".join(json.dumps(_to_json(step, episode), separators=(",", ":")) + "\n" for episode in episodes)
    except (TypeError, ValueError) as error:
        raise UserError(f"the rollout file {path} cannot hold these tasks ({error}): remove rollout.record") from None
    data = lines.encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0) + END
    try:
        with disk(path.parent, f"the recording {path.name}"):
            _append(path, data)
    except OSError as error:
        raise UserError(f"the rollout file {path} cannot be written ({error.strerror}): name another") from None


def _append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0, opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path} is no file: name another with rollout.record")
        size = _mend(file, path)
        try:
            _write(file, data)
        except OSError:
            file.truncate(size)
            raise


class ReplayLoop:
    """Stands where the rollout loop stands, and gives each step's recorded episodes.

    Args:
        step: what step it is.
        teacher: whether episodes must hold the teacher's prompts.
        vocabulary: how many tokens the model has.
    """

    def __init__(
        self,
        path: Path,
        retriever: Retriever,
        step: Callable[[], int],
        *,
        teacher: bool,
        vocabulary: int | None = None,
    ) -> None:
        self.path = path
        self.retriever = retriever
        self.timing = Timing()
        self._step = step
        self._teacher = teacher
        self._rollouts = {
            step: {(episode.group, episode.sample): episode for episode in episodes}
            for step, episodes in read_rollouts(path, vocabulary).items()
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


def _open(path: str, flags: int) -> int:
    """Without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


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
    broken = file.read(len(whole)) != whole
    file.seek(0)
    if zipped and broken:
        head, sound = sound_members(file, path, len(START))
    elif broken:
        head, sound = file.read(len(START)), _last_line(file)
    else:
        head, sound = START if zipped else file.read(len(START)), size
    if not START.startswith(head):
        raise UserError(f"{path} exists and is no recording of rollouts: name another file with rollout.record")
    return file.truncate(sound)


def _last_line(file: BinaryIO) -> int:
    """Where the last whole line ends."""
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(0, at - BLOCK)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0


def _to_json(step: int, episode: Episode) -> dict[str, Any]:
    return {"format": FORMAT, "step": step, **dataclasses.asdict(episode)}
