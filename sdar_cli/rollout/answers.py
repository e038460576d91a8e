"""What an environment answers, looked at before anything is made of it: an episode is lost, never the run.

    checked("step", anything)      # the Step in plain types, or SlotError("answered garbage: …")
    Guarded(environment).parse(…)  # likewise for what is asked of the prototype; raises Lost

The three ways to run slots ask the first of these of every answer, and nobody looks again. Numbers may be numpy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdar_cli.errors import EnvironmentSetupError, RunFailed, without_credentials
from sdar_cli.reading import size
from sdar_cli.rollout.backend import Operation, SlotError
from sdar_cli.visible import visible
from sdar_envs.base import Action, Environment, History, Invalid, Message, Observation, Step, Task

MOST_TEXT = 1 << 20
"""Characters of an observation, and of all commands that it admits."""
MOST_NUMBER = 1e9
"""Of a reward or a score, either way: squares of more would overflow where they are normalised."""
MOST_REASON = 300
"""Characters of a reason; so much more of an error's text is looked at for what must not be shown."""
_LOOKED_AT = 1 << 16
ROLES = ("system", "user", "assistant")


class Lost(RunFailed):
    """The environment cannot go on with an episode; ``reason`` says why, as that of a SlotError does."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the environment's {reason}: correct its code")
        self.reason = reason


class _Garbage(Exception):
    """What is wrong with an answer."""


def checked(operation: Operation, answer: Any) -> Observation | Step | SlotError:
    """The answer to ``reset`` (an Observation) or ``step`` (a Step), of this program's own types throughout."""
    try:
        return _observation(answer) if operation == "reset" else _step(answer)
    except _Garbage as error:
        return garbage(str(error))
    except Exception as error:  # an attribute that raises, a number that is none
        return garbage(raised(error))


def garbage(what: str) -> SlotError:
    return SlotError(f"answered garbage: {what}"[:MOST_REASON])


def raised(error: BaseException) -> str:
    """What an environment raised, in one line: cut, without passwords and without hidden characters."""
    try:
        text = str(error)[:_LOOKED_AT]
    except Exception:
        text = ""
    text = visible(" ".join(without_credentials(text).split()))
    return f"raised {type(error).__name__}: {text}"[:MOST_REASON]


class Guarded:
    """An environment's prototype whose faults are one episode's: what it raises or answers wrongly becomes ``Lost``.

    An EnvironmentSetupError passes, as it would come back every time.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @classmethod
    def of(cls, environment: Environment) -> Guarded:
        return environment if isinstance(environment, Guarded) else cls(environment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def parse(self, response: str) -> Action | Invalid:
        parsed = self._ask("parse", response)
        if isinstance(parsed, Invalid):
            return Invalid(self._text("parse", parsed.reason), self._text("parse", parsed.fallback))
        if not isinstance(parsed, Action):
            raise Lost(f"parse answered garbage: {_a(parsed)} where an Action or Invalid is due")
        return Action(self._text("parse", parsed.text))

    def goal(self, task: Task, first: Observation) -> str:
        return self._text("goal", self._ask("goal", task, first))

    def followup(self, observation: Observation) -> str:
        return self._text("followup", self._ask("followup", observation))

    def prompt(self, history: History) -> list[Message]:
        messages = self._ask("prompt", history)
        if not isinstance(messages, list | tuple) or not messages:
            raise Lost(f"prompt answered garbage: {_a(messages)} where a list of messages is due")
        for message in messages:
            if not isinstance(message, dict) or message.get("role") not in ROLES or "content" not in message:
                raise Lost("prompt answered garbage: a message without content or one of the roles")
            self._text("prompt", message["content"])
        return list(messages)

    def _ask(self, name: str, *about: Any) -> Any:
        try:
            return getattr(self._environment, name)(*about)
        except EnvironmentSetupError:
            raise
        except (Exception, SystemExit) as error:
            raise Lost(f"{name} {raised(error)}"[:MOST_REASON]) from error

    def _text(self, name: str, value: Any) -> str:
        try:
            return _text(value)
        except _Garbage as error:
            raise Lost(f"{name} answered garbage: {error}") from None


def _step(answer: Any) -> Step:
    if not isinstance(answer, Step):
        raise _Garbage(f"{_a(answer)} where a Step is due")
    return Step(
        observation=_observation(answer.observation),
        reward=_number("reward", answer.reward),
        done=_flag("done", answer.done),
        won=_flag("won", answer.won),
        score=_number("score", answer.score),
    )


def _observation(answer: Any) -> Observation:
    if not isinstance(answer, Observation):
        raise _Garbage(f"{_a(answer)} where an Observation is due")
    if not isinstance(answer.admissible, list | tuple):
        raise _Garbage(f"{_a(answer.admissible)} where commands are due")
    return Observation(_text(answer.text), _commands(answer.admissible))


def _commands(given: Sequence[Any]) -> tuple[str, ...]:
    if len(given) > MOST_TEXT:
        raise _Garbage(f"{len(given)} commands")
    commands = tuple(map(_text, given))
    if sum(map(len, commands)) > MOST_TEXT:
        raise _Garbage(f"commands of more than {size(MOST_TEXT)}")
    return commands


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Garbage(f"{_a(value)} where a text is due")
    if len(value) > MOST_TEXT:
        raise _Garbage(f"a text of more than {size(MOST_TEXT)}")
    try:
        value.encode()
    except UnicodeEncodeError:  # which no tokenizer takes
        raise _Garbage("a text with half of a surrogate pair") from None
    return str(value)


def _number(name: str, value: Any) -> float:
    plain = _plain(value)
    if not isinstance(plain, bool | int | float):
        raise _Garbage(f"{_a(value)} where the {name}, a number, is due")
    try:
        number = float(plain)
    except OverflowError:
        raise _Garbage(f"a {name} that no float holds") from None
    if not abs(number) <= MOST_NUMBER:
        raise _Garbage(f"a {name} of {number:g}")
    return number


def _flag(name: str, value: Any) -> bool:
    plain = _plain(value)
    if not isinstance(plain, bool) and plain not in (0, 1):
        raise _Garbage(f"{_a(value)} where {name}, true or false, is due")
    return bool(plain)


def _plain(value: Any) -> Any:
    """Python's own number in the place of numpy's or a tensor of one."""
    return value.item() if getattr(value, "shape", None) == () else value


def _a(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
