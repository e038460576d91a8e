"""Every error a user can meet.

    SdarError                  one sentence: what was wrong, where, what to do
    ├── UserError              the user's mistake: exit code 2
    │   ├── RecipeError        a key, a value or a file of a recipe
    │   ├── EnvironmentSetupError   data or packages of an environment
    │   ├── ModelError         weights, tokenizer or chat template
    │   ├── SkillError         a skill bank or a retrieval
    │   ├── PanelError         a panel that is malformed or overlaps training
    │   ├── RunError           a run that is missing, busy or cannot be resumed
    │   └── StudyError         a study that is missing, damaged or there already
    └── RunFailed              ours: exit code 1

A message is one sentence on one line (``several`` joins more) and ends with the remedy. It shows no password, whatever
was typed, and of a text of any length no more than ``LONGEST`` letters. Anything else that escapes is a bug: exit
code 1, and a traceback with ``--debug``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LONGEST = 2000
"""Letters of a sentence; what is longer loses its middle."""
_LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_WORD = re.compile(r"\S+")
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{0,30}://(?!/)")
_COLON = re.compile(r":(?!/)")
_BEFORE_A_USER = "\t\n :@=,'\"[({"
_PARAMETER = re.compile(r"[?&;#]([^=&;?#\s]*)=")
_VALUE = re.compile(r"[^&\s]*")
_SECRETS = ("token", "passw", "pwd", "secret", "key", "signature", "credential", "odbc_connect")
_EXACTLY = frozenset({"sig", "pass", "auth"})
_BEARER = re.compile(r"\bBearer +(\S+)", re.IGNORECASE)


def without_credentials(text: str, *, alone: bool = False) -> str:
    """Text with ``***`` for whatever stands in a URL for user, password or token; in time that grows with its length.

    Args:
        alone: the text is one value, not a sentence around some: a space is a letter of a password.
    """
    secrets = [*_users(text, alone), *_parameters(text), *(found.span(1) for found in _BEARER.finditer(text))]
    shown, at = [], 0
    for start, end in sorted(secrets):
        if start > at or not shown:
            shown += [text[at:start], "***"]
        at = max(at, end)
    return "".join((*shown, text[at:]))


def _users(text: str, alone: bool) -> Iterator[tuple[int, int]]:
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


def _parameters(text: str) -> Iterator[tuple[int, int]]:
    """Values of a query that are named as secrets are, without a sentence's punctuation behind them."""
    place = 0
    while found := _PARAMETER.search(text, place):
        place = found.end()
        name = found[1].lower()
        if name in _EXACTLY or any(word in name for word in _SECRETS):
            value = _VALUE.match(text, place)
            secret = value[0].rstrip(":'\",;)]}.")
            if secret:
                yield place, place + len(secret)
            place = value.end()


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, without its middle where it is longer than so many letters."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head]} […] {text[len(text) - (longest - head - 5) :]}"


class _Sentences(str):
    """Sentences that stand on a line each."""


def several(sentences: Iterable[str]) -> str:
    """Many sentences as the message of one error, a line each."""
    return _Sentences("\n".join(map(_one_line, sentences)))


def _one_line(sentence: str) -> str:
    """A sentence as it is shown: no password, no line end of a name or value that it quotes, no megabyte."""
    shown = without_credentials(sentence)
    return shortened(_LINE_END.sub(lambda found: repr(found[0])[1:-1], shown))


class SdarError(Exception):
    """Base of all errors with a sentence for the user."""

    exit_code = 1

    def __init__(self, sentence: str = "", *more: object) -> None:
        text = str(sentence) if isinstance(sentence, _Sentences) else _one_line(str(sentence))
        super().__init__(text, *more)


class UserError(SdarError):
    exit_code = 2


class RecipeError(UserError):
    pass


class EnvironmentSetupError(UserError):
    pass


class ModelError(UserError):
    pass


class SkillError(UserError):
    pass


class PanelError(UserError):
    pass


class RunError(UserError):
    pass


class StudyError(UserError):
    pass


class RunFailed(SdarError):
    pass
