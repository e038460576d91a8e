"""The soak: its trainings are recipes, what a kill hit is told from what lies there, and the verdict counts that."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdar_cli.recipe.load import load_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    paths = [str(ROOT / "benchmarks"), *sys.path]
    monkeypatch.setattr(sys, "path", paths)
    yield
    for name in [name for name in sys.modules if name == "soak" or name.startswith("soak.")]:
        del sys.modules[name]


class Ended:
    """A process that was killed, having said this."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def said(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def test_every_training_of_it_is_a_recipe() -> None:
    from soak.long import BETWEEN, PROBE, SETTINGS, _steps_that_fit
    from soak.table import SHORT

    fewest, most = _steps_that_fit(60, 10.0), _steps_that_fit(3600, 0.5)
    assert fewest < most
    for settings, steps in ((SETTINGS, PROBE), ((*SETTINGS, *BETWEEN), fewest), ((*SETTINGS, *BETWEEN), most)):
        assert load_recipe("quickstart", [], [*settings, f"train.steps={steps}"]).recipe.train.steps == steps
    assert load_recipe("quickstart", [], list(SHORT)).recipe.train.steps == 10


def record(file: Path, *steps: int) -> None:
    with file.open("a") as opened:
        for step in steps:
            opened.write(f'{{"format":1,"step":{step},"group":0,"sample":0,"turns":[]}}\n')


def journal(run: Path, steps: int) -> None:
    (run / "metrics.jsonl").write_text("".join(f'{{"step": {n + 1}, "loss/total": 0.5}}\n' for n in range(steps)))


@pytest.mark.parametrize(
    ("lines", "recorded", "phase"),
    [
        ([], [], "start"),
        (["run one"], [], "start"),
        (["run one", "warm-up (120)", "warm-up 30/120 loss 1"], [], "warm-up"),
        (["warm-up (120)", "base without skills (24)"], [], "evaluation"),
        (["base with skills (24)", "base at step 0, with skills: 50.0% of 24 tasks solved"], [], "evaluation"),
        (["base with skills (24)", "training (10)"], [], "generation"),
        (["training (10)", "step 3: success 0.5"], [2], "generation"),
        (["training (10)", "step 3: success 0.5"], [2, 3], "training"),
        (["training (10)", "trained without skills (24)"], [2, 3], "evaluation"),
        (["training (10)", "trained without skills (24)", "training (10)"], [2, 3], "training"),
    ],
)
def test_what_a_kill_hit(tmp_path: Path, lines: list[str], recorded: list[int], phase: str) -> None:
    from soak.evidence import RECORD, Evidence

    file = tmp_path / RECORD
    record(file, 0, 1, 2, 3)  # of a process before, whose steps are made again
    seen = Evidence(tmp_path, file)
    record(file, *recorded)
    journal(tmp_path, 3)
    found = seen.hit(Ended(*lines))
    assert (found.phase, found.step, found.unsent) == (phase, 3, 0)
    (tmp_path / "checkpoints" / ".step-3-99").mkdir(parents=True)
    assert seen.hit(Ended(*lines)).phase == "checkpointing"


def test_a_step_that_is_made_again_counts_once(tmp_path: Path) -> None:
    from soak.evidence import RECORD, Evidence

    seen = Evidence(tmp_path, tmp_path / RECORD)
    assert seen.steps() == 0
    journal(tmp_path, 5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"rewind": 2}\n')
    record(tmp_path / RECORD, 2)
    assert (seen.steps(), seen.is_updating()) == (2, True)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss/total": 0.5}\n{"step": 3, "eval/no_skills/success": 1.0}\n{"step": 4, "loss/')
    assert (seen.steps(), seen.is_updating()) == (3, False)


def test_a_rollout_that_is_half_written_is_not_over(tmp_path: Path) -> None:
    from soak.evidence import RECORD, Evidence

    seen = Evidence(tmp_path, tmp_path / RECORD)
    assert seen.recorded() == -1
    record(tmp_path / RECORD, 0)
    with (tmp_path / RECORD).open("a") as file:
        file.write('{"format":1,"step":1,"gro')
    assert seen.recorded() == 0
    with (tmp_path / RECORD).open("a") as file:
        file.write('up":0,"sample":0}\n')
    assert seen.recorded() == 1


def test_the_end_is_evaluation_until_its_evaluations_are_kept(tmp_path: Path) -> None:
    from soak.evidence import RECORD, Evidence

    seen = Evidence(tmp_path, tmp_path / RECORD)
    journal(tmp_path, 10)
    (tmp_path / "run.json").write_text('{"status": "evaluating"}')
    (tmp_path / "evaluations").mkdir()
    for mode, phase in (("no_skills", "evaluation"), ("skills", "publishing")):
        (tmp_path / "evaluations" / f"trained-step-10-{mode}.json").write_text("{}")
        assert seen.hit(Ended("trained with skills (24)", "scoring the transcript (4)")).phase == phase


def test_writes_that_mlflow_was_not_known_to_have(tmp_path: Path) -> None:
    from soak.evidence import RECORD, Evidence

    seen = Evidence(tmp_path, tmp_path / RECORD)
    assert seen.unsent() == 0
    spool = tmp_path / "tracking"
    spool.mkdir()
    head, *writes = ({"spool": 1, "next": 4}, {"n": 4}, {"n": 5}, {"n": 6})
    (spool / "spool.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *writes)) + '{"n": 7')
    (spool / "sent").write_text(f"{4:020d}\n")
    assert seen.unsent() == 2


def test_a_verdict_counts_what_was_hit_and_misses_nothing_of_the_list() -> None:
    from soak.evidence import PHASES, Hit
    from soak.table import Line, verdict

    hits = [Hit(phase, 3, number % 2) for number, phase in enumerate((*PHASES, "warm-up"))]
    lines = [Line(number, "training", ((1.0, hit),), 1, None) for number, hit in enumerate(hits)]
    well, said = verdict(lines)
    assert well
    assert said.startswith(
        "5 of 5 runs ended bit-identical, after 5 kills, hit in: generation 1, training 1, checkpointing 1, "
        "evaluation 1, MLflow logging 2, warm-up 1"
    )
    well, said = verdict(lines[1:])
    assert not well
    assert said.endswith("; NO kill hit generation")
    assert verdict([*lines, Line(9, "training", (), 0, "step is 9, not 10")])[0] is False


def test_an_episode_recorded_twice_counts_as_it_was_last(tmp_path: Path) -> None:
    from soak.outcome import difference, rollouts

    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    record(quiet, 0, 1)
    record(killed, 0, 1, 1)
    assert difference(rollouts(quiet), rollouts(killed)) is None
    with killed.open("a") as file:
        file.write('{"format":1,"step":1,"group":0,"sample":0,"turns":[7]}\n')
    assert difference(rollouts(quiet), rollouts(killed)).startswith("rollout 1: ")


def test_a_command_that_does_not_leave_is_killed_and_its_log_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soak.process import Sdar

    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "sdar").write_text('#!/bin/sh\necho "said $1"; [ "$1" = stay ] && exec sleep 600; exit 3\n')
    (bin_folder / "sdar").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    log = tmp_path / "log"
    first = Sdar(log, "go", cache=tmp_path)
    assert (first.left(60), first.said()) == (3, "said go\n")
    second = Sdar(log, "stay", cache=tmp_path, folder=tmp_path)
    assert second.left(0.2) is None
    assert second.over
    assert "said go" not in second.said()
    with pytest.raises(ProcessLookupError):
        os.kill(second.process.pid, 0)
