"""Search-QA's official parquet, written for tests in the layout of the preprocessing for agents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SOURCES = ("nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle")


def question(number: int, source: str = "nq", target: Any = None, **changes: Any) -> dict[str, Any]:
    """One row, all columns of the official files."""
    targets = [f"Answer {number}", "another"] if target is None else target
    text = f"Who rang bell {number} of {source}?"
    row = {
        "data_source": f"searchR1_{source}",
        "prompt": [{"role": "user", "content": f"Answer the question. {text}"}],
        "ability": "fact-reasoning",
        "reward_model": {"ground_truth": {"target": targets}, "style": "rule"},
        "extra_info": {"index": number, "need_tools_kwargs": True, "question": text, "split": "test"},
        "metadata": None,
        "env_kwargs": {"ground_truth": {"target": targets}, "question": text, "data_source": source},
    }
    return row | changes


def seven(rows: int = 2) -> list[dict[str, Any]]:
    """So many rows of each data set; indices begin anew for each."""
    return [question(number, source) for source in SOURCES for number in range(rows)]


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


def write(file: Path, rows: Sequence[dict[str, Any]] | pa.Table, group: int = 5) -> Path:
    """Row groups of ``group`` rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows if isinstance(rows, pa.Table) else table(rows), file, row_group_size=group)
    return file


def spoil(file: Path, column: str, group: int) -> None:
    """Overwrite the pages of a column, named by its dotted path, in one row group; the footer stays whole."""
    with pq.ParquetFile(file) as parquet:
        chunks = [parquet.metadata.row_group(group).column(n) for n in range(parquet.metadata.num_columns)]
        (chunk,) = [chunk for chunk in chunks if chunk.path_in_schema == column]
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        size = chunk.total_compressed_size
    content = bytearray(file.read_bytes())
    content[start : start + size] = b"\xff" * size
    file.write_bytes(content)
