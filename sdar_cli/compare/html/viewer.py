"""Transcripts as the viewer reads them: the runs' files, with what repeats written once.

A response is one text, and its tokens are lengths in UTF-16 units, as JavaScript counts; gaps are in thousandths of
a nat, gates in hundredths. Long texts (prompts, observations, skills) stand in one list, by index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdar_cli.compare.report import Report
from sdar_cli.evaluation.transcripts import SUFFIX, Transcript, load_transcript

LARGEST = 8_000_000
"""Characters of all transcripts in a page; runs beyond are left out, the first runs of all rows coming first."""
_NAME = re.compile(rf"(?P<label>base|trained)(?:-step-(?P<step>\d+))?-(?P<mode>no_skills|skills){re.escape(SUFFIX)}")


class Texts:
    """Each text once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def listed(self) -> list[str]:
        return list(self._places)


def viewer_data(report: Report, folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """What the page holds as JSON; None where no run has a transcript.

    Raises:
        RunError: a transcript is damaged.
    """
    texts, files, left_out, size = Texts(), [], [], 0
    for row, run in _runs(report):
        if run not in folders:
            continue
        if size > LARGEST:
            left_out.append(run)
            continue
        for transcript in _chosen(folders[run]):
            files.append(_file(run, row, transcript, texts))
            size += len(json.dumps(files[-1]))
    if not files:
        return None
    return {"files": files, "texts": texts.listed(), "left_out": left_out}


def _runs(report: Report) -> Iterator[tuple[int, str]]:
    """(row, run): the first run of every row, then the second, and so on."""
    most = max((len(row.runs) for row in report.rows), default=0)
    for number in range(most):
        for place, row in enumerate(report.rows):
            if number < len(row.runs):
                yield place, row.runs[number]


def _chosen(folder: Path) -> list[Transcript]:
    """Of the end and of the base, without skills first; those of other panels and conditions have a hash in their
    names, and are none of the comparison's."""
    found: dict[tuple[str, str], tuple[int, Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []:
        if match := _NAME.fullmatch(path.name):
            key, step = (match["label"], match["mode"]), int(match["step"] or 0)
            found[key] = max(found.get(key, (-1, path)), (step, path))
    chosen = sorted(found.items(), key=lambda one: (one[0][0] == "base", one[0][1] == "skills"))
    return [load_transcript(path) for _, (_, path) in chosen]


def _file(run: str, row: int, transcript: Transcript, texts: Texts) -> dict[str, Any]:
    head = transcript.head
    return {
        "run": run,
        "row": row,
        "label": head["label"],
        "mode": head["mode"],
        "step": head["step"],
        "gate": head.get("gate"),
        "skills": {name: texts.place(text) for name, text in head["skills"].items()},
        "episodes": [_episode(episode, texts) for episode in transcript.episodes],
    }


def _episode(episode: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    kept = {name: episode[name] for name in ("task", "type", "won", "score", "reward", "stop", "error", "skills")}
    turns, read = [], episode["read"]
    for turn in episode["turns"]:
        turns.append(_turn(turn, read, texts))
        read = turn["answer"]
    return kept | {
        "goal": texts.place(episode["goal"]),
        "prompt": texts.place(episode["prompt"]),
        "turns": turns,
        "last": texts.place(read),
    }


def _turn(turn: Mapping[str, Any], read: str, texts: Texts) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "read": texts.place(read),
        "text": "".join(turn["tokens"]),
        "cuts": [_units(token) for token in turn["tokens"]],
        "action": turn["action"],
        "reward": turn["reward"],
    }
    if turn["gap"] is not None:
        kept |= {"gap": _scaled(turn["gap"], 1000), "gate": _scaled(turn["gate"], 100)}
    if turn["invalid"] is not None:
        kept["invalid"] = turn["invalid"]
    if turn["truncated"]:
        kept["truncated"] = True
    return kept


def _scaled(values: Sequence[float | None], factor: int) -> list[int | None]:
    return [None if value is None else round(value * factor) for value in values]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
