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

A message is one sentence and ends with the remedy. Anything else that escapes is a bug: exit code 1,
and a traceback with ``--debug``.
"""

from __future__ import annotations


class SdarError(Exception):
    """Base of all errors with a sentence for the user."""

    exit_code = 1


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
