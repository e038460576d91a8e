"""What a model can say, by named classes, and the real turn loop in which it says it."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "rollout"))

from chat_templates import OPTIONS, TEMPLATES, tokenizer
from garbage_payloads import ANSI, CSV, FORMAT, HTML, JSON, LATEX, MARKDOWN, PUMPS, SPECIAL
from harness import COUNT

from sdar_cli.environments import build_environment
from sdar_cli.recipe.schema import EnvironmentSection, Skills
from sdar_cli.rollout.context import Context
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import RolloutLoop, Start
from sdar_cli.rollout.policies import Generation
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.bank import SkillBank
from sdar_cli.skills.retrieval import make_retriever
from sdar_envs.base import Task

SMALL = {
    **OPTIONS,
    "alfworld": {"games": "generated", "brief": True, "train": 12, "test": 6, "receptacles": 4, "things": 3},
}
MANY = COUNT >= 1000
TURNS = 3 if MANY else 2
LONG = 20_000 if MANY else 3_000
"""Letters of what is long; see ``megabytes`` for more."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """An environment's tags, the one for actions first, and an action that is well written."""

    tags: tuple[str, ...]
    action: str

    def wrap(self, payload: str, thought: str = "so") -> str:
        return f"<think>{thought}</think><{self.tags[0]}>{payload}</{self.tags[0]}>"


PROTOCOLS = {
    "household": Protocol(("action", "think"), "look"),
    "alfworld": Protocol(("action", "think"), "look"),
    "webshop": Protocol(("action", "think"), "search[red shoes]"),
    "search-qa": Protocol(("search", "answer", "think"), "river"),
}

Say = Callable[[Random, Protocol], str]


def _unclosed(random: Random, own: Protocol) -> str:
    tag = random.choice(own.tags)
    return own.wrap(own.action).replace(
        random.choice((f"</{tag}>", f"<{tag}>")), random.choice(("", f"</{tag}", f"<{tag}"))
    )


def _nested(random: Random, own: Protocol) -> str:
    depth = random.choice((2, 3, 50, 2000))
    tag, other = random.choice(own.tags), random.choice(own.tags)
    return f"<{tag}><{other}>" * depth + own.action + f"</{other}></{tag}>" * random.choice((depth, depth - 1, 0))


def _twice(random: Random, own: Protocol) -> str:
    return own.wrap(own.action) * random.choice((2, 3, 500))


def _crossed(random: Random, own: Protocol) -> str:
    pieces = [f"<{tag}>" for tag in own.tags] + [f"</{tag}>" for tag in own.tags] + [own.action, " "]
    return "".join(random.choices(pieces, k=random.randint(2, 30)))


FOLDED = {
    "i": "ıİ",
    "s": "ſ",
    "k": "K",
    "a": "ªАаα",
    "n": "ո",
    "o": "оοº",
    "t": "т",
    "c": "сϲ",
    "h": "һ",
    "e": "еℯ",
    "r": "г",
}


def _folded(letters: str, tags: Sequence[str]) -> Say:
    def say(random: Random, own: Protocol) -> str:
        def other(letter: str) -> str:
            near = letters if letter.lower() in "isk" else ""
            found = [one for one in FOLDED.get(letter.lower(), "") if not near or one in near] or [letter.upper()]
            return random.choice((letter, random.choice(found)))

        text = own.wrap(own.action)
        for tag in tags or own.tags:
            text = text.replace(tag, "".join(map(other, tag)), random.choice((1, 2)))
        return text

    return say


def _zero_width(random: Random, own: Protocol) -> str:
    text = own.wrap(own.action)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(text))
        text = text[:place] + random.choice("\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f") + text[place:]
    return text


def _inside(*payloads: str, join: str = " ") -> Say:
    """One or some of these, bare, as a thought or as the action."""

    def say(random: Random, own: Protocol) -> str:
        payload = join.join(random.choices(payloads, k=random.randint(1, 3)))
        return _placed(random, own, payload)

    return say


def _placed(random: Random, own: Protocol, payload: str) -> str:
    forms = (payload, own.wrap(payload), own.wrap(own.action, payload), f"{payload}{own.wrap(own.action)}{payload}")
    written = (f"search[{payload}]", f"click[{payload}]", f"go to {payload}", f"answer[{payload}]")
    return random.choice((*forms, own.wrap(random.choice(written))))


def _combining(random: Random, own: Protocol) -> str:
    return _placed(random, own, "a" + random.choice("\u0301\u0e47\u20dd\u0489") * random.choice((3, 500, LONG)))


def _controls(random: Random, own: Protocol) -> str:
    every = [chr(n) for n in (*range(32), 127, *range(128, 160))]
    return _placed(random, own, "".join(random.sample(every, random.choice((1, 5, len(every))))))


def _any_letters(random: Random, own: Protocol) -> str:
    letters = (chr(random.randrange(0x110000)) for _ in range(random.choice((5, 80, 2000))))
    return _placed(random, own, "".join(one for one in letters if unicodedata.category(one) != "Cs"))


