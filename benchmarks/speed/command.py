"""The command: run the parts, keep their figures, print the table."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import marked
from spread import machine

from speed import table
from speed.parts import BASE, PARTS, Part

HERE = Path(__file__).resolve().parent.parent
JSON = HERE / "results" / "speed.json"
PAGE = HERE.parent / "docs" / "performance.md"


def main(about: str | None) -> int:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, help="of every part; default: each part's own number")
    parser.add_argument("--json", type=Path, default=JSON, help="default: benchmarks/results/speed.json")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--embed", action="store_true")
    options = parser.parse_args()
    kept: dict[str, Any] = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    if options.markdown or options.embed:
        for name, text in table.markdown(kept).items():
            if options.embed:
                marked.embed(PAGE, mark(name), text)
            else:
                print(f"{mark(name)}\n\n{text}\n")
        return 0
    if not options.table:
        for name in options.only:
            kept[name] = run(name, PARTS[name], options.repeats or PARTS[name].repeats)
            save({part: kept[part] for part in PARTS if part in kept}, options.json)
    table.show(kept)
    return 0


def mark(name: str) -> str:
    return f"benchmarks/speed.py --embed, {name}"


def run(name: str, part: Part, repeats: int) -> dict[str, Any]:
    """A part's command, machine and figures; a part without the GPU that it asks for says so instead."""
    words = [f"benchmarks/{part.program}", *part.arguments, "--repeats", str(repeats)]
    shown = f"python {shlex.join(words)}"
    print(f"{name}: {shown}", file=sys.stderr, flush=True)
    kept: dict[str, Any] = {"command": shown}
    environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} | os.environ
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "figures.json"
        given = [warm_base() if word == BASE else word for word in words[1:]]
        command = [sys.executable, str(HERE / part.program), *given, "--json", str(file)]
        done = subprocess.run(command, stdout=2, env=environment)  # what it prints is talk here
        if part.gpu and done.returncode == 2:
            return kept | {"absent": "no GPU"}
        if done.returncode:
            raise SystemExit(f"{name} failed with code {done.returncode}: see above")
        figures = json.loads(file.read_text(encoding="utf-8"))
    own = figures.get("machine", "")
    return kept | {"machine": own if "GiB" in own else machine(), "figures": figures}


def warm_base() -> str:
    """The quickstart's base, from the cache or warmed up now, a minute."""
    from sdar_cli.recipe.load import load_recipe
    from sdar_cli.training.events import Listener
    from sdar_cli.training.warmup_cache import warm_base as warmed
    from sdar_cli.workshop import Workshop

    with Workshop.open(load_recipe("quickstart", [], []).recipe) as workshop:
        return str(warmed(workshop.recipe, workshop.environment, workshop.bank, Listener()).folder)


def save(kept: dict[str, Any], path: Path) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
