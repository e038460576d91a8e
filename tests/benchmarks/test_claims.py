"""``benchmarks/claims.py``: its jobs, its table, its statistics, and its command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(Path(__file__).parent)]

from claim_runs import filled, row  # noqa: E402
from claims import studies, worker  # noqa: E402
from claims.analysis import detectable, gain, over_seeds, paired, success, together, values  # noqa: E402
from claims.crew import work  # noqa: E402
from claims.jobs import Job, distinct  # noqa: E402
from claims.methods import METHODS, merged, method_of  # noqa: E402
from claims.table import Table  # noqa: E402

from sdar_cli.objectives.registry import OBJECTIVES  # noqa: E402
from sdar_cli.statistics import Interval  # noqa: E402

# -- what runs ------------------------------------------------------------------------------------


def test_every_method_is_tuned_at_the_same_cost() -> None:
    assert {len(method.settings) for method in METHODS} == {4}
    assert all(len({merged(method.fixed, setting) for setting in method.settings}) == 4 for method in METHODS)
    assert len(studies.jobs_of("tune", Table())) == 4 * len(studies.TUNING_SEEDS) * len(METHODS)


def test_every_objective_takes_part() -> None:
    assert {word.split("=")[1] for m in METHODS for word in m.fixed if word.startswith("method=")} == set(OBJECTIVES)


def test_no_reporting_seed_is_a_tuning_seed() -> None:
    assert not set(studies.TUNING_SEEDS) & set(studies.MORE_SEEDS)
    assert studies.MORE_SEEDS[: len(studies.SEEDS)] == studies.SEEDS


def test_every_run_of_every_study_resolves() -> None:
    table = filled(lambda label, seed: 0.5)
    jobs = {job.overrides: job for study in studies.STUDIES for job in studies.jobs_of(study, table)}
    for job in jobs.values():
        recipe = worker.resolve(job, base=Path("base")).recipe
        assert f"method={recipe.method}" in job.overrides
        assert recipe.seed == recipe.environment.options["rulebook"] == job.seed
        assert (recipe.warmup is None) == (recipe.init_from == "base")


def test_equal_wishes_are_equal_words() -> None:
    assert merged(("b=1", "a=2"), ("b=3",)) == merged(("b=3",), ("a=2",)) == ("a=2", "b=3")


def test_a_run_that_two_studies_want_runs_once() -> None:
    first, again = Job("report", "grpo", ("method=grpo",), 1), Job("lambda", "λ=0", ("method=grpo",), 1)
    assert distinct([first, again]) == [first]


def test_lambda_zero_and_the_chosen_setting_are_runs_of_the_report() -> None:
    table = filled(lambda label, seed: 0.5)
    of = {study: {job.key for job in studies.jobs_of(study, table)} for study in studies.STUDIES}
    assert {(words, seed) for words, seed in of["lambda"] if words == "method=grpo"} <= of["report"]
    assert len(of["lambda"] - of["report"]) == (len(studies.LAMBDAS) - 1) * len(studies.SEEDS)


# -- the choice of settings -----------------------------------------------------------------------


def tuned(label: str, scores: list[float | None]) -> Table:
    method = method_of(label)
    rows = [
        row(
            merged(method.fixed, setting),
            seed,
            trained_no_skills=score,
            status="failed" if score is None else "finished",
        )
        for setting, score in zip(method.settings, scores, strict=True)
        for seed in studies.TUNING_SEEDS
    ]
    return Table(rows)


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.3, 0.6, 0.5, 0.4], 1), ([0.6, 0.6, 0.5, 0.6], 0), ([None, 0.2, 0.1, None], 1)],
    ids=["highest", "the first of ties", "a failed run solves nothing"],
)
def test_the_setting_that_is_chosen(scores: list[float | None], best: int) -> None:
    method = method_of("rlsd")
    assert studies.chosen(tuned("rlsd", scores), ("rlsd",)) == {"rlsd": merged(method.fixed, method.settings[best])}


def test_nothing_is_chosen_before_all_was_tried() -> None:
    table = tuned("rlsd", [0.1, 0.2, 0.3, 0.4])
    missing = Table(table.rows[:-1])
    with pytest.raises(studies.NotTuned, match=r"the tuning runs of `.*` are not all there: run the study tune first"):
        studies.chosen(missing, ("rlsd",))


# -- the table ------------------------------------------------------------------------------------

share = st.none() | st.integers(0, 10_000).map(lambda n: n / 10_000)


@given(cell=share, kl=share, note=st.text(alphabet="aß, \"'\n=λ−", max_size=30), seed=st.integers(0, 2**32 - 1))
def test_a_row_comes_back_from_the_csv(tmp_path_factory, cell, kl, note, seed) -> None:
    file = tmp_path_factory.mktemp("table") / "runs.csv"
    kept = row(("gate.beta=1", "method=sdar"), seed, trained_no_skills=cell, kl=kl, note=note)
    Table(file=file).add(kept)
    assert Table.open(file).rows == [kept]
    assert [path.name for path in file.parent.iterdir()] == ["runs.csv"]


def test_failed_runs_are_forgotten_on_request(tmp_path: Path) -> None:
    table = Table(file=tmp_path / "runs.csv")
    table.add(row(seed=1))
    table.add(row(seed=2, status="failed"))
    assert Table.open(tmp_path / "runs.csv").drop_failed() == 1
    assert [kept.seed for kept in Table.open(tmp_path / "runs.csv").rows] == [1]


# -- statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_detectable_difference_is_found_in_four_studies_of_five(seeds: int) -> None:
    draw = np.random.default_rng(1)
    spread, studies_run = 0.1, 20_000
    found = draw.normal(detectable(spread, seeds), spread, (studies_run, seeds))
    from scipy.special import stdtrit

    t = found.mean(axis=1) / (found.std(axis=1, ddof=1) / np.sqrt(seeds))
    assert np.mean(np.abs(t) > stdtrit(seeds - 1, 0.975)) == pytest.approx(0.8, abs=0.01)


@given(spread=st.floats(0, 1), seeds=st.integers(2, 40))
def test_more_seeds_see_smaller_differences(spread: float, seeds: int) -> None:
    assert detectable(spread, seeds + 1) <= detectable(spread, seeds)
    assert detectable(2 * spread, seeds) == pytest.approx(2 * detectable(spread, seeds))


def test_one_seed_sees_nothing() -> None:
    with pytest.raises(ValueError, match="at least two seeds"):
        detectable(0.1, 1)
    assert paired({1: 0.5}, {1: 0.4, 2: 0.3}).difference is None
    assert over_seeds({1: 0.5}) is None


def test_differences_are_paired_by_seed() -> None:
    found = paired({1: 0.5, 2: 0.9, 3: 0.4}, {1: 0.4, 2: 0.8, 4: 0.0})
    assert found.seeds == (1, 2)
    assert found.difference.estimate == pytest.approx(0.1)
    assert found.difference.high - found.difference.low == pytest.approx(0.0, abs=1e-9)


def test_a_run_that_broke_down_solves_nothing_and_one_without_a_base_does_not_count() -> None:
    broke = row(seed=1, status="failed", steps=7, trained_no_skills=None)
    never = row(seed=2, status="failed", steps=0, trained_no_skills=None)
    assert success(broke, "trained_no_skills") == 0.0
    assert success(never, "trained_no_skills") is None
    assert values(Table([broke, never]), (), (1, 2, 3), "trained_no_skills") == {1: 0.0}


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.01, 0.20, "holds"),
        (0.01, 0.03, "holds"),
        (-0.10, 0.04, "does not hold"),
        (-0.30, -0.10, "does not hold"),
        (-0.10, 0.06, "undecided"),
        (0.0, 0.2, "undecided"),
    ],
)
def test_what_an_interval_decides(low: float, high: float, word: str) -> None:
    assert gain(Interval((low + high) / 2, low, high)) == word
    assert gain(None) == "undecided"


def test_every_part_of_a_claim_must_hold() -> None:
    assert together(["holds", "holds"]) == "holds"
    assert together(["holds", "undecided"]) == together([]) == "undecided"
    assert together(["holds", "undecided", "does not hold"]) == "does not hold"


# -- a run's row ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "with_skills", "status"),
    [(90, 100, "finished"), (8, 49, "collapsed"), (8, 51, "finished"), (6, 100, "finished"), (0, 100, "collapsed")],
)
def test_what_counts_as_a_collapse(without: int, with_skills: int, status: str) -> None:
    def solved(count: int) -> list[bool]:
        return [True] * count + [False] * (100 - count)

    wins = {"base_no_skills": solved(8), "base_skills": solved(100)}
    wins |= {"trained_no_skills": solved(without), "trained_skills": solved(with_skills)}
    assert worker.status_of(wins) == status


def test_curves_are_of_the_last_quarter() -> None:
    rows = [{"step": step, "rollout/success": step / 10, "policy/kl": 1.0} for step in range(1, 9)]
    found = worker.late([*rows, {"step": 8, "eval/no_skills/success": 0.5}], 8)
    assert found == {"kl": 1.0, "train_success": pytest.approx(0.75), "train_success_min": 0.7}


# -- the command ----------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(BENCHMARKS / "claims.py"), *arguments]
    return subprocess.run(script, capture_output=True, text=True)


def test_the_plan_counts_what_is_missing(tmp_path: Path) -> None:
    done = command("--plan", "--studies", "tune", "report", "--csv", str(tmp_path / "none.csv"), "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "tune       112 of 112 runs missing" in done.stdout
    assert "report    unknown yet" in done.stdout


def test_no_report_before_the_tuning(tmp_path: Path) -> None:
    done = command("--report", "--csv", str(tmp_path / "none.csv"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the tuning runs of `method=grpo` are not all there")


TINY = """
extends: household-claims
rollout: {tasks: 1, group: 2}
train: {steps: 2, checkpoint_every: 2}
evaluation: {tasks: 4}
warmup: {demonstrations: 8, required_success: 0.0}
"""


@pytest.mark.long
@pytest.mark.train
def test_runs_fill_the_table_once(tmp_path: Path) -> None:
    """Two workers' worth of runs: one ends, one fails with its sentence, and neither leaves weights or runs again."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY)
    jobs = [
        Job("tune", "grpo", ("method=grpo",), 3),
        Job("tune", "grpo, strict", ("method=grpo", "warmup.required_success=1.0"), 3),
        Job("robust", "from the base", (f"init_from={studies.BASE}", "method=sdar", "warmup=null"), 3),
    ]
    table, runs = Table(file=tmp_path / "runs.csv"), tmp_path / "runs"
    assert work(jobs, table, count=1, runs=runs, recipe=str(recipe)) == 1
    done, strict, based = (table.get(job.overrides, 3) for job in jobs)
    assert (done.status, done.steps, done.tasks, done.method) == ("finished", 2, 4, "grpo")
    assert None not in (done.trained_no_skills, done.trained_skills, done.base_skills, done.kl, done.cpu_seconds)
    assert len(done.recipe) == 12 and done.recipe != strict.recipe
    assert (strict.status, strict.steps, strict.trained_skills) == ("failed", 0, None)
    assert strict.note.startswith("the warm-up reached")
    assert (based.base_skills, based.base_no_skills) == (done.base_skills, done.base_no_skills)
    assert "{base}" in based.overrides and based.gate_mean is not None
    assert not list(runs.rglob("*.safetensors"))
    before = (tmp_path / "runs.csv").stat().st_mtime_ns
    assert work(jobs, Table.open(tmp_path / "runs.csv"), count=1, runs=runs, recipe=str(recipe)) == 0
    assert (tmp_path / "runs.csv").stat().st_mtime_ns == before