def _pump(random: Random, own: Protocol) -> str:
    pump = random.choice(PUMPS)
    return _placed(random, own, pump * (random.choice((300, LONG)) // len(pump)) + random.choice(("", "!", ">", "]")))


def _megabytes(random: Random, own: Protocol) -> str:
    return _placed(
        random, own, random.choice(("a", "a ", "🧊", "<", "\u0301", "]", "0")) * random.choice((LONG, 10 * LONG))
    )


def _admissible(random: Random, own: Protocol) -> str:
    """Nearly right, so that the episode goes on."""
    action = random.choice(
        (own.action, own.action.upper(), f"\u00a0{own.action}\n", own.action.replace(" ", "\t\u2003"))
    )
    return own.wrap(action, random.choice(("", "so", "\n\n")))


CLASSES: dict[str, Say] = {
    "unclosed": _unclosed,
    "nested": _nested,
    "twice": _twice,
    "crossed": _crossed,
    "casefold": _folded("ıİſK", ()),
    "homoglyph": _folded("", ()),
    "zero-width": _zero_width,
    "right-to-left": _inside("\u202eevil", "\u2066a\u2069", "שלום", "\u200f\u061c", "العربية"),
    "combining": _combining,
    "replacement": _inside("\ufffd", "\ufffd" * 300, "a\ufffd", "\ufffe\uffff"),
    "controls": _controls,
    "special tokens": _inside(*SPECIAL, join=""),
    "megabytes": _megabytes,
    "no end": _admissible,
    "empty": lambda random, own: random.choice(
        ("", " ", "\n", "\u3000", own.wrap(""), own.wrap(" \n", ""), "<>", "</>")
    ),
    "json": _inside(*JSON),
    "html": _inside(*HTML),
    "latex": _inside(*LATEX),
    "markdown": _inside(*MARKDOWN),
    "csv": _inside(*CSV),
    "ansi": _inside(*ANSI),
    "format": _inside(*FORMAT),
    "pumps": _pump,
    "any letters": _any_letters,
    "paths": _inside(
        "../../../etc/passwd", "/dev/zero", "file:///etc/passwd", "C:\\", "a\\0b", "~", "$(id)", "`id`", "; rm"
    ),
    "queries": _inside(
        "' OR 1=1 --", '"; DROP TABLE products; --', "NOT AND OR", 'a* NEAR("b")', "%", "_", "<r>", "<a> x"
    ),
    "numbers": _inside("9" * 5000, "1e999", "-0", "0x1F", "٣", "²", "½", "-1", "10" * 400, "NaN"),
    "admissible": _admissible,
}


def utterances(count: int, own: Protocol, salt: str) -> Iterator[tuple[str, list[str]]]:
    """(class, what is said turn by turn) of ``count`` episodes, the classes taking turns."""
    names = list(CLASSES)
    for number in range(count):
        name = names[number % len(names)]
        random = Random(f"{salt}/{name}/{number // len(names)}")
        yield name, [CLASSES[name](random, own) for _ in range(TURNS)]


@dataclass(slots=True)
class Speaker:
    """A policy that says what is written down, whatever it is asked."""

    script: Sequence[Sequence[str]]
    made: object
    endless: set[int]
    """Episodes whose answers have no end token."""
    under_way: list[tuple[int, Generation]]

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        ids = self.made(self.script[episode][turn], add_special_tokens=False)["input_ids"]
        end = [] if episode in self.endless else [self.made.eos_token_id]
        self.under_way.append((episode, Generation([*ids, *end])))

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        told, self.under_way = self.under_way, []
        return told

    def drop(self) -> None:
        self.under_way = []


@dataclass(frozen=True, slots=True)
class Played:
    episodes: list[Episode]
    classes: list[str]
    script: list[list[str]]
    decode: Callable[[list[int]], str]


@lru_cache(maxsize=1)
def byte_tokenizer():
    return tokenizer(TEMPLATES["qwen3, thinking off"])


def spoken(name: str, kind: str, count: int) -> Played:
    """Play episodes of an environment on generated data, in which the model says whatever it can."""
    made = byte_tokenizer()
    environment = build_environment(EnvironmentSection(name=name, options=SMALL[name]))
    with closing(environment), Pool(type(environment), environment.options, workers=1, timeout=60) as pool:
        environment.prepare()
        context = Context(
            environment, made, kind, 2, 12_000 if MANY else 5_000, "user", {"enable_thinking": False}, False, True
        )
        classes, script = map(list, zip(*utterances(count, PROTOCOLS[name], f"{name}/{kind}"), strict=True))
        endless = {number for number, klass in enumerate(classes) if klass == "no end"}

        def decode(ids: list[int]) -> str:
            return made.decode(ids, skip_special_tokens=True)

        loop = RolloutLoop(
            environment=environment,
            pool=pool,
            context=context,
            policy=Speaker(script, made, endless, []),
            retriever=make_retriever(SkillBank.from_texts({"general": GENERAL}), Skills(), 0),
            decode=decode,
            ends={made.eos_token_id},
            max_turns=TURNS,
            concurrency=32,
        )
        tasks = environment.tasks("train")
        own = [_renamed(tasks[number % len(tasks)], number) for number in range(count)]
        return Played(
            loop.play([Start(task, group=number) for number, task in enumerate(own)]), classes, script, decode
        )


def _renamed(task: Task, number: int) -> Task:
    return replace(task, id=f"{task.id}#{number}")


GENERAL = "---\nname: general\ndescription: g\ntask_types: []\nkeywords: []\n---\nCount with care.\n"
