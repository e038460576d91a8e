"""Lines of a journal that somebody else wrote, or that a diverged run did: a picture of the rest, and no crash."""

from __future__ import annotations

from pathlib import Path

from sdar_cli.tracking.journal import Journal
from sdar_cli.tracking.plots import PLOTS, write_plots

GOOD = {
    "eval/no_skills/success": 0.5,
    "eval/no_skills/episodes": 16,
    "eval/no_skills/success/turns_le_5": 0.5,
    "eval/no_skills/episodes/turns_le_5": 16,
    "rollout/success": 0.5,
    "gap/mean": 0.1,
    "gate/mean": 0.5,
    "policy/kl": 0.1,
    "time/generation": 1.0,
    "rollout/invalid_action_rate": 0.0,
    **{f"gate/bin_{place}": 0.1 for place in range(10)},
    **{f"{signal}/turn_00/mean": 0.5 for signal in ("gap", "gate")},
}
BAD = [
    {"eval/no_skills/success": 5, "eval/no_skills/episodes": 16, "eval/no_skills/success/turns_le_5": -1},
    {"eval/no_skills/success": 0.5, "eval/no_skills/episodes": 0, "eval/no_skills/episodes/turns_le_5": 0},
    {"eval/no_skills/success": 0.5, "eval/no_skills/episodes": 2**62, "eval/no_skills/episodes/turns_le_5": 2**62},
    {"eval/no_skills/success": 1e308, "eval/no_skills/episodes": 1e308, "rollout/success": -1e308},
    dict.fromkeys(GOOD, 1.7e308),
    dict.fromkeys(GOOD, -1.7e308),
    dict.fromkeys(GOOD, 1e-320),
    {f"gap/turn_{10**9}/mean": 1.0, f"gate/turn_{'9' * 5000}/mean": 1.0, "gap/turn_20/mean": 0.5},
]


def test_strange_lines_are_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    for step, row in enumerate((GOOD, *BAD, GOOD)):
        journal.append(step, row)
    journal.append(2**62, GOOD)
    assert {path.stem for path in write_plots(journal.read(), tmp_path / "plots")} == set(PLOTS)
