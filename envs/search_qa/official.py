"""The official questions: ``train.parquet`` and ``test.parquet``, as the preprocessing of Search-R1 for agents writes
them, read as they are.

A row's question and golden answers stand in ``env_kwargs`` (``question``, ``ground_truth.target``, ``data_source``),
its number in ``extra_info.index``. Other columns are not read. Files are read batch by batch.

The training questions that the test asks too, as scoring normalises text, are not trained on; the test is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.paths import user_path
from sdar_cli.reading import Unreadable, open_regular
from sdar_envs.base import Task
from sdar_envs.search_qa.scoring import normalise

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "test")
DATASETS = ("nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle")
SMALL = "bamboogle"
"""125 questions, whose share swings a mean of datasets."""
MOST_ROWS = 5_000_000
"""The official files have 170 thousand and 52 thousand."""
MOST_BYTES = 1 << 30
"""Of the columns that are read, unpacked."""
ROWS = 4096
"""Rows in memory at a time."""
QUESTION = "env_kwargs.question"
PREFIX = "searchr1_"
"""Some files put it before the name of a data source."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Progress = Callable[[int, int], None]


def data_folder(data: str | None) -> Path:
    """The folder that was named, else ``SDAR_SEARCH_QA``; EnvironmentSetupError without either."""
    named = data or os.environ.get("SDAR_SEARCH_QA")
    if not named:
        raise EnvironmentSetupError(
            "no folder of official Search-QA questions is named: set environment.options.data, --data or "
            "SDAR_SEARCH_QA to the one that holds train.parquet and test.parquet, or use "
            "environment.options.questions=generated"
        )
    return user_path(named)


def training_tasks(data: str | None) -> list[Task]:
    """The questions of ``train`` without those of ``test``, where there is a test file.

    Raises EnvironmentSetupError as ``read_tasks`` does, for both files, and when nothing is left.
    """
    tasks = read_tasks(data, "train")
    file = data_folder(data) / "test.parquet"
    if not os.path.lexists(file):
        return tasks
    tested = {
        fingerprint(_text(values["question"], QUESTION, file, row)) for row, values in _rows(file, None, QUESTION)
    }
    kept = [task for task in tasks if fingerprint(task.goal) not in tested]
    if not kept:
        raise EnvironmentSetupError(
            f"{file.with_name('train.parquet')} holds no question that {file.name} does not ask too: "
            "restore both files from their source"
        )
    return kept


def fingerprint(question: str) -> bytes:
    """16 bytes, equal for questions that are one word for word as scoring normalises text."""
    return hashlib.sha256(normalise(question).encode("utf-8", "surrogatepass")).digest()[:16]


def read_tasks(data: str | None, split: str, progress: Progress | None = None) -> list[Task]:
    """All questions of a split in the file's order, the data source as task type.

    An id holds split, data source, the row's index and a hash of question and golden answers, so that panels of
    other questions under the same numbers are other panels.

    Raises EnvironmentSetupError, one sentence naming file and row, for anything malformed.
    """
    file = data_folder(data) / f"{split}.parquet"
    if not os.path.lexists(file):
        raise EnvironmentSetupError(
            f"{file} is not there: name the folder that holds train.parquet and test.parquet with --data, "
            "environment.options.data or SDAR_SEARCH_QA"
        )
    tasks: list[Task] = []
    seen: set[str] = set()
    for row, values in _rows(file, progress):
        question = _text(values["question"], QUESTION, file, row)
        source = _source(values, file, row)
        targets = _targets(values["targets"], file, row)
        content = _content(question, targets)
        identity = f"{split}/{source}-{values['index']}-{content}"
        if not _is_number(values["index"]) or identity in seen:
            identity = f"{split}/{source}-row-{row}-{content}"
        seen.add(identity)
        tasks.append(Task(identity, source, question, {"targets": targets}))
    return tasks


def _is_number(index: Any) -> bool:
    """Whether it can stand in an id: a number, or a text that could be a file's name."""
    return isinstance(index, int) or (isinstance(index, str) and _NAME.fullmatch(index) is not None)


def _content(question: str, targets: tuple[str, ...]) -> str:
    """8 hexadecimal digits; the order of the targets does not matter."""
    return hashlib.sha256(json.dumps([question, sorted(targets)]).encode()).hexdigest()[:8]


