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
        for transcript in _chosen(folders[run], report.panel):
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


def _chosen(folder: Path, panel: str) -> list[Transcript]:
    """Of the end and of the base, without skills first; of the report's own panel where there are such."""
    paths = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    found: dict[tuple[str, str], Transcript] = {}
    for path in sorted(paths, key=_step):
        transcript = load_transcript(path)
        key = (transcript.head["label"], transcript.head["mode"])
        if key in found and transcript.head["panel"] != panel and found[key].head["panel"] == panel:
            continue
        found[key] = transcript
    return sorted(found.values(), key=lambda one: (one.head["label"] == "base", one.head["mode"] == "skills"))


def _step(path: Path) -> tuple[int, str]:
    found = re.search(r"-step-(\d+)-", path.name)
    return (int(found[1]) if found else 0, path.name)


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
