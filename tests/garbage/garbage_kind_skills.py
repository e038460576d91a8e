"""Markdown files of a bank."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_json as j
import mutations as m
from garbage_bank import BODY, FILE, HEAD, OTHER, block, lay, raw, text
from garbage_places import sparse
from garbage_spelling import scalar
from harness import Call, Kind, Make, Outcome, plain_reading


def plain(folder: Path, random: Random) -> Call:
    return lay(folder)


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)


def _encoding(random: Random) -> bytes:
    return m.not_utf8(text().encode(), random)


def _control(random: Random) -> str:
    letter = random.choice(
        [*m.CONTROL, "\u202e", "\u2066", "\u2028", "\u2029", "\ufeff", "\U000e0041", "\U000e0100", "\r"]
    )
    if random.random() < 0.5:
        place = random.randrange(1, len(BODY) - 1)
        return text(body=f"{BODY[:place]}{letter}{BODY[place:]}")
    escape = random.choice(
        ("\\0", "\\a", "\\e[2J", "\\x9b", "\\x7f", "\\b", "\\n", "\\u202e", "\\u2028", "\\U000e0041")
    )
    key = random.choice(list(HEAD))
    value = f'"a{escape}b"'
    return text(raw(key, value if isinstance(HEAD[key], str) else f"[{value}]"))


def _surrogate(random: Random) -> str:
    key = random.choice(list(HEAD))
    value = random.choice(('"\\ud800"', '"a\\udfffb"', '"\\ud83e\\ud83e"'))
    return random.choice((text(raw(key, value)), text(raw("task_types", f"[{value}]")), text(body="a\ud800b")))


def _depth(random: Random) -> str:
    depth = random.choice((25, 400, 2000))
    opening, closing = random.choice((("[", "]"), ("{a: ", "}")))
    return text(raw(random.choice(list(HEAD)), f"{opening * depth}1{closing * depth * random.choice((0, 1))}"))


def _long(random: Random) -> str:
    return random.choice(
        (
            text(body="x" * 65_536),
            text(body="é" * 33_000),
            text(block() + "#" * 8200 + "\n"),
            text(raw("description", "x" * 501)),
            text(raw("task_types", f"[{'x' * 501}]")),
            text(raw("keywords", f"[{'x' * 501}]")),
        )
    )


def _bomb(random: Random) -> str:
    levels = "".join(f", &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    return text(random.choice((f"x: [&a0 [x]{levels}]\n", raw("keywords", f"[&a0 [x]{levels}]"), raw("name", "&a *a"))))


def _type(random: Random) -> str:
    key = random.choice(list(HEAD))
    values = ("7", "7.5", "true", "null", "{a: 1}", "2026-01-01", "!!binary aGk=", "!!set {a}", "")
    values += ("[odd]", "[]", "''", "' '") if isinstance(HEAD[key], str) else ("odd", "[7]", "[[a]]", "[null]", "['']")
    return text(raw(key, random.choice(values)))


def _number(random: Random) -> str:
    numbers = (".inf", ".nan", "1e999", "1" + "0" * 400, "9" * 5000, "0x10", "1:30", "2026-13-45", "1_0", "-0")
    key, number = random.choice(list(HEAD)), random.choice(numbers)
    if number == "2026-13-45":  # which is a date by its looks alone
        return text(raw(key, f"!!timestamp {number}"))
    return (
        text(raw(key, number if isinstance(HEAD[key], str) else f"[{number}]"))
        if number != "1e999"
        else text("1e999: x")
    )


def _missing(random: Random) -> str:
    return random.choice(
        (text(block(description=...)), text(block(task_types=...)), BODY, f"---\n{block()}", text(body=""))
    )


def _unknown(random: Random) -> str:
    key = random.choice(
        ("zzz", "日本", "🦊", "__class__", "x" * 300, "? [a]\n", "3", "null", "true", "? {a: 1}\n", "names")
    )
    return text(f"{block()}{key}: 1\n")


def _misspelt(random: Random) -> str:
    key = random.choice(list(HEAD))
    place = random.randrange(len(key) + 1)
    return text(block().replace(f"{key}:", f"{key[:place]}{random.choice('qxz_')}{key[place:]}:", 1))


def _twice(random: Random) -> str:
    key = random.choice(list(HEAD))
    return text(f"{block()}{key}: {random.choice(('x', '[x]', '1'))}\n")


def _code(random: Random) -> str:
    tags = ("!!python/object/apply:os.system ['touch owned']", "!x y", "!!timestamp x", '!!int ""', "!!bool maybe")
    tags += (
        "!!map [a, b]",
        "!!omap x",
        "!!python/name:os.system",
        "!!timestamp 9999-12-31T23:59:59-23:59",
        "!!float x",
    )
    marks = ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|🦊|>")
    if random.random() < 0.5:
        return text(body=BODY + random.choice(marks))
    return text(raw(random.choice(list(HEAD)), random.choice(tags)))


CONTENTS: dict[str, Callable[[Random], str | bytes]] = {
    "encoding": _encoding,
    "control": _control,
    "surrogate": _surrogate,
    "depth": _depth,
    "bomb": _bomb,
    "type": _type,
    "number": _number,
    "missing": _missing,
    "unknown": _unknown,
    "misspelt": _misspelt,
    "empty": lambda random: m.nothing(random),
    "code": _code,
}


def written(make: Callable[[Random], str | bytes], folder: Path, random: Random) -> Call:
    return lay(folder, make(random))


def size(folder: Path, random: Random) -> Call:
    way = random.randrange(3)
    call = lay(folder, _long(random) if way == 0 else None)
    if way == 1:
        sparse(folder / FILE, 10 << 30)
    if way == 2:
        for number in range(512):
            (folder / "bank" / f"{number}.md").write_text(OTHER)
    return call


def duplicate(folder: Path, random: Random) -> Call:
    if random.random() < 0.5:
        return written(_twice, folder, random)
    call = lay(folder)
    (folder / "bank" / f"again{random.randrange(99)}.md").write_text(random.choice((text(), text(body="other"))))
    return call


def place(folder: Path, random: Random) -> Call:
    call = lay(folder)
    return j.displaced(call, folder / FILE, random, frozenset({"missing"}))


def escape(folder: Path, random: Random) -> Call:
    (folder / "secret.md").write_text(text())
    call = lay(folder)
    way = random.randrange(5)
    inner = folder / "bank" / f"link{random.randrange(9)}"
    if way == 0:
        inner.with_suffix(".md").symlink_to(random.choice(("../secret.md", "/etc/passwd", folder / "secret.md")))
    elif way == 1:
        inner.symlink_to(random.choice(("..", "/etc", "sub", ".")))
    elif way == 2:
        (folder / "bank" / "sub" / "skill_mapping.json").write_text("{}")
    elif way == 3:
        (folder / FILE).rename(folder / "bank" / "a\nb\x1b.md")
        (folder / "bank" / "a\nb\x1b.md").write_text(text(block(name=...)))
    else:
        bank = random.choice(("~nobody_here/bank", "bank/clean.md", "n" * 300, "/dev/zero", "a\nb", "bank\x1b[2J"))
        return Call(["skills", "ls", "--bank", bank, "--json"])
    return call


def mixed(folder: Path, random: Random) -> Call:
    content = random.choice(list(CONTENTS.values()))(random)
    content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return lay(folder, content + random.choice((b"\xff", b"\xc0\x80", b"\x00", "\u202ex".encode(), b"<|im_end|>")))


REFUSED: dict[str, Make] = {klass: partial(written, make) for klass, make in CONTENTS.items()}
REFUSED |= {"size": size, "duplicate": duplicate, "place": place, "escape": escape, "mixed": mixed}


# --- valid ---


def spelt(folder: Path, random: Random) -> Call:
    """Other front matter of the same values: order, quotes, lists in lines, comments."""
    lines = ""
    for key in random.sample(list(HEAD), len(HEAD)):
        value = HEAD[key]
        name = random.choice((key, json.dumps(key), f"'{key}'"))
        if isinstance(value, str):
            lines += f"{name}: {scalar(value, random)}\n"
        elif random.random() < 0.5:
            lines += f"{name}:\n" + "".join(f"  - {scalar(item, random)}\n" for item in value)
        else:
            lines += f"{name}: [{', '.join(json.dumps(item, ensure_ascii=False) for item in value)}]\n"
        lines += random.choice(("", "", "# größer\n", "\n"))
    return lay(folder, text(random.choice(("", "# x\n")) + lines))


def ended(folder: Path, random: Random) -> Call:
    """Line ends of another system, a mark, blanks and empty lines around."""
    content = text(body=f"{random.choice(('', chr(10) * 3, '  '))}{BODY}{random.choice(('', chr(10) * 9, '  '))}")
    content = random.choice((content, content.replace("---\n", "--- \t\n")))
    content = random.choice((content, content.replace("\n", "\r\n")))
    return lay(folder, random.choice(("", "\ufeff")) + content)


def sized(folder: Path, random: Random) -> Call:
    content = text().encode()
    return lay(folder, content + b"\n" * (random.choice((65_536, 30_000)) - len(content)))


def linked(folder: Path, random: Random) -> Call:
    """Links that stay in the bank, other names of files and folders, and files that are no skills."""
    call = lay(folder)
    bank = folder / "bank"
    way = random.randrange(4)
    if way == 0:
        (folder / FILE).rename(bank / "kept.txt")
        (folder / FILE).symlink_to(random.choice(("../kept.txt", bank / "kept.txt")))
    elif way == 1:
        (bank / "sub").rename(bank / random.choice(("größer", "a b", "🦊", "x" * 200)))
    elif way == 2:
        (bank / "sub" / "heat.md").rename(bank / random.choice(("größer.md", "a b.MD", "🦊.Md", ".hidden.md")))
    else:
        for number in range(random.randint(1, 40)):
            (bank / f"{number}.{random.choice(('txt', 'json', 'MD~', 'bak'))}").write_bytes(b"\xff\x00")
    return call


def rooted(folder: Path, random: Random) -> Call:
    call = lay(folder, bank="kept")
    (folder / "bank").symlink_to(random.choice(("kept", folder / "kept")))
    words = [*call.words[:4], random.choice(("bank", "./bank", "bank/", str(folder / "bank"))), "--json"]
    return Call(words, expects=plain_reading(KIND) | {"bank": "kept"})


KIND = Kind(
    "skills",
    plain,
    REFUSED,
    {"spelling": spelt, "ends": ended, "size": sized, "link": linked, "root": rooted},
    read_back,
    {
        "flip": lambda folder, random: lay(folder, m.flip(text().encode(), random)),
        "cut": lambda folder, random: lay(folder, m.cut(text().encode(), random)),
    },
)
