"""Errors for the terminal: one sentence a line on standard error, and typer's usage errors in our words."""

from __future__ import annotations

from typing import Any

from sdar_cli.cli.streams import talk
from sdar_cli.errors import shortened, without_credentials
from sdar_cli.launch.speaker import may_speak

LONGEST = 2048
"""Bytes of a line."""


def print_error(text: str) -> None:
    """Print ``error: …`` for each line; control characters are shown, never sent to the terminal, and passwords in
    URLs are neither.

    Of the processes of one run, the first on a machine prints.
    """
    lines = [_printable(line) for line in without_credentials(text).split("\n")]
    if not may_speak("\n".join(lines)):
        return
    for line in lines:
        print(f"error: {line}", file=talk)


def _printable(line: str) -> str:
    """The line with what is not printable as escapes, and no longer than a screen or two."""
    longest = LONGEST
    while True:
        cut = shortened(line, longest)
        shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
        if len(shown.encode()) <= LONGEST:
            return shown
        longest = longest * 9 // 10


def usage_sentence(error: Exception) -> str | None:
    """A typer usage error as a sentence with its remedy, or None for any other exception."""
    if not hasattr(error, "format_message"):
        return None
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "sdar"
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and isinstance(option, str):
        return f"there is no option {option!r} for `{command}`: {_nearest_option(option, context, command)}"
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    if message.endswith("?"):
        return message
    return f"{message}: see `{command} --help`"


def _nearest_option(option: str, context: Any, command: str) -> str:
    from difflib import get_close_matches

    parameters = context.command.params if context is not None else []
    options = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
    found = get_close_matches(option, [*options, "--help", "--debug"], n=1)
    return f"did you mean {found[0]!r}?" if found else f"see `{command} --help`"
