"""The entry point: finds the command, runs it, and turns every error into a sentence and an exit code.

Exit codes: 0 done; 1 ours (a failed run, a bug); 2 the user's mistake; 130 told to leave by Ctrl-C (SIGINT), 143 by
SIGTERM, 138 by SIGUSR1: what was done is kept, and the same command, or `sdar resume`, goes on.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sdar_cli.cli import streams
from sdar_cli.cli.errors import print_error, usage_sentence
from sdar_cli.errors import SdarError, SdarWarning, without_credentials
from sdar_cli.recipe import trust
from sdar_cli.stop import STOP

BROKEN_PIPE = 141
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of a path that was typed, wherever it is first looked at."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``sdar`` with the given arguments (default: the process's) and return the exit code."""
    streams.prepare()
    with trust.scope(), STOP.guard(), _warnings_as_sentences():
        if arguments is not None:
            return _main(list(arguments))
        code = _main(sys.argv[1:])
        STOP.leave(code)
        return code


def _main(arguments: list[str]) -> int:
    words, debug = _take_debug(arguments)
    try:
        if "SDAR_LEASH" in os.environ:
            from sdar_cli.sweep.leash import hold

            hold()
        with STOP.translated():
            return _run(words)
    except KeyboardInterrupt:
        if debug:
            _print_traceback()
        if not STOP.said:
            print_error("interrupted" if STOP.name == "Ctrl-C" else f"interrupted by {STOP.name}")
        return STOP.code
    except SdarError as error:
        if debug:
            _print_traceback()
        print_error(str(error))
        return error.exit_code
    except streams.OutputLost as error:
        streams.give_up()
        if error.errno == errno.EPIPE:
            return BROKEN_PIPE
        print_error(f"standard output cannot be written ({error.strerror}): make room, or send it elsewhere")
        return 1
    except OSError as error:
        if error.errno not in NO_PATH:
            return _bug(error, debug)
        if debug:
            _print_traceback()
        print_error(f"{error.filename} cannot be a path here ({error.strerror}): give another")
        return 2
    except MemoryError:
        if debug:
            _print_traceback()
        print_error("memory ran out: close other programs, or ask for less at once")
        return 1
    except RecursionError:
        if debug:
            _print_traceback()
        print_error("an input is nested too deeply to be read: flatten it, or repeat the command with --debug")
        return 2
    except Exception as error:
        return _bug(error, debug)


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Within it, our own warnings are a line each, said once, without the place in our code that found them."""
    before = warnings.showwarning
    said: set[str] = set()  # Python's own memory of it ends where a library that is imported changes the filters

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, SdarWarning):
            from sdar_cli.cli.render import note

            if str(message) not in said:
                said.add(str(message))
                note(str(message))
        else:
            before(message, category, *where)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        if warnings.showwarning is show:
            warnings.showwarning = before


def _bug(error: Exception, debug: bool) -> int:
    if debug:
        _print_traceback()
    what = " ".join(without_credentials(str(error)).split())  # a secret may hold a line end
    what = f"{type(error).__name__}: {what}" if what else type(error).__name__
    print_error(f"{what}; this is a bug in sdar: repeat the command with --debug and report what it prints")
    return 1


def _run(words: list[str]) -> int:
    import typer

    from sdar_cli.cli.commands import root_command

    root = root_command()
    try:
        with root.make_context("sdar", words) as context:
            root.invoke(context)
            sys.stdout.flush()
            return 0
    except typer.Exit as error:
        sys.stdout.flush()
        return error.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
            return 2
        sentence = usage_sentence(error)
        if sentence is None:
            raise
        print_error(sentence)
        return int(getattr(error, "exit_code", 2))


def _take_debug(words: list[str]) -> tuple[list[str], bool]:
    """Remove ``--debug`` wherever it stands before a ``--``."""
    end = words.index("--") if "--" in words else len(words)
    kept: list[Any] = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _print_traceback() -> None:
    import traceback

    print(without_credentials(traceback.format_exc()), end="", file=streams.talk)


if __name__ == "__main__":
    sys.exit(main())
