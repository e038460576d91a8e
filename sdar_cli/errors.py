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
from collections.abc import Iterable

from sdar_cli.credentials import without_credentials

__all__ = [
    "EnvironmentSetupError",
    "ModelError",
    "PanelError",
    "RecipeError",
    "RunError",
    "RunFailed",
    "SdarError",
    "SdarWarning",
    "SkillError",
    "StudyError",
    "UserError",
    "several",
    "shortened",
    "without_credentials",
]

LONGEST = 2000
"""Letters of a sentence; what is longer loses its middle."""
_LINE_END = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


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


class SdarWarning(UserWarning):
    """What a user should know though the work goes on: one sentence, which the command line shows on a line."""
