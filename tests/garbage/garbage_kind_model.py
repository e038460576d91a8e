"""Model folders and LoRA folders: configurations, weights, indexes and what may lie in their places."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import hollow_model as hollow
import mutations as m
from garbage_model_variants import ACCEPTED, JSON_FILES, PICKLE, WEIGHTS, call, on_file, plain, read_back, trees
from garbage_places import PLACES, denied, sparse
from harness import Call, Kind

SIZED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size", "head_dim")
FITTED = ("hidden_size", "num_hidden_layers", "vocab_size")
"""Numbers that the weights show too."""
NAMED = {"eos_token_id": ["x", "<|im_end|>", True, [True], -5, 10**9, [[1]], {"a": 1}, 2.5]}


def _adapter(folder: Path, **changes: Any) -> Path:
    return hollow.write_adapter(folder / "model", hollow.write(folder / "base"), **changes)


def _leaf(tree: Any, random: Random, kind: type | None = None) -> m.Keys:
    return random.choice([at for at, value in m.leaves(tree) if at and (kind is None or type(value) is kind)])


@on_file
def cut(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    (folder / name).write_bytes(m.cut((folder / name).read_bytes(), random))


@on_file
def flip(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    data = (folder / name).read_bytes()
    header = data[:900] if name == WEIGHTS else data
    (folder / name).write_bytes(m.flip(header, random) + data[len(header) :])


@on_file
def encoding(folder: Path, random: Random) -> None:
    name = random.choice(JSON_FILES)
    (folder / name).write_bytes(m.not_utf8((folder / name).read_bytes(), random))


@on_file
def surrogate(folder: Path, random: Random) -> None:
    name = random.choice(("config.json", "tokenizer_config.json"))
    tree = trees(folder)[name]
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random, str), m.half_pair(random)))


@on_file
def control(folder: Path, random: Random) -> None:
    """JSON allows these only as escapes; and no text has a NUL."""
    name = random.choice(("config.json", "tokenizer_config.json"))
    tree = trees(folder)[name]
    letter = random.choice([chr(n) for n in range(32)])
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random, str), f'"a{letter}b"'))


@on_file
def depth(folder: Path, random: Random) -> None:
    if random.random() < 0.3:
        (folder / WEIGHTS).write_bytes(hollow.safetensors(m.nested(random), 8))
        return
    name = random.choice(JSON_FILES)
    tree = trees(folder)[name]
    (folder / name).write_text(m.spliced(tree, _leaf(tree, random), m.nested(random)))


@on_file
def size(folder: Path, random: Random) -> None:
    name = random.choice((*JSON_FILES, WEIGHTS))
    sparse(folder / name, random.choice(((16 << 20) + 1, 10 << 30)))


@on_file
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
                ("base_model_name_or_path", [7, True, ["a"], {"a": 1}, None, "", "a\0b"]),
                ("peft_type", [7, "VERA", None, ["LORA"]]),
                ("target_modules", [7, [7], ["a b"], {"a": 1}, "(\\w+)+x"]),
            )
        )
        _adapter(folder, **{key: random.choice(values)})
    return call()


@on_file
def number(folder: Path, random: Random) -> None:
    raw = random.choice(m.NUMBERS)
    (folder / "config.json").write_text(m.spliced(hollow.CONFIG, (random.choice(SIZED),), raw))


@on_file
def other_number(folder: Path, random: Random) -> None:
    """Of no size: real configurations hold some that are none of JSON's."""
    name, key = random.choice((("generation_config.json", "temperature"), ("config.json", "rms_norm_eps")))
    (folder / name).write_text(m.spliced(trees(folder)[name], (key,), random.choice(m.NUMBERS)))


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
        tree = trees(model)[name]
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
        return call(within=lambda: denied(path), about=name, put="denied")
    path.unlink()
    kinds = ["pipe", "socket", "device", "dangling link", "loop", "folder"]
    if name == "config.json":
        kinds.append("missing")
    put = random.choice(kinds)
    PLACES[put](path)
    if random.random() < 0.3 and name == WEIGHTS:
        (model / WEIGHTS).unlink() if not (model / WEIGHTS).is_dir() else (model / WEIGHTS).rmdir()
        (model / "merges.txt").unlink(missing_ok=True)
        os.mkfifo(model / "merges.txt")
        return call(about="merges.txt", put="pipe")
    return call(about=name, put=put)


@on_file
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


@on_file
def edited(folder: Path, random: Random) -> None:
    """Another number than that of the weights."""
    key = random.choice(FITTED)
    changed = random.choice([hollow.CONFIG[key] + n for n in (1, 2, 8, 1000)])
    hollow.write_json(folder / "config.json", hollow.CONFIG | {key: changed})


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
    ACCEPTED,
    read_back,
    {"flip": flip, "other number": other_number},
)
