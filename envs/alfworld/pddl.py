"""The PDDL of a game, read strictly before the engine sees it.

A problem of the known domain has one shape: typed objects, facts, and a goal of ``and``, ``exists``, ``not``, ``=``
and facts. Whatever passes here names objects that are declared, under predicates that the domain has, with arguments
of their types; so the planner's translator has nothing to stumble over, and no name can be anything but letters,
digits and underscores when the grammar prints it.
"""

from __future__ import annotations

import re

LONGEST = 1 << 20
"""Characters; the longest official problem has 105 thousand."""
MOST_OBJECTS = 1000
"""The official games have up to 363."""
MOST_FACTS = 20_000
DEEPEST = 16
"""Parentheses within each other in a goal; the official games' go to 8."""
MOST_VARIABLES = 6
"""Of a goal, as the official games have at most: the translator tries every object for each."""

NEEDED = ("SinkBasinType", "MicrowaveType", "FridgeType", "KnifeType", "ButterKnifeType")
"""Objects that the domain's actions name."""
TYPES = frozenset(("agent", "location", "receptacle", "object", "rtype", "otype"))
PREDICATES = {
    "atLocation": ("agent", "location"),
    "receptacleAtLocation": ("receptacle", "location"),
    "objectAtLocation": ("object", "location"),
    "inReceptacle": ("object", "receptacle"),
    "inReceptacleObject": ("object", "object"),
    "wasInReceptacle": ("object", "receptacle"),
    "receptacleType": ("receptacle", "rtype"),
    "objectType": ("object", "otype"),
    "canContain": ("rtype", "otype"),
    "holds": ("agent", "object"),
    "holdsAny": ("agent",),
    "holdsAnyReceptacleObject": ("agent",),
    "examined": ("location",),
    **dict.fromkeys(("openable", "opened", "checked", "full"), ("receptacle",)),
    **dict.fromkeys(
        (
            "isReceptacleObject",
            "isReceptacleObjectFull",
            "isClean",
            "cleanable",
            "isHot",
            "heatable",
            "isCool",
            "coolable",
            "pickupable",
            "moveable",
            "toggleable",
            "isOn",
            "isToggled",
            "sliceable",
            "isSliced",
        ),
        ("object",),
    ),
}
"""Predicate → the types of its arguments, in both known domains."""

_NAME = r"[A-Za-z][A-Za-z0-9_]{0,127}"
_ODD = re.compile(r"[^A-Za-z0-9_ \t\r\n()?:=-]")
# Possessive throughout: what has been read is never read again another way.
_PROBLEM = re.compile(
    rf"\s*+\(\s*+define\s*+\(\s*+problem\s++{_NAME}\s*+\)\s*+\(\s*+:domain\s++alfred\s*+\)"
    r"\s*+\(\s*+:objects(?P<objects>[^()]*+)\)"
    r"\s*+\(\s*+:init(?P<facts>(?:\s*+\([^()]*+\))*+)\s*+\)"
    r"\s*+\(\s*+:goal(?P<goal>.*)\Z",
    re.DOTALL | re.ASCII,
)
_OBJECTS = re.compile(rf"(?:\s++{_NAME}\s++-\s++[a-z]++)++\s*+", re.ASCII)
_FACT = re.compile(r"\(([^()]*+)\)")
_TOKEN = re.compile(r"[()]|[^\s()]++", re.ASCII)
_VARIABLE = re.compile(r"\?[A-Za-z][A-Za-z0-9_]{0,31}")


class Unsound(Exception):
    """What is wrong with a problem: the middle of a sentence."""


def check_problem(text: str) -> None:
    """
    Raises:
        Unsound: it is no problem of the known domain, or larger than any.
    """
    if len(text) > LONGEST:
        raise Unsound(f"is longer than {LONGEST >> 20} MiB")
    if odd := _ODD.search(text):
        raise Unsound(f"holds {odd[0]!a}, which no problem has")
    problem = _PROBLEM.match(text)
    if problem is None:
        raise Unsound("is no list of objects, facts and a goal for the domain alfred")
    objects = _objects(problem["objects"])
    _facts(problem["facts"], objects)
    _Goal(problem["goal"], objects).read()


