"""Texts without the passwords in them: of URLs, headers, settings, and of this process's own environment.

All of it takes time that grows with a text's length: what may be shown to a user may be megabytes of somebody else's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class _Form:
    """How a URL's marks are written."""

    scheme: re.Pattern[str]
    at: re.Pattern[str]
    colon: re.Pattern[str]
    end: re.Pattern[str]
    """Of the authority, in which user, host and port stand."""

    def last_at(self, text: str, start: int, end: int) -> int | None:
        last = None
        for found in self.at.finditer(text, start, end):
            last = found.start()
        return last


_AS_IT_IS = _Form(
    re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://(?!/)"),
    re.compile("@"),
    re.compile(":"),
    re.compile("[/?#]"),
)
_IN_ANOTHER = _Form(
    re.compile("%3A%2F%2F", re.IGNORECASE),
    re.compile("%40"),
    re.compile("%3A", re.IGNORECASE),
    re.compile("%2F|%3F|%23|[/?#]", re.IGNORECASE),
)
"""As a part of another one: ``https%3A%2F%2Fme%3Apw%40host``."""
_DIGITS = re.compile("[0-9]{1,5}")
_COLON = re.compile(":(?!/|[0-9]{1,5}[/?#])")
_BEFORE_A_USER = "\t\n :@=,'\"[({"
_OPEN = re.compile(r"://[^\s:/?#@\[]*:([^\s/?#@]*)(?=[ \t])")
"""A URL's user with the beginning of a password, which a space cuts."""
_DIGEST = re.compile("@sha256:[0-9a-f]")
"""Of a container's image, which no user stands before."""
_TIME = re.compile("[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?")
_PORT = re.compile(r"\d{0,5}[.,;:)'\"\]]*")
_REST = re.compile(r"[ \t][^\n@]{0,200}@")
_NEXT = re.compile(r"[ \t]+[^\s@]{0,200}@")

_PARAMETER = re.compile(r"[?&;#]([^=&;?#\s]*)=")
_VALUE = re.compile(r"[^&\s]*")
_ENCODED = re.compile(r"%(?:3F|26|3B|23)([\w.-]{0,64})%3D((?:(?!%26)[^&\s])*)", re.IGNORECASE)
_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET = re.compile("[a-z]*(?:tokens?|secrets?|signature|credentials?|keys?)|[a-z]*(?:passw|pwd|passphrase)[a-z]*")
"""Words in the name of a query's parameter whose value is not shown."""
_EXACTLY = frozenset({"sig", "pass", "auth", "odbc_connect"})
_FILES = frozenset({"sslkey", "ssl_key"})
"""Parameters of databases that hold the path of a file."""
_NO_LOCK = re.compile("(?:by|sort|order|group|metric|column|hot|mon|tur|hoc)keys?$")
"""Keys that open nothing: ``orderByKey``."""
_COUNT = re.compile(r"[0-9]{1,12}(?!\.?[\w%+/=-])")

