"""``benchmarks/claims.py``: the verdicts on made-up runs, and their report."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(Path(__file__).parent)]

from claim_runs import filled, noise, row  # noqa: E402
from claims import studies  # noqa: E402
from claims.methods import LABELS, merged, method_of  # noqa: E402
from claims.report import report  # noqa: E402
from claims.table import Table  # noqa: E402
from claims.verdicts import claims  # noqa: E402


def verdicts(table: Table) -> dict[str, str]:
    """What is claimed → verdict."""
    said = [line for claim in claims(table, studies.chosen(table)) for line in claim.verdicts]
    return {line.partition(": ")[0]: line.partition(": ")[2] for line in said}


def as_the_paper_says(label: str, seed: int) -> float:
    if label in LABELS and seed in studies.TUNING_SEEDS:
        return 0.5
    known = {"skill_grpo": 0.1, "sdar(frozen)": 0.8, "sdar(live)": 0.9, "λ=3": 0.5, "β=0": 0.5, "β=20": 0.4}
    if label.startswith("opsd"):
        return 0.0
    return known.get(label, 0.7 if label.startswith("sdar(frozen), ") else 0.5) + noise(seed) / 10


def test_verdicts_in_a_world_as_the_paper_has_it() -> None:
    table = filled(as_the_paper_says)
    for kept in table.rows:
        if kept.label.startswith("opsd"):
            table.add(replace(kept, status="collapsed"))
    found = verdicts(table)
    assert found["(a) Skill-GRPO falls off a cliff without skills"].startswith("holds")
    assert found["(b) sdar(live) gains over GRPO without skills"].startswith("holds, +40.0")
    assert found["(b) sdar(frozen) gains over GRPO without skills"].startswith("holds, +30.0")
    assert found["(c) opsd, 40 steps"] == "collapses, 5 of 5 runs."
    assert found["(c) sdar(ungated, live), 80 steps"] == "does not collapse, 0 of 4 runs."
    assert found["(d) λ has a sweet spot"].startswith("holds. λ = 1 is above λ = 0 by +30.0")
    assert found["(d) β has a sweet spot"].startswith("holds")
    assert found["(e) SDAR degrades gently under random and wrong skills"].startswith("holds")
    assert found["(f) live against frozen teacher"].startswith("live is ahead, +10.0")


def test_verdicts_where_nothing_makes_a_difference() -> None:
    found = verdicts(filled(lambda label, seed: 0.5 + noise(seed), trained_skills=0.55))
    assert found["(a) Skill-GRPO falls off a cliff without skills"].startswith("does not hold")
    assert found["(b) sdar(live) gains over GRPO without skills"].startswith("does not hold")
    assert found["(c) opsd, 80 steps"].startswith("does not collapse")
    assert found["(d) λ has a sweet spot"].startswith("does not hold")
    assert found["(e) SDAR degrades gently under random and wrong skills"].startswith("holds")
    assert found["(f) live against frozen teacher"].startswith("no difference seen")


def test_noisy_seeds_decide_nothing_and_say_what_they_could_have_seen() -> None:
    def wild(label: str, seed: int) -> float:
        return random.Random(f"{label} {seed}").uniform(0.2, 0.8)

    found = verdicts(filled(wild))
    assert found["(b) sdar(live) gains over GRPO without skills"].startswith("undecided")
    assert "10 seeds see a difference of" in found["(b) sdar(live) gains over GRPO without skills"]


def test_a_peak_at_the_end_of_a_sweep_is_no_sweet_spot() -> None:
    def rising(label: str, seed: int) -> float:
        return 0.9 if label == "λ=3" else 0.5

    table = filled(rising)
    best = merged(method_of("sdar(frozen)").fixed, ("distill.coef=3",))
    for seed in studies.TUNING_SEEDS:
        table.add(row(best, seed, trained_no_skills=0.9))
    for job in studies.lambda_jobs(table, studies.chosen(table)):
        table.add(row(job.overrides, job.seed, trained_no_skills=0.9 if "distill.coef=3" in job.overrides else 0.5))
    assert "undecided. λ = 3, which is the end of the sweep" in verdicts(table)["(d) λ has a sweet spot"]


def test_the_report_names_every_method_failure_and_commit() -> None:
    table = filled(lambda label, seed: 0.5 + noise(seed))
    lost = replace(table.get(("method=grpo",), 104), status="failed", steps=3, note="no finite loss", commit="def+")
    table.add(lost)
    text = report(table)
    assert all(f"| {label} |" in text for label in LABELS)
    assert "Failed: grpo, seed 104, after 3 steps: no finite loss." in text
    assert "def+ (1 runs)" in text and f"{len(table)} runs" in text
    assert "nan" not in text and "None" not in text


def test_a_half_done_study_is_reported_as_far_as_it_goes() -> None:
    whole = filled(lambda label, seed: 0.5)
    table = Table(kept for kept in whole.rows if kept.study == "tune")
    assert "(b) sdar(live) gains over GRPO without skills: undecided" in report(table)
