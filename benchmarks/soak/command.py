"""Reads the options, runs table and long training, says what came out."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from soak.long import long
from soak.table import table, verdict


def main(description: str | None) -> int:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="of everything; 0: the table alone")
    parser.add_argument("--kills", type=int, default=50, help="lines of the table; 0: the long training alone")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="also write what is printed there")
    options = parser.parse_args()
    with _printed_twice(options.output):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    scratch = Path(tempfile.mkdtemp(prefix="sdar-soak-"))
    began, fine, verdicts = time.monotonic(), True, []
    if options.kills:
        lines = table(scratch / "table", options.kills, min(options.jobs, options.kills), options.seed)
        fine, said = verdict(lines)
        verdicts.append(said)
    left = options.minutes - (time.monotonic() - began) / 60
    if options.minutes and left > 1:
        print("\n" + "\n".join(verdicts), flush=True)
        well, said = long(scratch / "long", left, options.seed)
        fine &= well
        verdicts.insert(0, said)
    elif options.minutes:
        verdicts.insert(0, f"NO: no time is left of {options.minutes:g} minutes for the long training")
        fine = False
    if fine:
        shutil.rmtree(scratch, ignore_errors=True)
    else:
        print(f"\nwhat was not well lies in {scratch}")
    print("\n" + "\n".join(verdicts), flush=True)
    return int(not fine)


@contextmanager
def _printed_twice(file: Path | None) -> Iterator[None]:
    """On the terminal, and into a file line by line."""
    if file is None:
        yield
        return
    with file.open("w", encoding="utf-8") as copy, redirect_stdout(_Both(sys.stdout, copy)):
        yield


class _Both:
    def __init__(self, *places: TextIO) -> None:
        self._places = places

    def write(self, text: str) -> int:
        for place in self._places:
            place.write(text)
        return len(text)

    def flush(self) -> None:
        for place in self._places:
            place.flush()
