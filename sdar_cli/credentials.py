"""Texts without the passwords in them: of URLs, headers, settings, and of this process's own environment.

All of it takes time that grows with a text's length: what may be shown to a user may be megabytes of somebody else's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

Span = tuple[int, int]

_WORD = re.compile(r"\S+")
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://(?!/)")
_COLON = re.compile(r":(?!/)")
_BEFORE_A_USER = "\t\n :@=,'\"[({"
_OPEN = re.compile(r"://[^\s:/?#@\[]*:([^\s/?#@]*)(?=[ \t])")
"""A URL's user with the beginning of a password, which a space cuts."""
_PORT = re.compile(r"\d{0,5}[.,;:)'\"\]]*")
_REST = re.compile(r"[ \t][^\n@]{0,200}@")
_NEXT = re.compile(r"[ \t]+[^\s@]{0,200}@")

_PARAMETER = re.compile(r"[?&;#]([^=&;?#\s]*)=")
_VALUE = re.compile(r"[^&\s]*")
_ENCODED = re.compile(r"%(?:3F|26|3B|23)([\w.-]{0,64})%3D((?:(?!%26)[^&\s])*)", re.IGNORECASE)
_ENCODED_SCHEME, _ENCODED_AT = re.compile("%3A%2F%2F", re.IGNORECASE), re.compile("%40")
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
_SHAPED = re.compile(r"(?<![A-Za-z0-9])(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abpr]-)[A-Za-z0-9_-]{16,}")
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
    """Before hosts, the last ``@`` of a word being the one that counts; also where the scheme was forgotten."""
    for start, end in [(0, len(text))] if alone else (word.span() for word in _WORD.finditer(text)):
        at = text.rfind("@", start, end)
        if at < 0:
            continue
        schemes = (found.end() for found in _SCHEME.finditer(text, start, at))
        if (first := next((end for end in schemes if _may_be_a_user(text, end, at)), None)) is not None:
            yield first, at
        elif found := _COLON.search(text, start, at):
            first = found.start()
            while first > start and text[first - 1] not in _BEFORE_A_USER:
                first -= 1
            if first < found.start() and found.end() < at:
                yield first, at


def _may_be_a_user(text: str, start: int, at: int) -> bool:
    """Whether what stands before the ``@`` of a URL is more than a host and its path."""
    slash = text.find("/", start, at)
    return slash < 0 or text.find(":", start, slash) >= 0


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
    """Users and parameters of a URL that is written as a part of another (``https%3A%2F%2Fme%3Apw%40host``)."""
    yield from (found.span(2) for found in _ENCODED.finditer(text) if _is_secret(found[1]))
    place = 0
    while scheme := _ENCODED_SCHEME.search(text, place):
        place = scheme.end()
        word = _WORD.match(text, place)
        if word is None:
            continue
        if ends := [at.start() for at in _ENCODED_AT.finditer(text, place, word.end())]:
            yield place, ends[-1]
        place = word.end()


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
            value = _BARE.match(text, place)
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
