"""Methods at equal steps over seeds: trains what is missing, keeps a CSV, prints paired differences.

    python benchmarks/seeds.py --recipe quickstart --methods sdar grpo --seeds 0 1 2 3 4 --jobs 2

Every run is an ordinary ``sdar train``. A finished (recipe, method, seed) is found in the CSV and not run
again. Differences between methods are paired by seed, with a t interval; the four cells of each run are on
one panel of held-out tasks.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sdar_cli.runs.state import git_commit
from sdar_cli.statistics import seed_difference

CELLS = ("base_no_skills", "base_skills", "trained_no_skills", "trained_skills")
COLUMNS = (
    "recipe",
    "overrides",
    "method",
    "seed",
    "steps",
    "tasks",
    *CELLS,
    "gain_low",
    "gain_high",
    "seconds",
    "commit",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--methods", nargs="+", default=["sdar", "grpo"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--csv", type=Path, help="default: benchmarks/results/<recipe>-seeds.csv")
    parser.add_argument("overrides", nargs="*", help="key=value, for every run")
    options = parser.parse_args()
    table = options.csv or Path(__file__).parent / "results" / f"{options.recipe}-seeds.csv"
    rows = read(table)
    known = {(row["recipe"], row["overrides"], row["method"], int(row["seed"])) for row in rows}
    changes = " ".join(options.overrides)
    missing = [
        (method, seed)
        for method in options.methods
        for seed in options.seeds
        if (options.recipe, changes, method, seed) not in known
    ]
    failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda job: run(options, changes, *job), missing):
            if row is None:
                failed += 1
                continue
            rows.append(row)
            write(table, rows)
            print(f"{row['method']} seed {row['seed']}: {row['trained_no_skills']} without skills", file=sys.stderr)
    report([row for row in rows if row["recipe"] == options.recipe and row["overrides"] == changes], options)
    return int(failed > 0)


def run(options: argparse.Namespace, changes: str, method: str, seed: int) -> dict | None:
    """One training; None where it failed, after its sentence was shown."""
    import time

    command = [str(Path(sys.executable).with_name("sdar")), "train", "--recipe", options.recipe, "--json"]
    command += ["--method", method, "--seed", str(seed), "--runs", str(options.runs), *changes.split()]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"})
    if done.returncode:
        return None
    result = json.loads(done.stdout)
    evaluations = Path(result["folder"]) / "evaluations"
    cells = {}
    for cell, pattern in zip(
        CELLS, ("base-no_skills", "base-skills", "trained-*-no_skills", "trained-*-skills"), strict=True
    ):
        (file,) = [p for p in evaluations.glob(f"{pattern}.json") if cell.endswith("no_skills") == ("-no_" in p.name)]
        cells[cell] = json.loads(file.read_text())["summary"]["success"]["estimate"]
    gain = result["report"]["gain"]["difference"]
    state = json.loads((Path(result["folder"]) / "run.json").read_text())
    return {
        "recipe": options.recipe,
        "overrides": changes,
        "method": method,
        "seed": seed,
        "steps": result["step"],
        "tasks": len(json.loads((Path(result["folder"]) / "panel.json").read_text())["task_ids"]),
        **{name: round(value, 4) for name, value in cells.items()},
        "gain_low": round(gain["low"], 4),
        "gain_high": round(gain["high"], 4),
        "seconds": round(time.monotonic() - start),
        "commit": state.get("git_commit") or git_commit() or "unknown",
    }


def read(table: Path) -> list[dict]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def write(table: Path, rows: list[dict]) -> None:
    table.parent.mkdir(parents=True, exist_ok=True)
    beside = table.with_suffix(".writing")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(table)


def report(rows: list[dict], options: argparse.Namespace) -> None:
    """Every run, then each method's mean, then differences of methods paired by seed."""
    print(f"{'method':<8} {'seed':>4}  {'base':>14}  {'trained':>14}  {'gain without skills':>24}")
    print(f"{'':<8} {'':>4}  {'without   with':>14}  {'without   with':>14}  {'points':>24}")
    for row in sorted(rows, key=lambda row: (row["method"], int(row["seed"]))):
        base, trained = (f"{pc(row[f'{who}_no_skills'])} {pc(row[f'{who}_skills'])}" for who in ("base", "trained"))
        gain = float(row["trained_no_skills"]) - float(row["base_no_skills"])
        interval = f"{100 * gain:+.1f} [{100 * float(row['gain_low']):+.1f}, {100 * float(row['gain_high']):+.1f}]"
        print(f"{row['method']:<8} {row['seed']:>4}  {base:>14}  {trained:>14}  {interval:>24}")
    by = {m: {int(r["seed"]): float(r["trained_no_skills"]) for r in rows if r["method"] == m} for m in options.methods}
    print()
    for method, values in by.items():
        if values:
            print(
                f"{method}: mean {100 * sum(values.values()) / len(values):.1f} % without skills, {len(values)} seeds"
            )
    first, *others = options.methods
    for other in others:
        shared = sorted(by[first].keys() & by[other].keys())
        if len(shared) > 1:
            value = seed_difference([by[first][s] - by[other][s] for s in shared])
            interval = f"[{100 * value.low:+.1f}, {100 * value.high:+.1f}]"
            print(f"{first} − {other}: {100 * value.estimate:+.1f} points {interval} (t, 95 %, {len(shared)} seeds)")


def pc(share: str | float) -> str:
    return f"{100 * float(share):6.1f}"


if __name__ == "__main__":
    sys.exit(main())