def _rows(file: Path, progress: Progress | None, only: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number and question, targets, source (or None) and index (or None) of each row; or ``only`` the column
    of that path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row, total = 0, 0
    try:
        with open_regular(file) as content, pq.ParquetFile(content) as parquet:
            total = parquet.metadata.num_rows
            columns = _columns(parquet.schema_arrow, file)
            columns = {name: path for name, path in columns.items() if only in (None, path)}
            _check_size(parquet.metadata, set(columns.values()), file)
            for batch in parquet.iter_batches(ROWS, columns=sorted(set(columns.values()))):
                parts = {name: _column(batch, path) for name, path in columns.items()}
                for values in zip(*parts.values(), strict=True):
                    yield row, {"source": None, "index": None, **dict(zip(parts, values, strict=True))}
                    row += 1
                if progress is not None:
                    progress(row, total)
    except Unreadable as error:
        raise EnvironmentSetupError(f"{file} {error}: restore the file from its source") from None
    except UnicodeDecodeError as error:
        raise EnvironmentSetupError(
            f"{file} holds text that is not UTF-8 after row {row} of {total} ({error.reason}): "
            "restore the file from its source"
        ) from None
    except (pa.ArrowException, OSError, OverflowError) as error:
        what = f"is damaged after row {row} of {total}" if total else "is no parquet file, or is cut short"
        reason = _first_line(error)
        raise EnvironmentSetupError(f"{file} {what} ({reason}): restore the file from its source") from error


def _check_size(metadata: Any, paths: set[str], file: Path) -> None:
    """Refuse what a few bytes claim to hold, before it is unpacked."""
    if not 0 <= metadata.num_rows <= MOST_ROWS:
        raise EnvironmentSetupError(f"{file} has more than {MOST_ROWS:,} rows: restore the file from its source")
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            if f"{chunk.path_in_schema}.".startswith(tuple(f"{path}." for path in paths)):
                size += max(0, chunk.total_uncompressed_size)
    if size > MOST_BYTES:
        raise EnvironmentSetupError(
            f"{file} unpacks to more than {MOST_BYTES >> 20} MiB of questions: restore the file from its source"
        )


def _columns(schema: pa.Schema, file: Path) -> dict[str, str]:
    """What is read, name → dotted path, after a look at its types."""
    import pyarrow.types as kinds

    if twice := _doubled(schema):
        raise EnvironmentSetupError(f"{file} has two columns {twice}: restore the file from its source")
    found = {"question": QUESTION, "targets": "env_kwargs.ground_truth"}
    for path in found.values():
        if _type(schema, path) is None:
            raise EnvironmentSetupError(
                f"{file} has no column {path}: give the parquet files that the preprocessing for agents wrote"
            )
    if _type(schema, "env_kwargs.ground_truth.target") is not None:
        found["targets"] = "env_kwargs.ground_truth.target"
    kind = _type(schema, found["targets"])
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        kind = kind.value_type
    _check(kind, found["targets"], file)
    _check(_type(schema, found["question"]), found["question"], file)
    sources = [path for path in ("env_kwargs.data_source", "data_source") if _type(schema, path) is not None]
    if not sources:
        raise EnvironmentSetupError(f"{file} has no column data_source: restore the file from its source")
    found["source"] = sources[0]
    _check(_type(schema, sources[0]), sources[0], file)
    index = _type(schema, "extra_info.index")
    if index is not None and (kinds.is_integer(index) or kinds.is_string(index) or kinds.is_large_string(index)):
        found["index"] = "extra_info.index"
    return found


def _doubled(schema: pa.Schema) -> str | None:
    """The name of two columns, or of two parts of the one that is read."""
    import pyarrow.types as kinds

    for name in ("env_kwargs", "data_source", "extra_info"):
        if schema.names.count(name) > 1:
            return name
        if name not in schema.names:
            continue
        waiting = [(name, schema.field(name).type)]
        while waiting:
            path, kind = waiting.pop()
            if kinds.is_struct(kind):
                fields = [kind.field(place) for place in range(kind.num_fields)]
                inner = [field.name for field in fields]
                if len(set(inner)) < len(inner):
                    return f"in {path} of one name"
                waiting += [(f"{path}.{field.name}", field.type) for field in fields]
    return None


def _type(schema: pa.Schema, path: str) -> pa.DataType | None:
    """The type of a dotted path; None where there is no such column."""
    import pyarrow.types as kinds

    first, *rest = path.split(".")
    if first not in schema.names:
        return None
    kind = schema.field(first).type
    for name in rest:
        if not kinds.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _check(kind: pa.DataType, path: str, file: Path) -> None:
    import pyarrow.types as kinds

    if not (kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_null(kind)):
        raise EnvironmentSetupError(
            f"{file}: the column {path} holds {kind}, not text: restore the file from its source"
        )


def _column(batch: pa.RecordBatch, path: str) -> list[Any]:
    first, *rest = path.split(".")
    values = batch.column(first).to_pylist()
    for name in rest:
        values = [None if value is None else value[name] for value in values]
    return values


def _source(values: dict[str, Any], file: Path, row: int) -> str:
    name = _text(values["source"], "data_source", file, row).strip().lower()
    if not name.isprintable() or len(name) > 80:
        raise EnvironmentSetupError(
            f"{file}: row {row} has a data source that is no name ({name[:40]!a}): restore the file from its source"
        )
    return name.removeprefix(PREFIX) or name


def _targets(value: Any, file: Path, row: int) -> tuple[str, ...]:
    """Golden answers; a single one may stand for itself. Blank ones among others are left out."""
    given = [value] if isinstance(value, str) else value or []
    targets = tuple(target for target in given if isinstance(target, str) and target.strip())
    if not targets:
        raise EnvironmentSetupError(
            f"{file}: row {row} has no golden answer under env_kwargs.ground_truth: restore the file from its source"
        )
    return targets


def _text(value: Any, path: str, file: Path, row: int) -> str:
    if not isinstance(value, str) or not value.strip():
        raise EnvironmentSetupError(f"{file}: row {row} has no text in {path}: restore the file from its source")
    return value


def _first_line(error: BaseException) -> str:
    """Arrow quotes what it met, whatever bytes they are."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return " ".join("".join(sign if sign.isprintable() else " " for sign in line).split())[:160]
