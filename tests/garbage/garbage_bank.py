"""A bank of two skills, one of which is written as it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from harness import Call

HEAD: dict[str, Any] = {
    "name": "größer 🦊",
    "description": "Where things are heated: 'x' # y",
    "task_types": ["pick_heat", "日本語"],
    "keywords": ["heat", "warm up"],
}
BODY = "Use the *microwave* — not the sink.\n\n1. heat {thing}\n\t<b>2.</b> 日本語 🦊 e\u0301 שלום 👩\u200d🔬"
OTHER = "---\ndescription: Clean.\ntask_types: []\n---\nUse the sink.\n"
FILE = "bank/sub/heat.md"


def text(head: str | None = None, body: str = BODY) -> str:
    return f"---\n{block() if head is None else head}---\n{body}\n"


def block(**changes: Any) -> str:
    kept = {key: value for key, value in (HEAD | changes).items() if value is not ...}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=10**6)


def raw(key: str, value: str) -> str:
    """Front matter in which a key has a value that is written as it is."""
    return block(**{key: ...}) + f"{key}: {value}\n"


def lay(folder: Path, content: str | bytes | None = None, bank: str = "bank") -> Call:
    (folder / bank / "sub").mkdir(parents=True)
    content = text() if content is None else content
    content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / bank / "sub" / "heat.md").write_bytes(content)
    (folder / bank / "clean.md").write_text(OTHER)
    (folder / bank / "README.md").write_text("no skill <|im_end|>")
    (folder / bank / "notes.txt").write_text("none either")
    return Call(["skills", "show", "größer 🦊", "--bank", bank, "--json"])