def _objects(text: str) -> dict[str, str]:
    """Name → type."""
    if not _OBJECTS.fullmatch(text):
        raise Unsound("has objects that are not written as 'name - type'")
    words = text.split()
    names, types = words[::3], words[2::3]
    if len(names) > MOST_OBJECTS:
        raise Unsound(f"has more than {MOST_OBJECTS} objects")
    for kind in set(types) - TYPES:
        raise Unsound(f"has objects of the unknown type {kind[:40]!r}")
    if len({name.lower() for name in names}) < len(names):
        raise Unsound("declares an object twice")
    objects = dict(zip(names, types, strict=True))
    if types.count("agent") != 1:
        raise Unsound("does not have one agent")
    for name in NEEDED:
        if objects.get(name) not in ("rtype", "otype"):
            raise Unsound(f"lacks the object {name}, which the domain names")
    return objects


def _facts(text: str, objects: dict[str, str]) -> None:
    facts = _FACT.findall(text)
    if len(facts) > MOST_FACTS:
        raise Unsound(f"has more than {MOST_FACTS} facts")
    places = 0
    for fact in facts:
        words = fact.split()
        _check_fact(words, objects)
        places += words[0] == "atLocation"
    if places != 1:
        raise Unsound("does not say at which one place the agent is")


def _check_fact(words: list[str], known: dict[str, str]) -> None:
    """One fact; ``known`` has the types of the names that may stand in it."""
    types = PREDICATES.get(words[0]) if words else None
    if types is None:
        raise Unsound(f"has the unknown fact {' '.join(words)[:60]!r}")
    if tuple(map(known.get, words[1:])) != types:
        raise Unsound(f"has the fact {' '.join(words)[:120]!r}, whose arguments are not of the types that it takes")


class _Goal:
    """A goal and the two parentheses that close the definition, read in one pass without recursion."""

    def __init__(self, text: str, objects: dict[str, str]) -> None:
        self._tokens = _TOKEN.findall(text)
        self._place = 0
        self._scopes: list[tuple[str, int, dict[str, str]]] = []
        """Open operators: the name, how many conditions it has so far, and what may be named within."""
        self._known = objects
        self._variables = 0

    def read(self) -> None:
        self._condition()
        while self._scopes:
            if self._peek() == ")":
                self._close()
            else:
                self._condition()
        if self._tokens[self._place :] != [")", ")"]:
            raise Unsound("does not end after its goal")

    def _condition(self) -> None:
        """A fact or an equality, whole; or the beginning of an operator."""
        self._expect("(")
        word = self._next()
        if word in ("and", "not", "exists"):
            if len(self._scopes) >= DEEPEST:
                raise Unsound(f"has a goal of more than {DEEPEST} levels")
            known = self._bound() if word == "exists" else self._known
            self._scopes.append((word, 0, self._known))
            self._known = known
            return
        words = [word]
        while self._peek() not in ("(", ")", ""):
            words.append(self._next())
        self._expect(")")
        if word == "=":
            if len(words) != 3 or not all(name in self._known for name in words[1:]):
                raise Unsound("compares what is not there in its goal")
        else:
            _check_fact(words, self._known)
        self._count()

    def _close(self) -> None:
        self._place += 1
        word, conditions, self._known = self._scopes.pop()
        if conditions < 1 or (word != "and" and conditions > 1):
            raise Unsound(f"has {word!r} with {conditions} conditions in its goal")
        self._count()

    def _count(self) -> None:
        if self._scopes:
            word, conditions, known = self._scopes[-1]
            self._scopes[-1] = (word, conditions + 1, known)

    def _bound(self) -> dict[str, str]:
        """What may be named within ``exists``: all of before, and its variable."""
        self._expect("(")
        known = dict(self._known)
        while self._peek() != ")":
            name = self._next()
            self._expect("-")
            kind = self._next()
            self._variables += 1
            if self._variables > MOST_VARIABLES:
                raise Unsound(f"has more than {MOST_VARIABLES} variables in its goal")
            if not _VARIABLE.fullmatch(name) or kind not in TYPES or name in known:
                raise Unsound(f"has the variable {name[:40]!r} of the type {kind[:40]!r} in its goal")
            known[name] = kind
        self._expect(")")
        return known

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _next(self) -> str:
        word = self._peek()
        if word in ("", "(", ")"):
            raise Unsound("has a goal that is not balanced")
        self._place += 1
        return word

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise Unsound(f"has a goal without a {token!r} where one is needed")
        self._place += 1
