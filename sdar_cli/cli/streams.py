"""Standard streams as they come: closed, full, broken, or of an encoding that lacks letters."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class OutputLost(OSError):
    """Standard output takes no more: its reader has left, or a disk is full."""


class Output(io.TextIOWrapper):
    """Standard output, whose failures are told from those of other files."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from None


def prepare() -> None:
    """Make both outputs fit to be written to, whatever a text holds.

    A closed one (``>&-``) is thrown away: its number must not fall to a file that is opened later. Letters that an
    encoding lacks, and halves of surrogate pairs, are written as escapes.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  for the process's life
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")
    if type(sys.stdout) is io.TextIOWrapper and sys.stdout is sys.__stdout__:
        old = sys.stdout
        sys.stdout = Output(
            old.buffer,
            old.encoding,
            old.errors,
            line_buffering=old.line_buffering,
            write_through=old.write_through,
        )


def give_up() -> None:
    """Throw away what standard output still holds, so that nobody complains of it again."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, number)
    os.close(void)


class Talk(io.TextIOBase):
    """Standard error for talk: where it cannot be written (a full disk, a terminal that is gone), work goes on."""

    def __init__(self, *, under_a_display: bool = False) -> None:
        """``under_a_display``: for rich's own console, which stands in for standard error while it shows something."""
        self._under = under_a_display

    def _stream(self) -> Any:
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr) if self._under else sys.stderr

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream().flush()

    def isatty(self) -> bool:
        return bool(self._stream().isatty())

    def fileno(self) -> int:
        return int(self._stream().fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream(), "encoding", None) or "utf-8"


talk: TextIO = Talk()  # type: ignore[assignment]
"""What talk is printed to."""


def console(*, stderr: bool = False) -> Console:
    """rich's console, for results or for talk."""
    from rich.console import Console

    file: Any = Talk(under_a_display=True) if stderr else None
    return Console(file=file, highlight=False)
