"""An environment in worker processes that does all that it should not, in one training that goes on to its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from short_sdar import SHORT, Done, Sdar, Trained, interrupt_after, steps_of

from sdar_cli.environments import build_environment
from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout import processes
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.schedule import TaskSchedule

FAULTY = """
import json
import os
import time
from pathlib import Path

from sdar_envs.base import Action, Observation, Step
from sdar_envs.household.environment import Household


class Faulty(Household):
    name = "faulty"
    isolation = "process"

    def __init__(self, options=None):
        super().__init__(options)
        self.faults = json.loads(Path(__file__).with_name("faults.json").read_text())

    def reset(self, task):
        self.fault, self.turn = self.faults.get(task.id), 0
        return super().reset(task)

    def step(self, action):
        self.turn += 1
        if self.turn == 2:
            match self.fault:
                case "crash":
                    os._exit(3)
                case "hang":
                    time.sleep(600)
                case "slow":
                    time.sleep(3.2)
                case "garbage":
                    return Step(Observation("\\ud800"), "much", None)
                case "leak":
                    self.held = bytearray(b"x") * (400 << 20)
        return super().step(action)

    def parse(self, response):
        parsed = super().parse(response)
        return parsed if isinstance(parsed, Action) else Action("wait")  # so that each turn reaches its worker

    def prompt(self, history):
        if self.faults.get(history.task.id) == "raise" and history.turns:
            raise LookupError("no words at https://me:secret@example.org")
        return super().prompt(history)
"""
AT_STEPS = ("crash", "hang", "slow", "garbage", "leak", "raise")
"""What the first of a step's two tasks does, at its second turn."""
TIMEOUT = 6.0
SETTINGS = (
    *SHORT,
    *("--init-from", "first", "evaluation.every=0", "evaluation.tasks=2", "tracking.traces=0"),
    *("environment.workers=6", f"environment.timeout={TIMEOUT}", "environment.worker_memory=0.25"),
)
FLAGGED = {"crashed": 3, "garbage": 3, "memory": 3, "raised": 3, "timed_out": 3}


def environment_file(folder: Path, every: str | None = None) -> str:
    """The environment, in which single tasks have faults, or ``every`` one has the same."""
    file, listed = folder / "faulty.py", folder / "faults.json"
    file.write_text(FAULTY, encoding="utf-8")
    listed.write_text("{}", encoding="utf-8")
    where = f"environment.name={file}:Faulty"
    changes = [word for word in (*SETTINGS, where) if "=" in word]
    recipe = load_recipe("quickstart", [], [*changes, "warmup=null", "model.tiny=null", "init_from=first"]).recipe
    schedule = TaskSchedule(build_environment(recipe.environment).tasks("train"), 2, recipe.seed)
    faults = {schedule.at(step)[0].id: fault for step, fault in enumerate(AT_STEPS)}
    if every is not None:
        faults = {task.id: every for step in range(recipe.train.steps) for task in schedule.at(step)}
    listed.write_text(json.dumps(faults), encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def faulty(sdar: Sdar, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Done, RunFolder]:
    """Interrupted behind the fourth step, and resumed."""
    where = environment_file(tmp_path_factory.mktemp("faulty"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "LOOK_SECONDS", 0.0)
        with pytest.MonkeyPatch.context() as once:
            interrupt_after(once, step=4)
            begun = sdar("train", "--recipe", "quickstart", *SETTINGS, "--name", "faulty", where)
        done = sdar("resume", "faulty")
    return begun, done, RunFolder.open(sdar.root / "faulty")


def test_the_run_ends_well_and_its_report_counts_what_was_lost(faulty: tuple[Done, Done, RunFolder]) -> None:
    begun, done, run = faulty
    assert begun.code == 130, begun.err
    assert done.code == 0 and run.state.status == "finished", done.err
    assert "Traceback" not in begun.err + done.err
    report = json.loads((run.path / "evaluations" / "report.json").read_text(encoding="utf-8"))
    assert report["flagged"] == {
        "training": {"episodes": 15, "of": 48, "reasons": FLAGGED},
        "evaluation": {"episodes": 0, "of": 8, "reasons": {}},
    }
    printed = " ".join(done.out.split())
    assert (
        "Those of training 15 of 48 episodes (crashed 3, garbage 3, memory 3, raised 3, timed out 3), not trained on"
        in printed
    )


@pytest.mark.parametrize("fault", AT_STEPS)
def test_each_fault_costs_its_own_episodes_alone(faulty: tuple[Done, Done, RunFolder], fault: str) -> None:
    row = steps_of(faulty[2])[AT_STEPS.index(fault)]
    kinds = {"crash": "crashed", "hang": "timed_out", "garbage": "garbage", "leak": "memory", "raise": "raised"}
    lost = {name.removeprefix("rollout/lost/"): count for name, count in row.items() if "/lost/" in name}
    assert lost == ({kinds[fault]: 3.0} if fault in kinds else {})
    assert row["rollout/stop/environment_error"] == (0.5 if fault in kinds else 0.0)
    assert row["optim/rows"] > 0, "the other task was trained on"
    assert row["rollout/slow"] == 3.0 or fault not in ("hang", "slow"), "as slow as three timeouts, or half of them"


def test_an_environment_that_loses_everything_ends_the_run(sdar: Sdar, trained: Trained, tmp_path: Path) -> None:
    where = environment_file(tmp_path, every="raise")
    words = (
        "train",
        "--recipe",
        "quickstart",
        *SETTINGS,
        "guards.patience=2",
        "train.checkpoint_every=1",
        "train.steps=3",
        where,
    )
    done = sdar(*words, "--name", "lost")
    assert done.code == 1 and "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith(
        "error: every episode of 2 steps in a row was lost by the environment, the last ones being 6 of 6 episodes "
        "(raised 6): mend what it needs and go on with `sdar resume`"
    )
    assert "secret" not in done.err
    run = RunFolder.open(sdar.root / "lost")
    assert run.state.status == "failed" and [step["rollout/lost/raised"] for step in steps_of(run)] == [6.0, 6.0]
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [1], "the step that ended it is played again"
    assert sdar("resume", "lost").code == 1, "and as often as it is lost"
    assert len(steps_of(run)) == 2 and [checkpoint.step for checkpoint in run.checkpoints()] == [1]
    (tmp_path / "faults.json").write_text("{}", encoding="utf-8")
    done = sdar("resume", "lost")
    assert done.code == 0, done.err
