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
_PORT = re.compile(r"\d{0,5}[.,;:)'\"\]]*")
_REST = re.compile(r"[ \t][^\n@]{0,200}@")
_NEXT = re.compile(r"[ \t]+[^\s@]{0,200}@")

_PARAMETER = re.compile(r"[?&;#]([^=&;?#\s]*)=")
_VALUE = re.compile(r"[^&\s]*")
_ENCODED = re.compile(r"%(?:3F|26|3B|23)([\w.-]{0,64})%3D((?:(?!%26)[^&\s])*)", re.IGNORECASE)
_SECRETS = ("token", "passw", "pwd", "secret", "key", "signature", "credential", "odbc_connect")
"""Words in the name of a query's parameter whose value is not shown."""
_EXACTLY = frozenset({"sig", "pass", "auth"})

_AUTHORIZATION = re.compile(
    r"\bAuthorization\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?(?:(?:Bearer|Basic|Token|Digest|Negotiate)\b[ \t]*)?"
    r"([^\s\"'\\,;})]*)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bBearer +(\S+)", re.IGNORECASE)
_SETTING = re.compile(r"(?<![\w.?&;#-])([\w.-]{1,80})(\\?[\"'])?[ \t]{0,8}([=:])[ \t]{0,8}(\\?[\"'])?")
_QUOTED = {'"': re.compile(r'(?:[^"\\\n]|\\.)*'), "'": re.compile(r"(?:[^'\\\n]|\\.)*")}
_BARE = re.compile(r"[^\s,;\"'\\)}\]&]+")
_PROSE = re.compile(r"[A-Z]?[a-z]+(?= +\S)")
"""What goes on behind the colon of a sentence: ``it holds a password: leave it out``."""
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
    r"(?<![A-Za-z0-9])(?:(?:hf_|gh[pousr]_)[A-Za-z0-9]{16,}"
    r"|(?:github_pat_|glpat-|sk-|xox[abpr]-)(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{16,})"
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
    if at < 0:
        return
    for colon in _COLON.finditer(text, start, at):
        first = colon.start()
        while first > start and text[first - 1] not in _BEFORE_A_USER:
            first -= 1
        if first < colon.start() and colon.end() < at and (begins or first > start):
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
        if _is_secret(found[1]):
            value = _VALUE.match(text, place)
            secret = value[0].rstrip(":'\",;)]}.")
            if secret:
                yield place, place + len(secret)
            place = value.end()


def _is_secret(name: str) -> bool:
    name = name.lower()
    return name in _EXACTLY or any(word in name for word in _SECRETS)


def _encoded(text: str) -> Iterator[Span]:
    """The same of a URL that is written as a part of another."""
    return (found.span(2) for found in _ENCODED.finditer(text) if _is_secret(found[1]))


def _authorizations(text: str) -> Iterator[Span]:
    return (found.span(1) for found in _AUTHORIZATION.finditer(text) if found[1])


def _settings(text: str) -> Iterator[Span]:
    """Values of settings whose names say that they are secret: ``HF_TOKEN=…``, ``"api_key": "…"``, ``password: …``."""
    place = 0
    while found := _SETTING.search(text, place):
        place = found.end()
        name, quoted, sign, mark = found.groups()
        if not (_NAMED.fullmatch(name) or ((sign == "=" or quoted) and _ALONE.fullmatch(name))):
            continue
        if mark is None:
            value = None if sign == ":" and not quoted and _PROSE.match(text, place) else _BARE.match(text, place)
        else:
            value = (_QUOTED[mark] if len(mark) == 1 else _ESCAPED).match(text, place)
        secret = "" if value is None else value[0].rstrip(":.") if mark is None else value[0]
        if secret:
            yield place, place + len(secret)
            place += len(secret)


def _own(text: str) -> Iterator[Span]:
    """This process's own, as they are and as URLs and JSON write them."""
    from urllib.parse import quote

    for name, value in os.environ.items():
        if len(value) < SHORTEST or not OWN.fullmatch(name):
            continue
        for form in {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1], ascii(value)[1:-1]}:
            place = text.find(form)
            while place >= 0:
                yield place, place + len(form)
                place = text.find(form, place + len(form))
