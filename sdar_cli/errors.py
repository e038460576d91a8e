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

A message is one sentence and ends with the remedy. It shows no password, whatever was typed. Anything else that
escapes is a bug: exit code 1, and a traceback with ``--debug``.
"""

from __future__ import annotations

import re

_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)(?!/)\S*@|(?<![^\s:@=,'\"\[({])[^\s:@=,'\"\[({]+:(?!//)\S+@")
"""A user before a host, the last ``@`` being the one that counts; also where the scheme was forgotten."""
_USER_ALONE = re.compile(r"\A(.*?://)(?!/).*@|\A[^:@]+:(?!//).+@", re.DOTALL)
"""The same of a value by itself, in which a space is a letter of the password."""
_QUERY = re.compile(
    r"(?i)([?&;][^=&\s]*(?:token|passw|pwd|secret|key|signature|credential)[^=&\s]*=)[^&\s]*[^&\s:'\",;)\]}.]"
)


def without_credentials(text: str, *, alone: bool = False) -> str:
    """Text with ``***`` for whatever stands in a URL for user, password or token.

    Args:
        alone: the text is one value, not a sentence around some.
    """
    secrets = [(found.end(1), found.end()) for found in _QUERY.finditer(text)]
    for found in (_USER_ALONE if alone else _USER).finditer(text):
        secrets.append((found.start() if found[1] is None else found.end(1), found.end() - 1))
    shown, at = [], 0
    for start, end in sorted(secrets):
        if start > at or not shown:
            shown += [text[at:start], "***"]
        at = max(at, end)
    return "".join((*shown, text[at:]))


class SdarError(Exception):
    """Base of all errors with a sentence for the user."""

    exit_code = 1

    def __init__(self, sentence: str = "", *more: object) -> None:
        super().__init__(without_credentials(str(sentence)), *more)


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
