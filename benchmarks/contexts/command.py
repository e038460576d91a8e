"""The command: what is measured, and where it goes."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import marked
from spread import machine, show

from contexts import markdown, quality

HERE = Path(__file__).resolve().parent.parent
JSON = HERE / "results" / "contexts.json"
PAGE = HERE.parent / "docs" / "contexts.md"
MARK = "benchmarks/contexts.py --embed"


def main(about: str | None) -> int:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=("tokens", "time", "quality"), default=["tokens", "time", "quality"]
    )
    parser.add_argument("--repeats", type=int, default=5, help="of time")
    parser.add_argument("--tiny", action="store_true", help="few short episodes, household alone; for the test")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--embed", action="store_true")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="of --train")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of --train's runs")
    options = parser.parse_args()
    if options.train:
        return quality.train(options.seeds, options.runs)
    if options.markdown or options.embed:
        text = markdown.tables(json.loads(JSON.read_text(encoding="utf-8")), quality.read(quality.CSV))
        if options.embed:
            marked.embed(PAGE, MARK, text)
        else:
            print(text)
        return 0
    figures = measure(options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(options: argparse.Namespace) -> dict:
    from contexts import timing, tokens

    figures: dict = {"machine": machine(), "repeats": options.repeats}
    print(f"{figures['machine']}\n")
    if "tokens" in options.only:
        lengths, tasks, group = ((2, 4), 2, 2) if options.tiny else ((5, 10, 20, 50), 6, 8)
        figures["tokens"] = {}
        for name, world in tokens.WORLDS.items():
            if not options.tiny or name == "household":
                figures["tokens"][name] = tokens.measure(world, lengths, tasks, group)
                print_tokens(name, figures["tokens"][name])
    if "time" in options.only:
        lengths, tasks, group = ((2,), 1, 2) if options.tiny else ((5, 15, 30), 4, 4)
        with tempfile.TemporaryDirectory() as scratch:
            figures["time"] = timing.measure(lengths, tasks, group, options.repeats, Path(scratch))
        figures["ratios"] = {
            f"{phase} of {row['turns']} turns: full / window": row["ratios"][phase]
            for row in figures["time"]
            for phase in timing.PHASES
        }
        show(f"CPU seconds, {options.repeats} repetitions", figures["ratios"])
    if "quality" in options.only and quality.CSV.exists():
        print(markdown.quality(quality.read(quality.CSV)))
    return figures


def print_tokens(name: str, rows: list[dict]) -> None:
    """Tokens of a mean episode, window then full."""
    columns = ("read", "cached", "generated", "trained", "teacher", "longest")
    print(f"{name:<12}{'turns':>6}" + "".join(f"{column:>10}" for column in columns))
    for row in rows:
        for kind in ("window", "full"):
            print(f"  {kind:<10}{row['turns']:>6}" + "".join(f"{row[kind][column]:>10.0f}" for column in columns))
    print()
