"""All that a training left behind, without what a clock measured; and the first difference of two, in words."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sdar_cli.runs.checkpoints import Checkpoints
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal

CLOCK = re.compile(r"time/.*|.*seconds.*|.*_runtime|.*_per_second|started|ended|system/.*")
"""Names of measurements that no two runs share."""
NAMES = {"run", "name", "folder", "checkpoint_folder"}
"""Names of the run itself: two runs have two."""


def outcome(run: RunFolder, store: Path) -> dict[str, Any]:
    """Name of a part → its value; ``store`` is the SQLite file of the MLflow store."""
    found: dict[str, Any] = {"status": run.state.status.value, "step": run.state.step}
    found["warnings"] = [
        finding.model_dump() if hasattr(finding, "model_dump") else str(finding) for finding in run.state.warnings
    ]
    found["checkpoints"] = [checkpoint.step for checkpoint in run.checkpoints()]
    found["best checkpoint"] = [checkpoint.step for checkpoint in Checkpoints(run.path).best()]
    for path in sorted(run.checkpoints()[-1].path.rglob("*")):
        if path.is_file() and path.name not in ("manifest.json", "complete"):
            found |= dict(_file(f"checkpoint/{path.name}", path))
    for folder in ("base", "evaluations", "transcripts"):
        for path in sorted((run.path / folder).glob("[!.]*")):  # a killed write's part is swept once it is old
            if path.name not in ("manifest.json", "complete"):
                found |= dict(_file(f"{folder}/{path.name}", path))
    for number, row in enumerate(Journal(run.path / "metrics.jsonl").read()):
        found[f"metrics.jsonl row {number}"] = plain(row)
    found |= dict(_mlflow(run, store))
    return found


def rollouts(record: Path) -> dict[str, Any]:
    """A recording's steps: the hash of all episodes, token by token, of what is there twice the last."""
    found: dict[int, dict[tuple[int, int], str]] = {}
    for line in record.read_bytes().splitlines():
        episode = plain(json.loads(line))
        content = json.dumps(episode, sort_keys=True).encode()
        place = (episode["group"], episode["sample"])
        found.setdefault(episode["step"], {})[place] = hashlib.sha256(content).hexdigest()
    return {f"rollout {step}": dict(sorted(found[step].items())) for step in sorted(found)}


def difference(expected: dict[str, Any], got: dict[str, Any]) -> str | None:
    """The first part in which two outcomes differ, or None."""
    for name in [*expected, *(name for name in got if name not in expected)]:
        if name not in got or name not in expected:
            return f"{name} is there once only"
        if expected[name] != got[name]:
            return f"{name}: {_first(expected[name], got[name])}"
    return None


def plain(value: Any) -> Any:
    """A JSON value without the clock's and the run's own entries."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not CLOCK.fullmatch(key) and key not in NAMES}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _file(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    """A file's content: tensor by tensor, JSON without clocks, else its hash."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118
                tensor = tensors.get_tensor(key)
                content = tensor.contiguous().view(-1).view(_bytes()).numpy().tobytes()
                yield f"{name} {key}", (str(tensor.dtype), tuple(tensor.shape), hashlib.sha256(content).hexdigest())
    elif path.suffix == ".json":
        yield name, plain(json.loads(path.read_text("utf-8")))
    elif path.name.endswith(".jsonl.gz"):
        yield name, [plain(json.loads(line)) for line in gzip.decompress(path.read_bytes()).splitlines()]
    else:
        yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def _bytes() -> Any:
    import torch

    return torch.uint8


def _mlflow(run: RunFolder, store: Path) -> Iterator[tuple[str, Any]]:
    """The run's history: each key and step with all the values it has there, and the traces by step, mode and task."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        ids = [
            row[0]
            for row in database.execute(
                "select r.run_uuid from runs r join tags t on t.run_uuid = r.run_uuid "
                "where t.key = 'sdar.folder' and t.value = ? and r.lifecycle_stage = 'active' "
                "and not exists (select 1 from tags k where k.run_uuid = r.run_uuid and k.key = 'sdar.kind' "
                "and k.value <> 'training')",
                (str(run.path),),
            )
        ]
        yield "MLflow runs of the folder", len(ids)
        if not ids:
            return
        yield "MLflow run is the folder's", ids == [run.state.mlflow_run_id]
        yield (
            "MLflow status",
            [row[0] for row in database.execute("select status from runs where run_uuid = ?", (ids[0],))],
        )
        points: dict[str, list[float]] = {}
        for key, step, value in database.execute(
            "select key, step, value from metrics where run_uuid = ? order by step, key, timestamp", (ids[0],)
        ):
            if not CLOCK.fullmatch(key):
                points.setdefault(f"{key} at {step}", []).append(value)
        twice = [name for name, values in points.items() if len(values) > 1]
        yield "MLflow points there more than once", twice
        yield "MLflow points", points
        counted = database.execute(
            "select key, step, count(*) from metrics where run_uuid = ? group by key, step having count(*) > 1",
            (ids[0],),
        ).fetchall()
        yield (
            "MLflow points of a clock there more than once",
            [row for row in counted if not row[0].startswith("system")],
        )
        yield "MLflow traces", sorted(_traces(database, ids[0]))


def _traces(database: sqlite3.Connection, run: str) -> Iterator[tuple[str, ...]]:
    rows = database.execute(
        "select request_id from trace_request_metadata where key = 'mlflow.sourceRun' and value = ?", (run,)
    ).fetchall()
    for (trace,) in rows:
        tags = dict(database.execute("select key, value from trace_tags where request_id = ?", (trace,)))
        yield tuple(str(tags.get(key)) for key in ("step", "mode", "task_id", "success", "stop"))


def _first(expected: Any, got: Any, place: str = "") -> str:
    """Where two values first differ, and how, cut short."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            if expected.get(key) != got.get(key) or (key in expected) != (key in got):
                return _first(expected.get(key), got.get(key), f"{place}.{key}")
    if isinstance(expected, list) and isinstance(got, list):
        for number, (first, second) in enumerate(zip(expected, got, strict=False)):
            if first != second:
                return _first(first, second, f"{place}[{number}]")
        return f"{place} has {len(got)} entries, not {len(expected)}"
    return f"{place} is {_short(got)}, not {_short(expected)}".strip()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
