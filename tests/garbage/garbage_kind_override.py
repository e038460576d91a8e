"""``dotted.key=value`` words of a command line."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import garbage_yaml as y
import mutations as m
from garbage_spelling import scalar
from harness import Call, Kind, Make, Outcome

VALUES: dict[str, Any] = {
    "gate.beta": 7.0,
    "rollout.tasks": 4,
    "description": "größer, 日本語 🦊: 'x' # y",
    "skills.general": False,
    "warmup.seed": None,
    "engine.threads": 2,
    "policy.kl_coef": 0.001,
    "tracking.tags": {"team.name": "ours"},
}
WHOLE = ("rollout.tasks", "train.steps", "evaluation.tasks", "seed", "model.tiny.layers", "rollout.max_turns")
LEAVES: dict[str, type] = {
    **dict.fromkeys(WHOLE, int),
    **dict.fromkeys(("gate.beta", "policy.clip", "optimiser.learning_rate", "environment.timeout"), float),
    **dict.fromkeys(("description", "evaluation.split", "environment.name", "tracking.note"), str),
    **dict.fromkeys(("skills.general", "gate.detach", "engine.proof", "model.gradient_checkpointing"), bool),
    **dict.fromkeys(("gate", "rollout", "rollout.sampling", "optimiser", "tracking.tags"), dict),
}
TEXTS = ("description", "tracking.note")


def call(*words: str, **more: Any) -> Call:
    return Call(["recipes", "show", "quickstart", "--json", "--", *words], **more)


def plain(folder: Path, random: Random) -> Call:
    return call(*(f"{key}={_flow(value)}" for key, value in VALUES.items()))


def read_back(outcome: Outcome) -> Any:
    return json.loads(outcome.out)["recipe"]


def _flow(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(random: Random) -> str:
    return random.choice(list(LEAVES))


def _encoding(random: Random) -> str:
    """Bytes of the command line that are no UTF-8."""
    bad = random.choice((b"\xff", b"\xe9", b"\xc0\x80", b"\xed\xa0\x80")).decode("utf-8", "surrogateescape")
    return random.choice(
        (f"{random.choice(TEXTS)}=a{bad}", f"gate.b{bad}eta=5", bad, f"{bad}=1", f"description='{bad}'")
    )


def _surrogate(random: Random) -> str:
    half = random.choice(('"\\ud800"', '"x\\uDC00y"', '"\\udd8a\\ud83e"', "\ud800"))
    return f"{random.choice(TEXTS)}={half}"


def _control(random: Random) -> str:
    letter = random.choice(m.CONTROL)
    where = random.randrange(3)
    if where == 0:
        return f"gate.b{letter}eta=5"
    escape = random.choice(("\\0", "\\a", "\\e", "\\x1b[2J", "\\x9b", "\\x7f", "\\b"))
    return f'{random.choice(TEXTS)}="a{escape}b"' if where == 1 else f"{letter}=1"


def _depth(random: Random) -> str:
    depth = random.choice((25, 100, 2000, 20_000))
    opening, closing = random.choice((("[", "]"), ("{a: ", "}")))
    values = (f"description={opening * depth}1{closing * depth}", "a." * depth + "a=1", "model." * depth + "path=x")
    return random.choice(values)


def _size(random: Random) -> str:
    count = random.choice(((1 << 16) + 1, 100_000, 1_000_000))
    return random.choice(
        ("description=" + "x" * count, "x" * count, "x" * count + "=1", "=" * count, "gate." + "x" * count + "=1")
    )


def _bomb(random: Random) -> str:
    levels = 20
    steps = "".join(f", &a{n} [{', '.join([f'*a{n - 1}'] * 3)}]" for n in range(1, levels))
    pumps = (
        ";token" * 5000,
        "a:" * 30_000,
        "a://" * 15_000,
        "@" * 60_000,
        "?key=" * 12_000,
        "[" * 60_000,
        "'" * 60_000,
    )
    return random.choice(
        (f"description=[&a0 [x]{steps}]", f"seed={random.choice(pumps)}", f"gate.beta={random.choice(pumps)}")
    )


def _type(random: Random) -> str:
    key = _key(random)
    return f"{key}={random.choice(y.OTHER_TYPES[LEAVES[key]])}"


def _number(random: Random) -> str:
    return f"{random.choice(WHOLE)}={random.choice(y.ODD_NUMBERS)}"


def _missing(random: Random) -> str:
    return random.choice((_key(random), f"={random.choice('x1')}", "environment=null", "model.tiny=null", "name=null"))


def _unknown(random: Random) -> str:
    word = random.choice(
        ("zzz", "日本", "🦊", "__class__", "x" * 150, "-1", "gate.beta.x.y", "model.tiny.zzz", "gate.zzz")
    )
    return f"{word}={random.choice(('1', 'x', 'null', '[]', '{}'))}"


def _misspelt(random: Random) -> str:
    key = random.choice([key for key in LEAVES if "." in key and not key.startswith("tracking.tags")])
    place = random.randrange(key.index(".") + 1, len(key))
    return f"{key[:place]}{random.choice('qxz_')}{key[place:]}=1"


def _empty(random: Random) -> str:
    return random.choice(("", " ", "=", " = ", "==", ".=1", "gate.=5", ".beta=5", "gate..beta=5", "\t", "gate. beta=5"))


def _code(random: Random) -> str:
    tag = random.choice(("!!python/object/apply:os.system ['touch owned']", "!x y", "!!binary aGVsbG8=", "!!str x"))
    return f"{random.choice(TEXTS)}={tag}"


def _escape(random: Random) -> str:
    path = random.choice(("../x.yaml", "/dev/zero", "quickstart", "~nobody/x", '"~\\0"', "[a, b]"))
    return f"{random.choice(('extends', 'extends.x'))}={path}"


def _alone(make: Any, folder: Path, random: Random) -> Call:
    word = make(random)
    about = f": {word.partition('=')[0]} " if make in (_type, _number) else None
    return call(word, sentences=3, about=about)


def _duplicate(folder: Path, random: Random) -> Call:
    words = (("gate={beta: 1, beta: 1}",), ("gate.temperature=0.5", "gate.beta=2"), ("gate={temperature: 1, beta: 1}",))
    return call(*random.choice(words))


def _mixed(folder: Path, random: Random) -> Call:
    makes = (_type, _number, _unknown, _misspelt, _depth, _empty, _code, _control, _surrogate)
    return call(*(random.choice(makes)(random) for _ in range(2)), sentences=4)


REFUSED: dict[str, Make] = {
    **{
        make.__name__[1:]: partial(_alone, make)
        for make in (_encoding, _surrogate, _control, _depth, _size, _bomb, _type)
    },
    **{
        make.__name__[1:]: partial(_alone, make)
        for make in (_number, _missing, _unknown, _misspelt, _empty, _code, _escape)
    },
    "duplicate": _duplicate,
    "mixed": _mixed,
}


# Valid spellings


def _words(random: Random) -> list[str]:
    return [f"{key}={scalar(value, random)}" for key, value in VALUES.items()]


def _otherwise(folder: Path, random: Random) -> Call:
    return call(*_words(random))


def _order(folder: Path, random: Random) -> Call:
    words = _words(random)
    return call(*random.sample(words, len(words)))


def _later_wins(folder: Path, random: Random) -> Call:
    words = _words(random)
    earlier = ("gate.beta=1", "rollout.tasks=9", "description=other", "engine={threads: 7}", "policy={kl_coef: 3}")
    return call(*random.sample(earlier, random.randint(1, 5)), *words)


def _sections(folder: Path, random: Random) -> Call:
    words = []
    for key, value in VALUES.items():
        *parents, name = key.split(".")
        inner = f"{name}: {_flow(value)}"
        words.append(f"{parents[0]}={{{inner}}}" if parents else f"{key}={_flow(value)}")
    return call(*words)


def _spaces(folder: Path, random: Random) -> Call:
    return call(
        *(
            word.replace("=", random.choice(("=", " = ", "=  ", "\t=")), 1) + " " * random.randint(0, 3)
            for word in _words(random)
        )
    )


ACCEPTED: dict[str, Make] = {
    "scalars": _otherwise,
    "order": _order,
    "later wins": _later_wins,
    "sections": _sections,
    "spaces": _spaces,
}


def _free(folder: Path, random: Random) -> Call:
    """Any letters, of which some mean something."""
    letters = "abe.=:[]{},'\"&*!|>%@`#?- \n\t\\0123\x00\x1b\u2028\ud800é日🦊~"
    word = "".join(random.choice(letters) for _ in range(random.randint(0, 30)))
    return call(
        random.choice(
            (word, f"description={word}", f"gate.{word}", f"gate.beta={word}", f"environment.options={word}")
        ),
        sentences=20,
    )


def _flip(folder: Path, random: Random) -> Call:
    data = m.flip(random.choice(_words(random)).encode(), random)
    return call(data.decode("utf-8", "surrogateescape"), sentences=20)


KIND = Kind("override", plain, REFUSED, ACCEPTED, read_back, {"free": _free, "flip": _flip})
