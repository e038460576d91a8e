"""A few questions of Search-QA in the layout of the official parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import Call

WORDS = ["data", "search-qa", "--data", "data", "--json"]


def rows(count: int = 4, start: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "data_source": "searchR1_nq",
            "prompt": [{"role": "user", "content": "?"}],
            "extra_info": {"index": number, "split": "test"},
            "metadata": None,
            "env_kwargs": {
                "ground_truth": {"target": [f"Größe {number}", "🦊"]},
                "question": f"Who rang bell {number}? 日本語",
                "data_source": ("nq", "bamboogle")[number % 2],
            },
        }
        for number in range(start, start + count)
    ]


def lay(folder: Path, table: Any = None, which: str = "train", **options: Any) -> Call:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir()
    for name, start in (("train", 0), ("test", 100)):
        content = table if name == which and table is not None else rows(start=start)
        content = pa.Table.from_pylist(content) if isinstance(content, list) else content
        pq.write_table(content, folder / "data" / f"{name}.parquet", **({"row_group_size": 2} | options))
    return Call(WORDS)
