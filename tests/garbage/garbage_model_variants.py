"""Whole model folders, as they may be laid and spelt: what must be read alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import hollow_model as hollow
import mutations as m
from harness import Call, Outcome

JSON_FILES = ("config.json", "generation_config.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"
PICKLE = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."
"""What would run a command where it was loaded."""


def call(name: str = "model", **more: Any) -> Call:
    return Call(["train", "--recipe", "search-qa-qwen3-1.7b", "--model", name, "--dry-run", "--json"], **more)


def plain(folder: Path, random: Random) -> Call:
    hollow.write(folder / "model")
    return call()


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)["memory"]


def trees(folder: Path) -> dict[str, Any]:
    """A whole folder's JSON files."""
    return {name: json.loads((folder / name).read_text()) for name in JSON_FILES}


def on_file(damage: Callable[[Path, Random], None]) -> Callable[[Path, Random], Call]:
    """A damage of a whole model's folder."""

    def make(folder: Path, random: Random) -> Call:
        damage(hollow.write(folder / "model"), random)
        return call()

    return make


@on_file
def spelling(folder: Path, random: Random) -> None:
    for name, tree in trees(folder).items():
        (folder / name).write_text(m.json_spelling(tree, random), newline="")


@on_file
def marked(folder: Path, random: Random) -> None:
    """A byte-order mark, or Windows' line ends."""
    for name in JSON_FILES:
        data = (folder / name).read_bytes()
        data = b"\xef\xbb\xbf" + data if random.random() < 0.5 else data.replace(b"\n", b"\r\n")
        (folder / name).write_bytes(data)


@on_file
def fewer(folder: Path, random: Random) -> None:
    for name in random.sample(
        ["generation_config.json", "tokenizer_config.json", "tokenizer.json"], random.randint(1, 3)
    ):
        (folder / name).unlink()


@on_file
def more(folder: Path, random: Random) -> None:
    """What lies beside weights in real folders."""
    for name in random.sample(["README.md", "pytorch_model.bin", "vocab.json", ".gitattributes", "größe 🦊.txt"], 3):
        (folder / name).write_bytes(PICKLE)
    (folder / "original").mkdir()
    (folder / "original" / "consolidated.00.pth").write_bytes(PICKLE)


def unknown(folder: Path, random: Random) -> Call:
    """Keys of other programs, and numbers that Python's JSON writes."""
    tree = m.with_unknown(hollow.CONFIG, (), random) | {"time_step_limit": [0.0, "limit"], "_name_or_path": "日本"}
    text = json.dumps(tree).replace('"limit"', random.choice(("Infinity", "-Infinity", "1.0")), 1)
    hollow.write(folder / "model", config=text)
    return call()


def sharded(folder: Path, random: Random) -> Call:
    hollow.write_sharded(folder / "model")
    return call()


def linked(folder: Path, random: Random) -> Call:
    """As the hub's cache is: every file a link; or the folder itself."""
    blobs = hollow.write(folder / "blobs")
    if random.random() < 0.5:
        (folder / "model").symlink_to("blobs")
        return call()
    (folder / "model").mkdir()
    for path in blobs.iterdir():
        (folder / "model" / path.name).symlink_to(f"../blobs/{path.name}")
    return call(random.choice(("model", "./model", "model/", "blobs")))


def other_header(folder: Path, random: Random) -> Call:
    """Tensors in another order, of another type, with metadata and padding."""
    names = random.sample(list(hollow.SHAPES), len(hollow.SHAPES))
    header = hollow.header_of({name: hollow.SHAPES[name] for name in names})
    if random.random() < 0.5:
        header = dict(reversed(header.items()))
    text = json.dumps({"__metadata__": {"format": "pt"}} | header) + " " * random.randrange(16)
    model = hollow.write(folder / "model")
    (model / WEIGHTS).write_bytes(hollow.safetensors(text, max(one["data_offsets"][1] for one in header.values())))
    return call()


def ends(folder: Path, random: Random) -> Call:
    declared = random.choice((2, [2], [2, 0], [], None))
    hollow.write(folder / "model", generation={"eos_token_id": declared, "num_beams": 2, "top_p": None})
    return call()


ACCEPTED = {
    "spelling": spelling,
    "marks": marked,
    "fewer files": fewer,
    "more files": more,
    "unknown keys": unknown,
    "shards": sharded,
    "links": linked,
    "headers": other_header,
    "ends": ends,
}
