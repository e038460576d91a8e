"""Recorded rollouts as a file holds them: read a line at a time, and believed only where they can be trained on."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from sdar_cli.errors import UserError
from sdar_cli.paths import user_path
from sdar_cli.reading import Unreadable, open_regular, parse_json, size
from sdar_cli.rollout.episode import Episode, Turn

if TYPE_CHECKING:
    from sdar_cli.recipe.schema import Recipe

FORMAT = 1
GZIP = b"\x1f\x8b"
BLOCK = 1 << 16
MOST_ID = 2**31
"""Above every token, step, group and sample."""
LONGEST = 1 << 26
"""Bytes of a line, which is an episode."""
DEPTH = 64


def read_rollouts(path: Path, vocabulary: int | None = None) -> dict[int, list[Episode]]:
    """Episodes by step, in the order of group and sample. A last line that was cut off is left out.

    Args:
        vocabulary: how many tokens the model has; None: not known.

    Raises:
        UserError: one sentence naming the file and the line: missing, malformed, empty.
    """
    found: dict[tuple[int, int, int], Episode] = {}
    for number, (line, ended) in enumerate(_lines(path), 1):
        try:
            step, episode = _episode(line, vocabulary)
        except (Unreadable, ValueError) as error:
            if not ended:
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


def check_recording(recipe: Recipe) -> None:
    """See that ``rollout.replay`` can be trained on, as far as that can be said without the model.

    Raises:
        UserError: it cannot.
    """
    from sdar_cli.recipe.shapes import model_shape

    if recipe.rollout.replay is None:
        return
    known = recipe.init_from is None and recipe.model.tiny is None
    shape = model_shape(recipe.model) if known else None
    read_rollouts(user_path(recipe.rollout.replay), None if shape is None else shape.vocabulary)


def sound_members(file: BinaryIO, path: Path, most: int) -> tuple[bytes, int]:
    """The first bytes that a gzip file unpacks to, and where its last whole member ends.

    Raises:
        UserError: it is damaged, or no gzip.
    """
    head, sound = b"", 0
    for part, end in _members(file, path):
        head = (head + part)[:most] if len(head) < most else head
        sound = sound if end is None else end
    return head, sound


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Each line, and whether it came to its end. Raises UserError."""
    try:
        with open_regular(path) as file:
            parts = (part for part, _ in _members(file, path)) if path.suffix == ".gz" else _blocks(file)
            yield from _split(parts, path)
    except Unreadable as error:
        raise UserError(f"the rollout file {path} {error}: correct rollout.replay") from None
    except OSError as error:
        raise UserError(f"the rollout file {path} cannot be read ({error.strerror}): correct rollout.replay") from None


def _split(parts: Iterator[bytes], path: Path) -> Iterator[tuple[bytes, bool]]:
    rest = bytearray()
    for part in parts:
        *lines, last = part.split(b"\n")
        for line in lines:
            yield bytes(rest) + line, True
            rest.clear()
        rest += last
        if len(rest) > LONGEST:
            raise UserError(
                f"the rollout file {path} has a line of more than {size(LONGEST)}, which is no episode: name another"
            )
    if rest:
        yield bytes(rest), False


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int | None]]:
    """Unpacked parts, a last member that was cut off included; behind the last of a whole one, where that ends."""
    at, zipped = 0, None
    member = zlib.decompressobj(wbits=31)
    for block in _blocks(file):
        zipped = block.startswith(GZIP) if zipped is None else zipped
        while block:
            try:
                part = member.decompress(block, BLOCK)
            except zlib.error:
                what = "is damaged" if zipped else "is not gzip"
                raise UserError(f"the rollout file {path} {what}: name another, or record the rollouts again") from None
            rest = member.unused_data if member.eof else member.unconsumed_tail
            at += len(block) - len(rest)
            yield part, at if member.eof else None
            block = rest
            if member.eof:
                member = zlib.decompressobj(wbits=31)
    yield member.flush(), None


def _episode(line: bytes, vocabulary: int | None) -> tuple[int, Episode]:
    """Raises Unreadable or ValueError for anything but a recorded episode."""
    content = parse_json(line, depth=DEPTH)
    if not isinstance(content, dict) or type(content.get("format")) is not int or content["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    step = content.get("step")
    if type(step) is not int or not 0 <= step < MOST_ID:
        raise ValueError("its step is not a number")
    episode = _episode_type().validate_json(line.removeprefix(b"\xef\xbb\xbf"), strict=True)
    if not (0 <= episode.group < MOST_ID and 0 <= episode.sample < MOST_ID):
        raise ValueError("its group or sample is not a number")
    if not (math.isfinite(episode.reward) and math.isfinite(episode.score)):
        raise ValueError("its reward or score is no finite number")
    for place, turn in enumerate(episode.turns):
        _check(turn, place, vocabulary)
    return step, episode


@cache
def _episode_type() -> TypeAdapter[Episode]:
    return TypeAdapter(Episode)


def _check(turn: Turn, place: int, vocabulary: int | None) -> None:
    """Raises ValueError where a turn would not make a training row."""
    ids = [*turn.prompt_ids, *turn.response_ids, *(turn.teacher_prompt_ids or ())]
    if turn.index != place:
        raise ValueError(f"turn {place} has the index {turn.index}")
    if not turn.prompt_ids or turn.teacher_prompt_ids == []:
        raise ValueError(f"the prompt of turn {place} is empty")
    if min(ids) < 0 or max(ids) >= MOST_ID:
        raise ValueError(f"turn {place} holds a number that is no token")
    if vocabulary is not None and max(ids) >= vocabulary:
        raise ValueError(f"turn {place} holds the token {max(ids)}, and the model has {vocabulary}")
    if turn.logprobs is not None and len(turn.logprobs) != len(turn.response_ids):
        raise ValueError(f"turn {place} has {len(turn.logprobs)} log-probs for {len(turn.response_ids)} tokens")
    if not math.isfinite(turn.reward) or not all(map(math.isfinite, turn.logprobs or ())):
        raise ValueError(f"turn {place} has a reward or a log-prob that is no finite number")


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))[:120]}: {first['msg'][:120]}"
    told = str(error).removeprefix("is ").removeprefix("holds ") if isinstance(error, Unreadable) else str(error)
    return " ".join(told.split())[:80]
