"""Model folders and LoRA folders: configurations, weights, indexes and what may lie in their places."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import hollow_model as hollow
import mutations as m
from garbage_places import PLACES, denied, sparse
from harness import Call, Kind, Outcome

SIZED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size", "head_dim")
FITTED = ("hidden_size", "num_hidden_layers", "vocab_size")
"""Numbers that the weights show too."""
JSON_FILES = ("config.json", "generation_config.json", "tokenizer_config.json")
WEIGHTS = "model.safetensors"
NAMED = {"eos_token_id": ["x", "<|im_end|>", True, [True], -5, 10**9, [[1]], {"a": 1}, 2.5]}


def call(name: str = "model", **more: Any) -> Call:
    return Call(["train", "--recipe", "search-qa-qwen3-1.7b", "--model", name, "--dry-run", "--json"], **more)


def plain(folder: Path, random: Random) -> Call:
    hollow.write(folder / "model")
    return call()


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)["memory"]


def _adapter(folder: Path, **changes: Any) -> Path:
    return hollow.write_adapter(folder / "model", hollow.write(folder / "base"), **changes)


def _trees(folder: Path) -> dict[str, Any]:
    """A whole folder's JSON files."""
    return {name: json.loads((folder / name).read_text()) for name in JSON_FILES}


def _on_file(damage: Callable[[Path, Random], None]) -> Callable[[Path, Random], Call]:
    """A damage of a whole model's folder."""

    def make(folder: Path, random: Random) -> Call:
        damage(hollow.write(folder / "model"), random)
        return call()

    return make


def _leaf(tree: Any, random: Random, kind: type | None = None) -> m.Keys:
    return random.choice([at for at, value in m.leaves(tree) if at and (kind is None or type(value) is kind)])


@_on_file
def cut(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    (folder / name).write_bytes(m.cut((folder / name).read_bytes(), random))


@_on_file
def flip(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    data = (folder / name).read_bytes()
    header = data[:900] if name == WEIGHTS else data
    (folder / name).write_bytes(m.flip(header, random) + data[len(header) :])


@_on_file
def encoding(folder: Path, random: Random) -> None:
    name = random.choice(JSON_FILES)
    (folder / name).write_bytes(m.not_utf8((folder / name).read_bytes(), random))


@_on_file
def surrogate(folder: Path, random: Random) -> None:
    name = random.choice(("config.json", "tokenizer_config.json"))
    tree = _trees(folder)[name]
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random, str), m.half_pair(random)))


@_on_file
def control(folder: Path, random: Random) -> None:
    """JSON allows these only as escapes; and no text has a NUL."""
    name = random.choice(("config.json", "tokenizer_config.json"))
    tree = _trees(folder)[name]
    letter = random.choice([chr(n) for n in range(32)])
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random, str), f'"a{letter}b"'))


@_on_file
def depth(folder: Path, random: Random) -> None:
    if random.random() < 0.3:
        (folder / WEIGHTS).write_bytes(hollow.safetensors(m.nested(random), 8))
        return
    name = random.choice(JSON_FILES)
    tree = _trees(folder)[name]
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random), m.nested(random)))


