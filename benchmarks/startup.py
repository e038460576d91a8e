"""Start-up: ``sdar --help`` and ``sdar train --dry-run`` beside Python itself, typer and TRL's own ``trl --help``.

    python benchmarks/startup.py [--repeats 15] [--recipe quickstart] [--json FILE]

Every repetition starts each command once, in an order that rotates, as a process of its own; the first is warm-up
and left out. Counted is the CPU time of the command and of all it starts, which a busy machine disturbs little;
seconds on the clock are printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from spread import machine, quartiles, ratios, show

PYTHON, TYPER = "python -c pass", "python -c 'import typer'"
HELP, DRY, TRL = "sdar --help", "sdar train --dry-run", "trl --help"
PAIRS = {
    "sdar --help / python": (HELP, PYTHON),
    "sdar --help / importing typer": (HELP, TYPER),
    "sdar train --dry-run / python": (DRY, PYTHON),
    "trl --help / sdar --help": (TRL, HELP),
    "trl --help / sdar train --dry-run": (TRL, DRY),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--tiny", action="store_true", help="without trl, which takes seconds; for the test")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    asked = commands(options.recipe)
    if options.tiny:
        del asked[TRL]
    figures = measure(asked, options.repeats)
    print(f"{figures['repeats']} repetitions, {figures['machine']}\n")
    show("CPU seconds", figures["cpu_seconds"])
    show("seconds on the clock", figures["seconds"])
    show("ratios of CPU seconds", figures["ratios"])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def commands(recipe: str) -> dict[str, list[str]]:
    beside = Path(sys.executable).parent
    return {
        PYTHON: [sys.executable, "-c", "pass"],
        TYPER: [sys.executable, "-c", "import typer"],
        HELP: [str(beside / "sdar"), "--help"],
        DRY: [str(beside / "sdar"), "train", "--recipe", recipe, "--dry-run"],
        TRL: [str(beside / "trl"), "--help"],
    }


def measure(asked: Mapping[str, Sequence[str]], repeats: int) -> dict:
    wall: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    names = list(asked)
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(repeats + 1):
            turn = repeat % len(names)
            for name in names[turn:] + names[:turn]:
                seconds, busy = start(asked[name], scratch)
                if repeat:
                    wall[name].append(seconds)
                    cpu[name].append(busy)
    pairs = {title: pair for title, pair in PAIRS.items() if set(pair) <= set(names)}
    return {
        "machine": machine(),
        "repeats": repeats,
        "seconds": {name: quartiles(wall[name]) for name in names},
        "cpu_seconds": {name: quartiles(cpu[name]) for name in names},
        "ratios": {title: ratios(cpu[a], cpu[b]) for title, (a, b) in pairs.items()},
    }


def start(command: Sequence[str], runs: str) -> tuple[float, float]:
    """Seconds on the clock and of CPU, children included."""
    environment = os.environ | {"SDAR_RUNS": runs, "NO_COLOR": "1"}
    clock = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said.decode(errors='replace').strip()}")
    return seconds, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
