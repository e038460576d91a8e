"""Kill two of a study's four workers with SIGKILL at random instants, ten times over, and compare with a quiet study.

    python benchmarks/sweep_kills.py [--volleys 10] [--seed 0]

A grid of 5 settings × 4 seeds of a short quickstart, 20 runs of real trainings; killed workers are replaced.
Compared are, run by run, success, the final weights bit by bit and every step's metrics but seconds; and MLflow's
children: one a run, all finished. The warm-up is shared through the cache, so that the kills fall on the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from sdar_cli.sweep.crew import TASK, Task
from sdar_cli.sweep.leash import leashed
from sdar_cli.sweep.make import Wish, make_spec
from sdar_cli.sweep.start import open_or_create
from sdar_cli.sweep.store import StudyStore
from sdar_cli.tracking.journal import Journal

AXIS = "distill.coef=0.01,0.03,0.1,0.3,1"
SEEDS = 4
WORKERS = 4
SHORT = [
    "train.steps=6",
    "train.checkpoint_every=2",
    "rollout.tasks=2",
    "rollout.group=4",
    "evaluation.tasks=24",
    "evaluation.every=2",
    "warmup.demonstrations=400",
    "warmup.required_success=0",
    "warmup.seed=0",
    "tracking.system_metrics=false",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volleys", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        os.environ |= {"SDAR_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        fill_cache(root)
        quiet = make("quiet", root / "quiet")
        began = time.monotonic()
        wait([start(quiet) for _ in range(WORKERS)])
        seconds = time.monotonic() - began
        print(f"quiet study: {len(quiet.view().runs)} runs, {seconds:.0f} s\n")
        killed = make("killed", root / "killed")
        kills = volleys(killed, options.volleys, seconds, random.Random(options.seed))
        return compare(quiet, killed, kills)


def fill_cache(root: Path) -> None:
    words = ["train", "--recipe", "quickstart", "--runs", str(root / "warm"), *SHORT, "train.steps=1"]
    quietly = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([str(Path(sys.executable).with_name("sdar")), *words], check=True, **quietly)


def make(name: str, root: Path) -> StudyStore:
    made = make_spec(Wish(recipe="quickstart", words=[AXIS, *SHORT], seeds=str(SEEDS), name=name))
    return open_or_create(made, root, None, lambda sentence: None)


def start(store: StudyStore) -> subprocess.Popen:
    task = Task(str(store.folder), str(store.root), threads=1)
    log = (store.folder / "logs" / "workers.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "sdar_cli.sweep.crew"],
        env=os.environ | {TASK: json.dumps(asdict(task))} | leashed(os.getpid()),
        stdout=log,
        stderr=log,
    )


def wait(workers: list[subprocess.Popen]) -> None:
    for worker in workers:
        if worker.wait() != 0:
            raise SystemExit(f"a worker left with exit code {worker.returncode}: see the study's logs")


def volleys(store: StudyStore, count: int, seconds: float, draw: random.Random) -> int:
    """Kill two of four, so many times, within about the time that the quiet study took."""
    workers = [start(store) for _ in range(WORKERS)]
    kills = 0
    print(f"{'volley':>6} {'after':>8} {'done':>5}  the killed workers' runs")
    for number in range(1, count + 1):
        after = draw.uniform(0.3, 1.7) * 0.8 * seconds / count
        time.sleep(after)
        view = store.view()
        at = []
        for worker in draw.sample(workers, 2):
            alive = worker.poll() is None
            kills += alive
            at.append(where(store, worker.pid) if alive else "had left")
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            workers.remove(worker)
            workers.append(start(store))
        print(f"{number:>6} {after:>6.1f} s {view.counts.get('done', 0):>5}  {', '.join(at)}", flush=True)
    wait(workers)
    return kills


def where(store: StudyStore, pid: int) -> str:
    """What a worker was at: ``c001-s2 training 3/6``."""
    for run in store.view().runs:
        if run.state == "running" and run.attempts[-1].pid == pid:
            name = run.name.removeprefix(f"{store.name}-")
            try:
                state = json.loads((store.root / run.name / "run.json").read_text("utf-8"))
            except OSError:
                return f"{name} starting"
            return f"{name} {state['status']} {state['step']}/{state['steps']}"
    return "between two runs"


def compare(quiet: StudyStore, killed: StudyStore, kills: int) -> int:
    view = killed.view()
    finished = sum(run.state == "done" for run in view.runs)
    told = [sum(attempt.state == "done" for attempt in run.attempts) for run in view.runs]
    lost = sum(attempt.state == "lost" for run in view.runs for attempt in run.attempts)
    pairs = list(zip(quiet.view().runs, view.runs, strict=True))
    success = sum(a.result["success"] == b.result.get("success") for a, b in pairs)
    same = [(outcome(quiet.root / a.name), outcome(killed.root / b.name)) for a, b in pairs]
    weights = sum(a[0] == b[0] for a, b in same)
    metrics = sum(a[1] == b[1] for a, b in same)
    children, closed = tracked(killed)
    total = len(view.runs)
    rows = [
        ("workers killed", kills, None),
        ("attempts taken over", lost, None),
        ("runs finished", finished, total),
        ("runs finished twice", sum(count > 1 for count in told), 0),
        ("runs lost", total - finished, 0),
        ("success equal to the quiet study", success, total),
        ("final weights equal, bit by bit", weights, total),
        ("metrics of every step equal", metrics, total),
        ("MLflow runs of the study", children, total),
        ("of these, finished", closed, total),
        ("cells with a mean", sum(cell.state == "done" for cell in view.cells), len(view.cells)),
    ]
    print(f"\n{'':<36} {'found':>6} {'wanted':>7}")
    for name, found, wanted in rows:
        print(f"{name:<36} {found:>6} {'' if wanted is None else wanted:>7}".rstrip())
    wrong = [name for name, found, wanted in rows if wanted is not None and found != wanted]
    print(f"\n{'all as in the quiet study' if not wrong else 'WRONG: ' + ', '.join(wrong)}")
    return int(bool(wrong))


def outcome(run: Path) -> tuple[str, list[dict[str, float]]]:
    """Hash of the final weights, and every step's metrics without seconds."""
    weights = max((run / "checkpoints").glob("step-*/model.safetensors"), key=lambda path: int(path.parent.name[5:]))
    rows = Journal(run / "metrics.jsonl").read()
    metrics = [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]
    return hashlib.sha256(weights.read_bytes()).hexdigest(), metrics


def tracked(store: StudyStore) -> tuple[int, int]:
    """MLflow's runs of the study's trainings, and how many are finished."""
    from sdar_cli.tracking.quiet import import_mlflow

    client = import_mlflow().MlflowClient(tracking_uri=store.spec.tracking_uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    mine = f"tags.`sdar.study` = '{store.name}' and tags.`sdar.kind` = 'training'"
    runs = client.search_runs(experiments, mine, max_results=1000)
    return len(runs), sum(run.info.status == "FINISHED" for run in runs)


if __name__ == "__main__":
    sys.exit(main())
