"""Reports and transcripts made by hand, for the tests of the HTML page."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdar_cli.compare.report import CurvePoint, Measure, Pair, PaperRow, Report, Response, ResponsePoint, Row
from sdar_cli.statistics import Interval, wilson

PANEL = "ab12" * 16
TYPES = ("clean", "heat", "cool")
HOSTILE = (
    "</script><script>window.bad = 1</script>",
    "<img src=x onerror='window.bad = 2'>",
    "<!-- <script>",
    "line\u2028separator\u2029ends",
    "bell\x07, null\x00, escape\x1b[31m",
    "half \ud800 of a pair, and \udc00",
    "\u202ereversed\u202c, \u2066isolated\u2069, \u200fmark",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} &lt;b&gt; &amp;",
    "' onmouseover='window.bad = 3' \" onfocus=\"window.bad = 4\"",
    "javascript:window.bad=5",
)
"""What a model, a recipe or an environment may write."""


def row(label: str, solved: int, tasks: int = 64, seeds: int = 2) -> Row:
    rate = wilson(solved, tasks)
    share = solved / tasks
    return Row(
        label=label,
        runs=tuple(f"{label}-s{seed}" for seed in range(seeds)),
        seeds=tuple(range(seeds)),
        settings={"method": label, "gate.beta": 5.0, "train.steps": 40},
        measures={
            "success": Measure(share, rate.low, rate.high, seeds),
            "success_skills": Measure(0.93, 0.88, 0.96, seeds),
            "gap": Measure(0.93 - share, 0.2, 0.6, seeds),
            "gain": Measure(share - 0.05, share - 0.15, share + 0.05, seeds),
            "turns": Measure(4.25, 4.0, 4.5, seeds),
            "seconds": Measure(3725.0),
        },
        base={"success": Measure(0.05, 0.02, 0.1), "success_skills": Measure(0.99, 0.95, 1.0)},
        by_type={name: wilson(solved * (place + 1) // 4, tasks) for place, name in enumerate(TYPES)},
        curve=tuple(CurvePoint(step, wilson(solved * step // 40, tasks), seeds) for step in range(0, 41, 10)),
        signals={
            "rollout/success": tuple((step, step / 50) for step in range(1, 41)),
            "gap/mean": tuple((step, -0.4 + step / 200) for step in range(1, 41)),
            "own/metric": ((1, math.nan), (2, 1.0)),
        },
        by_turn={"gap": (-0.1, -0.6, None, -0.2), "gate": (0.4, 0.45, None, 0.5)},
    )


def report(**changes: Any) -> Report:
    """Two methods, two seeds each, on a small panel."""
    values: dict[str, Any] = {
        "title": "sdar and grpo",
        "environment": "household",
        "split": "test",
        "panel": PANEL,
        "tasks": 64,
        "sampling": {"temperature": 0.4, "top_p": 1.0, "max_turns": 6},
        "bank": "household 54ade00e7b2f",
        "level": 0.95,
        "by": ("method",),
        "types": TYPES,
        "rows": (row("sdar", 30), row("grpo", 20)),
        "pairs": (pair(None), pair("clean")),
        "notes": ("Two seeds each: about the methods.",),
        "responses": (response(),),
        "paper": (PaperRow("sdar", "Qwen2.5-3B", "SDAR", False, 0.844, Interval(0.47, 0.35, 0.59), False),),
        "tasks_by_type": {"clean": 22, "heat": 21, "cool": 21},
    }
    return Report(**(values | changes))


def pair(part: str | None, **changes: Any) -> Pair:
    values: dict[str, Any] = {
        "first": "sdar",
        "second": "grpo",
        "measure": "success",
        "part": part,
        "difference": Interval(0.156, 0.02, 0.29),
        "p_value": 0.021,
        "p_adjusted": 0.042,
        "test": "paired t over seeds",
        "about": "methods",
        "count": 2,
        "effect": 1.25,
        "effect_name": "Cohen's d_z",
        "improvement": 0.75,
        "needed": 5,
    }
    return Pair(**(values | changes))


def response(**changes: Any) -> Response:
    points = tuple(
        ResponsePoint(x, "", wilson(solved, 64), (solved / 64 - 0.03, solved / 64 + 0.03))
        for x, solved in ((0.1, 20), (0.2, 31), (1.0, 28), (5.0, 12))
    )
    return Response(**({"key": "gate.temperature", "log": True, "numeric": True, "points": points} | changes))


def turn(tokens: Sequence[str], gap: Sequence[float | None] | None, answer: str, **changes: Any) -> dict[str, Any]:
    gate = None if gap is None else [None if one is None else round(1 / (1 + math.exp(-5 * one)), 3) for one in gap]
    values = {
        "tokens": list(tokens),
        "gap": None if gap is None else list(gap),
        "gate": gate,
        "action": "take it",
        "invalid": None,
        "answer": answer,
        "reward": 0.0,
        "truncated": False,
    }
    return values | changes


def episode(number: int, won: bool, turns: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    values = {
        "task": f"type-{number % 3}/task-{number:02d}",
        "type": TYPES[number % 3],
        "goal": f"bring thing {number} to the shelf.",
        "won": won,
        "score": float(won),
        "reward": 10.0 * won,
        "stop": "success" if won else "max_turns",
        "error": None,
        "skills": ["general"],
        "prompt": f"<|im_start|>user\nTask: bring thing {number} to the shelf.<|im_end|>\n",
        "read": f"You see: thing {number} on counter.",
        "turns": list(turns),
    }
    return values | changes


def played(task: int, run: int, *, skills: bool = False, turns: int = 3) -> dict[str, Any]:
    """An episode whose outcome depends on task and run: all four of solved by one, the other, both, neither occur."""
    won = bool((task >> run) & 1)
    tokens = ["<action>", " take", " thing", f" {task}", " </action>", ""]
    gap = None if skills else [0.0, 0.01 * task, -0.6 - run, -5.0 if run else 2.5, 0.2, 0.0]
    made = [turn(tokens, gap, f"Answer {number} to run {run}.") for number in range(turns + run)]
    if task == 1:
        made[0] |= {"invalid": "no action tag", "action": None}
    return episode(task, won, made)


def head(run: str, label: str, mode: str) -> dict[str, Any]:
    return {
        "format": 1,
        "evaluation": f"{label}-{mode}",
        "run": run,
        "label": label,
        "mode": mode,
        "step": 0 if label == "base" else 40,
        "environment": "household",
        "panel": PANEL,
        "skills": {"general": "Take the thing first. A wrong station spoils it."},
        "temperature": 1.0,
        "gate": {"kind": "gap", "beta": 5.0, "normalise": "none"},
    }


def write(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))


def write_transcripts(root: Path, *, tasks: int = 8) -> dict[str, Path]:
    """Of the first seed of both rows: end and base, in both modes. Run name → folder."""
    folders = {}
    for number, run in enumerate(("sdar-s0", "grpo-s0")):
        folders[run] = root / run / "transcripts"
        for label, name in (("base", "base"), ("trained", "trained-step-40")):
            for mode in ("no_skills", "skills"):
                lines = [head(run, label, mode)]
                lines += [played(task, number, skills=mode == "skills") for task in range(tasks)]
                write(folders[run] / f"{name}-{mode}.jsonl.gz", lines)
    return folders


def hostile_report() -> Report:
    """Every text that a report holds is one that would like to be obeyed."""
    first, second = (f"{name} {''.join(HOSTILE)}" for name in ("a", "b"))
    rows = tuple(row(label, 20 + 5 * place) for place, label in enumerate((first, second)))
    return report(
        title="".join(HOSTILE),
        environment=HOSTILE[0],
        bank=HOSTILE[1],
        sampling={HOSTILE[0]: HOSTILE[4]},
        notes=HOSTILE,
        forced=HOSTILE,
        by=HOSTILE,
        rows=rows,
        types=TYPES,
        pairs=tuple(pair(part, first=first, second=second, test=HOSTILE[8]) for part in (None, *HOSTILE)),
        responses=(response(key="".join(HOSTILE)),),
        study=HOSTILE[6],
    )


def hostile_transcripts(root: Path) -> dict[str, Path]:
    """Of the runs of ``hostile_report``."""
    folders = {}
    for run in (f"{row.label}-s0" for row in hostile_report().rows):
        folders[run] = root / str(len(folders))
        episodes = [
            episode(
                task,
                task % 2 == 0,
                [turn([text, *text, ""], [0.1] * (len(text) + 2), text, action=text, invalid=text)],
                task=text,
                goal=f"{task} {text}",
                read=text,
                prompt=text,
                type=text,
                skills=["general", text],
                error=text,
            )
            for task, text in enumerate(HOSTILE)
        ]
        skills = {"general": HOSTILE[0]} | {text: text for text in HOSTILE}
        write(
            folders[run] / "base-no_skills.jsonl.gz", [head(run, "base", "no_skills") | {"skills": skills}, *episodes]
        )
    return folders
