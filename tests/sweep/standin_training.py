"""Does to a run's folder what a training does, in a fraction of a second and without torch.

    python standin_training.py train --recipe FILE --name NAME --runs ROOT
    python standin_training.py resume FOLDER

Weights are a chain of hashes over recipe and step, so that a run that skipped, repeated or mixed steps has others.
ROOT/guard holds what a test wants to know: every step that was played, and whether two processes played at once.
ROOT/behaviour.json may ask for failures: {"fail": {NAME: SENTENCE}, "collapse": [NAME], "step": SECONDS,
"hold": FILE without which step "hold_at" (the last) is played only by who is told to leave, …}.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sdar_cli.sweep.leash import hold

STEPS = 8
CHECKPOINT_EVERY = 3
EVALUATE_EVERY = 2
STOP: list[int] = []


def main(words: list[str]) -> int:
    hold()
    if words[0] == "resume":
        folder = Path(words[1])
    else:
        options = dict(zip(words[1::2], words[2::2], strict=True))
        folder = Path(options["--runs"]) / options["--name"]
        if folder.name in (refused := behaviour(folder).get("refuse", {})):
            return complain(refused[folder.name])
        try:
            make(folder, Path(options["--recipe"]))
        except FileExistsError:
            return complain(f"there is a run {folder.name!r} already")
    lock = hold_lock(folder / "run.lock")
    if lock is None:
        return complain(f"another process is working on {folder}")
    try:
        return play(folder)
    except KeyboardInterrupt:
        update(folder, status="interrupted")
        return 130


def make(folder: Path, recipe: Path) -> None:
    """Raises FileExistsError where it is there; it appears whole."""
    beside = folder.parent / ".new" / f"{folder.name}-{os.getpid()}"
    for name in ("checkpoints", "evaluations"):
        (beside / name).mkdir(parents=True)
    (beside / "recipe.yaml").write_bytes(recipe.read_bytes())
    time.sleep(0.005)
    write(beside / "run.json", {"name": folder.name, "status": "created", "step": 0, "steps": STEPS, "error": None})
    if folder.exists():
        raise FileExistsError
    os.rename(beside, folder)


def play(folder: Path) -> int:
    wanted = behaviour(folder)
    guard = folder.parent / "guard" / folder.name
    guard.mkdir(parents=True, exist_ok=True)
    alone = hold_lock(guard / "lock")
    if alone is None:
        note(guard, "TOGETHER")
    if json.loads((folder / "run.json").read_text())["status"] in ("finished", "collapsed"):
        note(guard, "AGAIN")
        return complain(f"the run {folder.name} is finished")
    note(guard, f"start {os.getpid()}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: STOP.append(number))
    key = (folder / "recipe.yaml").read_text("utf-8").partition("\ntracking:")[0]
    step, weights = latest(folder)
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps({"rewind": step}) + "\n")
        update(folder, status="training")
        while step < STEPS:
            time.sleep(wanted.get("step", 0.003))
            held = "hold" in wanted and step + 1 == wanted.get("hold_at", STEPS)
            while held and not STOP and not Path(wanted["hold"]).exists():
                time.sleep(0.02)
            step += 1
            weights = hashlib.sha256(f"{weights} {key} {step}".encode()).hexdigest()
            note(guard, f"step {step}")
            row = {"step": step, "loss/total": 1 / step}
            if step % EVALUATE_EVERY == 0:
                row |= {"eval/no_skills/success": success(key, step, wanted), "eval/no_skills/score": 50.0}
            metrics.write(json.dumps(row) + "\n")
            metrics.flush()
            update(folder, step=step)
            if folder.name in wanted.get("fail", {}) and step == 4:
                update(folder, status="failed", error=wanted["fail"][folder.name])
                return complain(wanted["fail"][folder.name], code=1)
            if folder.name in wanted.get("die", []):
                os.kill(os.getpid(), signal.SIGKILL)
            if folder.name in wanted.get("leave", []):
                update(folder, status="interrupted")
                return 128 + signal.SIGUSR1
            if STOP or step % CHECKPOINT_EVERY == 0:
                save(folder, step, weights)
            if STOP:
                update(folder, status="interrupted", told=STOP[0])
                return 128 + STOP[0]
            if folder.name in wanted.get("collapse", []) and step == 6:
                break
    save(folder, step, weights)
    update(folder, status="evaluating")
    share = success(key, step, wanted)
    cells = [{"no_skills": summary(0.1), "skills": summary(0.9)}, {"no_skills": summary(share), "skills": summary(0.9)}]
    write(folder / "evaluations" / "report.json", {"cells": cells, "weights": weights})
    update(folder, status="finished" if step == STEPS else "collapsed")
    note(guard, "finished")
    return 0


def success(key: str, step: int, wanted: dict) -> float:
    """A function of the recipe, that grows with the steps; ``worse``: {a line of the recipe: success}."""
    for line, value in wanted.get("worse", {}).items():
        if f"{line}\n" in key:
            return value
    return (int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) % 50 + 5 * step) / 100


def summary(share: float) -> dict:
    return {"success": {"estimate": share, "low": 0.0, "high": 1.0, "level": 0.95}, "score": 100 * share}


def latest(folder: Path) -> tuple[int, str]:
    whole = [path for path in (folder / "checkpoints").glob("step-*") if (path / "complete").is_file()]
    newest = max(whole, key=lambda path: int(path.name[5:]), default=None)
    return (0, "base") if newest is None else (int(newest.name[5:]), (newest / "weights").read_text())


def save(folder: Path, step: int, weights: str) -> None:
    beside = folder / "checkpoints" / f".step-{step}-{os.getpid()}"
    beside.mkdir()
    (beside / "weights").write_text(weights)
    (beside / "complete").write_text("")
    shutil.rmtree(folder / "checkpoints" / f"step-{step}", ignore_errors=True)
    os.replace(beside, folder / "checkpoints" / f"step-{step}")


def update(folder: Path, **changes: object) -> None:
    write(folder / "run.json", json.loads((folder / "run.json").read_text()) | changes)


def write(path: Path, value: object) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value))
    os.replace(beside, path)


def note(guard: Path, line: str) -> None:
    with (guard / "log").open("a") as file:
        file.write(f"{line}\n")


def behaviour(folder: Path) -> dict:
    file = folder.parent / "behaviour.json"
    return json.loads(file.read_text()) if file.exists() else {}


def hold_lock(file: Path):
    lock = file.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def complain(sentence: str, code: int = 2) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