_AUTHORIZATION = re.compile(
    r"\bAuthorization(?:\\?[\"'][ \t]*,(?=[ \t]*b?\\?[\"'])|\\?[\"']?[ \t]*[:=])[ \t]*(?:b(?=[\"']))?(\\?[\"'])?"
    r"((?:ApiKey|AWS4-HMAC-SHA256|Basic|Bearer|Digest|Negotiate|Token)(?![\w.-])[ \t]*"
    r"(?:(?:token|username)=\\?[\"']?)?)?",
    re.IGNORECASE,
)
_SENT = re.compile(r"[^\s\"'\\,;})]+")
_SENT_BEHIND_A_WORD = re.compile(r"[^\s\"'\\,;})]+(?:[ \t]+[^\s\"'\\,;})]+)?")
"""Either one may be the secret where the scheme is none that is known."""
_BEARER = re.compile(r"\bBearer +(\S+)", re.IGNORECASE)
_SETTING = re.compile(r"(?<![\w.?&;#-])([\w.-]{1,80})(\\?[\"'])?[ \t]{0,8}([=:,])[ \t]{0,8}(?:b(?=[\"']))?(\\?[\"'])?")
_PAIR = re.compile(r"\(b?[\"']")
"""Before the name, in a list of headers: ``(b'x-api-key', b'…')``."""
_QUOTED = {'"': re.compile(r'(?:[^"\\\n]|\\.)*'), "'": re.compile(r"(?:[^'\\\n]|\\.)*")}
_BARE = re.compile(r"[^\s,;\"'\\)}\]&]+")
_PROSE = re.compile(
    "(?:an?|the|this|that|it|its|is|are|was|no|not|leave|set|give|put|use|write|remove|send|take|see|check)(?= +[^ ])"
)
"""What goes on behind the colon of a sentence: ``it holds a password: leave it out``."""
_SPECIAL = re.compile(r"<[|｜][\w.▁-]{1,60}[|｜]>|</?[a-z_]{1,24}[0-9]{0,3}>")
"""Tokens of a vocabulary, which settings named after tokens hold."""
_ESCAPED = re.compile(r"[^\"'\\\n]*")
_NAMED = re.compile(
    r"(?:.*[_.-])?(?:(?:api|access|secret|private|client|account|signing|encryption)[_-]?(?:key|token|secret)|apikey"
    r"|passw(?:or)?d|passphrase|pwd|(?:auth|refresh|bearer|session|id|hf|hub|github|wandb)[_-]?token|client[_-]?secret)",
    re.IGNORECASE,
)
"""Names of settings that hold a secret, however they are written."""
_ALONE = re.compile(
    r"(?:[A-Z][A-Z0-9]*_)+KEY|(?:[A-Z][A-Z0-9]*_)*(?:TOKEN|SECRET)|[A-Z0-9_]*PASSW(?:OR)?D|token|secret"
)
"""Further ones, where an equals sign or quotes show that a setting is meant."""
_SHAPED = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_(?=[A-Za-z]{0,60}[0-9])[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|(?:github_pat_|glpat-|xox[abpr]-)(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{16,}"
    r"|sk-(?=[A-Za-z0-9_-]{16})(?:[A-Za-z0-9]{1,40}[_-]){0,8}(?=[A-Za-z]{0,40}[0-9])[A-Za-z0-9]{10,}[A-Za-z0-9_-]*)"
)
"""What well-known services give out."""

OWN = re.compile(r"(?:.*_)?(?:TOKEN|KEY|SECRET)|.*(?:PASSWORD|PASSWD)", re.IGNORECASE)
"""Variables of the environment whose value is never shown."""
SHORTEST = 8
"""Letters of such a value: what is shorter stands in any text."""


def without_credentials(text: str, *, alone: bool = False) -> str:
    """Text with ``***`` for whatever stands in it for user, password or token.

    Args:
        alone: the text is one value that a user typed, not a sentence around some: a space is a letter of a password,
            and neither settings nor this process's own secrets are looked for.
    """
    secrets = [*_users(text, alone), *_parameters(text), *_encoded(text)]
    secrets += [found.span(1) for found in _BEARER.finditer(text)]
    if not alone:
        secrets += [*_split_users(text), *_authorizations(text), *_settings(text), *_own(text)]
        secrets += [found.span() for found in _SHAPED.finditer(text)]
    shown, at = [], 0
    for start, end in sorted(secrets):
        if start > at or not shown:
            shown += [text[at:start], "***"]
        at = max(at, end)
    return "".join((*shown, text[at:]))


def _users(text: str, alone: bool) -> Iterator[Span]:
    """Before the hosts of URLs, also where the scheme was forgotten."""
    for start, end in [(0, len(text))] if alone else (word.span() for word in _WORD.finditer(text)):
        for form in (_AS_IT_IS, _IN_ANOTHER):
            last = form.last_at(text, start, end)
            if last is None:
                continue
            place = start
            for scheme in form.scheme.finditer(text, start, last):
                if scheme.start() < place:
                    continue
                if form is _AS_IT_IS:
                    yield from _without_scheme(text, place, scheme.start(), begins=place == start)
                place = scheme.end()
                if found := _behind_scheme(text, place, end, last, form):
                    yield found
                    place = found[1] + 1
            if form is _AS_IT_IS:
                yield from _without_scheme(text, place, end, begins=place == start)


def _behind_scheme(text: str, start: int, end: int, last: int, form: _Form) -> Span | None:
    """A token ends at the last ``@`` of the authority; a password may hold any letter, and ends at the ``last`` of the
    word. What looks like a port is none."""
    authority = found.start() if (found := form.end.search(text, start, end)) else end
    at = form.last_at(text, start, authority)
    name = text.find("]", start, authority) + 1 if text.startswith("[", start) else start
    colon = form.colon.search(text, max(start, name), authority if at is None else at)
    if colon and (at is not None or not _DIGITS.fullmatch(text, colon.end(), authority)):
        return start, last
    return None if at is None else (start, at)


def _without_scheme(text: str, start: int, end: int, *, begins: bool) -> Iterator[Span]:
    """``begins``: a user may stand at the start, where no URL goes on."""
    at = text.rfind("@", start, end)
    while at >= 0 and _DIGEST.match(text, at, end):
        at = text.rfind("@", start, at)
    if at < 0:
        return
    for colon in _COLON.finditer(text, start, at):
        first = colon.start()
        while first > start and text[first - 1] not in _BEFORE_A_USER:
            first -= 1
        if first < colon.start() and colon.end() < at and (begins or first > start):
            if not _TIME.fullmatch(text, first, at):
                yield first, at
            return


def _split_users(text: str) -> Iterator[Span]:
    """With a space in the password: up to the next ``@`` of the line; where a port may be meant, of the next word."""
    for found in _OPEN.finditer(text):
        rest = _NEXT if _PORT.fullmatch(found[1]) else _REST
        if end := rest.match(text, found.end()):
            yield found.start() + 3, end.end() - 1


def _parameters(text: str) -> Iterator[Span]:
    """Values of a query that are named as secrets are, without a sentence's punctuation behind them."""
    place = 0
    while found := _PARAMETER.search(text, place):
        place = found.end()
        if _is_secret(found[1], counts=_COUNT.match(text, place) is not None):
            value = _VALUE.match(text, place)
            secret = value[0].rstrip(":'\",;)]}.")
            if secret:
                yield place, place + len(secret)
            place = value.end()


def _is_secret(name: str, *, counts: bool) -> bool:
    """By the whole words of the name, written ``api_key``, ``apiKey`` or ``apikey``.

    Args:
        counts: its value is a number, which ``max_tokens`` may have.
    """
    small = name.lower()
    if small in _FILES:
        return False
    if small in _EXACTLY:
        return True
    for words in (_WORDS.findall(name), _WORDS.findall(small)):
        before = ""
        for word in map(str.lower, words):
            if _SECRET.fullmatch(word) and not (_NO_LOCK.search(before + word) or (counts and word.endswith("tokens"))):
                return True
            before = word
    return False


def _encoded(text: str) -> Iterator[Span]:
    """The same of a URL that is written as a part of another."""
    return (found.span(2) for found in _ENCODED.finditer(text) if _is_secret(found[1], counts=found[2].isdecimal()))


def _authorizations(text: str) -> Iterator[Span]:
    """Of headers, written as such, as a setting, or in a list or dict of Python's or JSON's."""
    place = 0
    while found := _AUTHORIZATION.search(text, place):
        place = found.end()
        mark, scheme = found.groups()
        bare = _SENT if scheme else _SENT_BEHIND_A_WORD
        value = (bare if mark is None else _QUOTED[mark] if len(mark) == 1 else _ESCAPED).match(text, place)
        if value and value[0]:
            yield value.span()
            place = value.end()


def _settings(text: str) -> Iterator[Span]:
    """Values of settings whose names say that they are secret: ``HF_TOKEN=…``, ``"api_key": "…"``, ``password: …``."""
    place = 0
    while found := _SETTING.search(text, place):
        place = found.end()
        name, quoted, sign, mark = found.groups()
        if sign == "," and not (quoted and mark and _PAIR.search(text, max(0, found.start() - 3), found.start())):
            continue
        unsure = not _NAMED.fullmatch(name)
        if unsure and not ((sign == "=" or quoted) and _ALONE.fullmatch(name)):
            continue
        if mark is None:
            prose = sign == ":" and not quoted and _PROSE.match(text, place)
            value = None if prose else _BARE.match(text, place)
        else:
            value = (_QUOTED[mark] if len(mark) == 1 else _ESCAPED).match(text, place)
        secret = "" if value is None else value[0].rstrip(":.") if mark is None else value[0]
        if secret and not (unsure and _SPECIAL.fullmatch(secret)):
            yield place, place + len(secret)
            place += len(secret)


def _own(text: str) -> Iterator[Span]:
    """This process's own, as they are and as URLs and JSON write them."""
    from urllib.parse import quote

    for name, value in os.environ.items():
        if len(value) < SHORTEST or not OWN.fullmatch(name):
            continue
        for form in {
            value,
            quote(os.fsencode(value), safe=""),
            json.dumps(value)[1:-1],
            repr(value)[1:-1],
            ascii(value)[1:-1],
        }:
            place = text.find(form)
            while place >= 0:
                yield place, place + len(form)
                place = text.find(form, place + len(form))