@_on_file
def size(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    sparse(folder / name, random.choice(((16 << 20) + 1, 10 << 30)))


@_on_file
def bomb(folder: Path, random: Random) -> None:
    """Little text that would become much: of layers, of letters, of tensors."""
    key = random.choice(SIZED)
    if random.random() < 0.5:
        number = random.choice((10**9, 2**40, 2**62))
        hollow.write_json(folder / "config.json", hollow.CONFIG | {key: number})
        return
    header = hollow.header_of(hollow.SHAPES)
    name = random.choice(list(header))
    header[name] = header[name] | random.choice(
        (
            {"shape": [10**9, 10**9]},
            {"shape": [1] * 5 + [7]},
            {"data_offsets": [0, 10**15]},
            {"data_offsets": [10**15] * 2},
        )
    )
    (folder / WEIGHTS).write_bytes(hollow.safetensors(header, 600))


def retyped(folder: Path, random: Random) -> Call:
    wrong = ["odd", "", True, 7.5, {"odd": 1}, ["odd"], -1, 0]
    pick = random.randrange(3)
    if pick == 0:
        hollow.write(folder / "model", config=hollow.CONFIG | {random.choice(SIZED): random.choice(wrong)})
    elif pick == 1:
        changes = {"eos_token_id": random.choice(NAMED["eos_token_id"])}
        where = random.choice(("config", "generation"))
        own = hollow.CONFIG if where == "config" else hollow.GENERATION
        hollow.write(folder / "model", **{where: own | changes})
    else:
        key, values = random.choice(
            (
                ("r", ["odd", True, 0, -1, 2.5, [2], None]),
                ("base_model_name_or_path", [7, True, ["a"], {"a": 1}, None, "", "a\\u0000"]),
                ("peft_type", [7, "VERA", None, ["LORA"]]),
                ("target_modules", [7, [7], ["a b"], {"a": 1}, "(\\w+)+x"]),
            )
        )
        _adapter(folder, **{key: random.choice(values)})
    return call()


@_on_file
def number(folder: Path, random: Random) -> None:
    name, key = random.choice(
        (
            *(("config.json", key) for key in SIZED),
            ("generation_config.json", "temperature"),
            ("config.json", "rms_norm_eps"),
        )
    )
    raw = random.choice([one for one in m.NUMBERS if "Infinity" not in one])
    (folder / name).write_text(m.spliced(_trees(folder)[name], (key,), raw))


def missing(folder: Path, random: Random) -> Call:
    pick = random.randrange(4)
    if pick == 0:
        (hollow.write(folder / "model") / "config.json").unlink()
    elif pick == 1:
        (_adapter(folder) / "adapter_model.safetensors").unlink()
    elif pick == 2:
        model = hollow.write_sharded(folder / "model")
        random.choice(sorted(model.glob("model-*.safetensors"))).unlink()
    else:
        key = random.choice(("base_model_name_or_path", "r", "peft_type"))
        settings = json.loads((_adapter(folder) / "adapter_config.json").read_text())
        hollow.write_json(folder / "model" / "adapter_config.json", m.without(settings, (key,)))
    return call()


def duplicate(folder: Path, random: Random) -> Call:
    model = hollow.write(folder / "model")
    if random.random() < 0.4:
        header = hollow.header_of(hollow.SHAPES)
        text = m.twice(header, (random.choice(list(header)),), random)
        (model / WEIGHTS).write_bytes(hollow.safetensors(text, 616))
    else:
        name = random.choice(JSON_FILES)
        tree = _trees(model)[name]
        (model / name).write_text(m.twice(tree, (random.choice(list(tree)),), random))
    return call()


def empty(folder: Path, random: Random) -> Call:
    name = random.choice((*JSON_FILES, WEIGHTS, "adapter_config.json", "adapter_model.safetensors"))
    model = _adapter(folder) if name.startswith("adapter") else hollow.write(folder / "model")
    (model / name).write_bytes(m.nothing(random))
    return call()


def place(folder: Path, random: Random) -> Call:
    model = hollow.write(folder / "model")
    name = random.choice(("config.json", WEIGHTS))
    path = model / name
    if random.random() < 0.15:
        return call(within=lambda: denied(path))
    path.unlink()
    kinds = ["pipe", "socket", "device", "dangling link", "loop", "folder"]
    if name == "config.json":
        kinds.append("missing")
    PLACES[random.choice(kinds)](path)
    if random.random() < 0.3 and name == WEIGHTS:
        (model / WEIGHTS).unlink() if not (model / WEIGHTS).is_dir() else (model / WEIGHTS).rmdir()
        (model / "merges.txt").unlink(missing_ok=True)
        os.mkfifo(model / "merges.txt")
    return call()


@_on_file
def escape(folder: Path, random: Random) -> None:
    """Weights that are said to lie elsewhere."""
    away = random.choice(
        ("../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "~/x.safetensors", "..", "a\nb.safetensors")
    )
    if random.random() < 0.3:
        hollow.write_json(folder / "config.json", hollow.CONFIG | {"transformers_weights": away})
        return
    (folder / WEIGHTS).unlink()
    hollow.write_json(folder / "model.safetensors.index.json", {"weight_map": {"model.norm.weight": away}})


@_on_file
def edited(folder: Path, random: Random) -> None:
    """Another number than that of the weights."""
    key = random.choice(FITTED)
    changed = random.choice([hollow.CONFIG[key] + n for n in (1, 2, 8, 1000)])
    hollow.write_json(folder / "config.json", hollow.CONFIG | {key: changed})


PICKLE = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."
"""What would run a command where it was loaded."""


def code(folder: Path, random: Random) -> Call:
    """Weights that can run code, and settings that name some."""
    pick = random.randrange(4)
    name = random.choice(
        ("pytorch_model.bin", "model.pt", "model.pth", "weights.pkl", "last.ckpt", "consolidated.00.pth")
    )
    if pick == 0:
        model = _adapter(folder)
        (model / "adapter_model.safetensors").unlink()
        (model / random.choice((name, "adapter_model.bin"))).write_bytes(PICKLE)
    elif pick == 1:
        (hollow.write(folder / "model") / WEIGHTS).write_bytes(random.choice((PICKLE, b"PK\x03\x04" + PICKLE)))
    elif pick == 2:
        _adapter(folder, megatron_config={"tensor_model_parallel_size": 1}, megatron_core="owned")
    else:
        model = hollow.write(folder / "model", config=hollow.CONFIG | {"transformers_weights": name})
        (model / name).write_bytes(PICKLE)
    return call()


def mixed(folder: Path, random: Random) -> Call:
    made = random.choice((edited, bomb, cut, encoding, control))(folder, random)
    model = folder / "model"
    (model / "generation_config.json").write_bytes(m.nothing(random))
    return made


# -- valid --------------------------------------------------------------------------------------------


@_on_file
def spelling(folder: Path, random: Random) -> None:
    for name, tree in _trees(folder).items():
        (folder / name).write_text(m.json_spelling(tree, random), newline="")


@_on_file
def marked(folder: Path, random: Random) -> None:
    """A byte-order mark, or Windows' line ends."""
    for name in JSON_FILES:
        data = (folder / name).read_bytes()
        data = b"\xef\xbb\xbf" + data if random.random() < 0.5 else data.replace(b"\n", b"\r\n")
        (folder / name).write_bytes(data)


@_on_file
def fewer(folder: Path, random: Random) -> None:
    for name in random.sample(
        ["generation_config.json", "tokenizer_config.json", "tokenizer.json"], random.randint(1, 3)
    ):
        (folder / name).unlink()


@_on_file
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


KIND = Kind(
    "model",
    plain,
    {
        "cut": cut,
        "encoding": encoding,
        "surrogate": surrogate,
        "control": control,
        "depth": depth,
        "size": size,
        "bomb": bomb,
        "type": retyped,
        "number": number,
        "missing": missing,
        "duplicate": duplicate,
        "empty": empty,
        "place": place,
        "escape": escape,
        "edited": edited,
        "code": code,
        "mixed": mixed,
    },
    {
        "spelling": spelling,
        "marks": marked,
        "fewer files": fewer,
        "more files": more,
        "unknown keys": unknown,
        "shards": sharded,
        "links": linked,
        "headers": other_header,
        "ends": ends,
    },
    read_back,
    {"flip": flip},
)
