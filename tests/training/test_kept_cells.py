"""What a run that was interrupted need not measure again, and what every part of it then knows once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from said_lines import Lines

from sdar_cli.errors import RunError
from sdar_cli.evaluation.conditions import episode_options
from sdar_cli.evaluation.evaluator import sampling_record
from sdar_cli.evaluation.result import EpisodeRecord, Evaluation
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.tracking.journal import Journal
from sdar_cli.training.cells import WEIGHTS, forget_later, kept_base, kept_trained, stamped, weights_digest
from sdar_cli.training.recorder import RunRecorder
from sdar_cli.training.watch import Watch
from sdar_cli.workshop import Workshop

RESOLVED = load_recipe("quickstart", [], ["evaluation.tasks=2", "train.steps=4", "evaluation.every=2"])


@pytest.fixture(scope="module")
def evaluator() -> Any:
    with Workshop.open(RESOLVED.recipe) as workshop:
        yield SimpleNamespace(workshop=workshop, panel=workshop.panel())


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, RESOLVED, "mine")


def measured(evaluator: Any, step: int, solved: int = 1, mode: str = "no_skills") -> Evaluation:
    workshop = evaluator.workshop
    records = tuple(
        EpisodeRecord(f"t{i}", "clean", i < solved, 1.0 * (i < solved), 0.0, 1, 1, 1, 0, "success") for i in range(2)
    )
    return Evaluation(
        mode,
        "trained" if step else "base",
        workshop.environment.name,
        evaluator.panel.digest,
        sampling_record(workshop.recipe),
        workshop.recipe.evaluation.panel_seed,
        "hf",
        records,
        0.0,
        step=step,
        bank_digest=workshop.bank.digest,
        options=episode_options(workshop.environment),
        facts=dict(workshop.environment.facts()),
    )


def save(run: RunFolder, evaluation: Evaluation) -> Evaluation:
    run.save_evaluation(evaluation.name, evaluation.to_json())
    return evaluation


def checkpoint(folder: Path, **hashes: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = {name.replace("__", "."): {"bytes": 1, "sha256": content * 64} for name, content in hashes.items()}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    return folder


# -- which checkpoint ---------------------------------------------------------------------------------


def test_a_checkpoint_is_known_by_what_it_plays_with(tmp_path: Path) -> None:
    first = weights_digest(checkpoint(tmp_path / "a", model__safetensors="a", sdar__json="b", trainer_state__json="c"))
    assert first is not None
    later = checkpoint(tmp_path / "b", model__safetensors="a", sdar__json="b", trainer_state__json="d")
    assert weights_digest(later) == first, "what a clock measured is no part of it"
    for changed in ({"model__safetensors": "x", "sdar__json": "b"}, {"model__safetensors": "a", "sdar__json": "x"}):
        assert weights_digest(checkpoint(tmp_path / "c", **changed)) not in (None, first)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"files": []}', '{"files": {"model.safetensors": 1}}'])
def test_one_of_before_manifests_or_a_damaged_one_is_not_known(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert weights_digest(tmp_path) is None
    assert weights_digest(tmp_path / "Qwen" / "Qwen3-1.7B") is None
    assert weights_digest(checkpoint(tmp_path / "d", sdar__json="b")) is None


# -- which cells --------------------------------------------------------------------------------------


def test_a_final_cell_is_kept_where_it_is_of_that_very_checkpoint(run: RunFolder, evaluator: Any) -> None:
    assert kept_trained(run, evaluator, "no_skills", 4, "w") is None
    cell = save(run, stamped(measured(evaluator, 4), "w"))
    assert cell.extra == {WEIGHTS: "w"}
    assert kept_trained(run, evaluator, "no_skills", 4, "w") == cell
    assert kept_trained(run, evaluator, "no_skills", 4, "other") is None
    assert kept_trained(run, evaluator, "no_skills", 4, None) is None, "a checkpoint that is not known"
    assert kept_trained(run, evaluator, "skills", 4, "w") is None
    assert kept_trained(run, evaluator, "no_skills", 3, "w") is None


def test_what_was_measured_between_steps_is_no_final_cell(run: RunFolder, evaluator: Any) -> None:
    """Of a run that collapses there, say: the final one also writes its transcript."""
    save(run, measured(evaluator, 4))
    assert kept_trained(run, evaluator, "no_skills", 4, "w") is None


def test_a_damaged_final_cell_is_measured_again(run: RunFolder, evaluator: Any) -> None:
    cell = save(run, stamped(measured(evaluator, 4), "w"))
    file = run.evaluations()[cell.name]
    file.write_bytes(file.read_bytes()[:-40])
    assert kept_trained(run, evaluator, "no_skills", 4, "w") is None


CHANGES = {
    "wrong_rules": {"options": {"wrong_rules": 0.5}},
    "the panel": {"panel": "another"},
    "the skills": {"bank_digest": "another"},
    "the seed": {"seed": 99},
    "max_turns": {"sampling": {"max_turns": 99}},
    "the weights": {"extra": {WEIGHTS: "another"}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_cell_of_other_conditions(run: RunFolder, evaluator: Any, what: str) -> None:
    """The base's ends the resumption with a sentence, as the training went on from it; a final one is made again."""
    save(run, replace(stamped(measured(evaluator, 0), "w"), **CHANGES[what]))
    with pytest.raises(RunError, match=rf"of mine was measured under other conditions \({what} changed since\)"):
        kept_base(run, evaluator, "no_skills", "w")
    save(run, replace(stamped(measured(evaluator, 4), "w"), **CHANGES[what]))
    assert kept_trained(run, evaluator, "no_skills", 4, "w") is None


def test_a_cell_of_another_store(run: RunFolder, evaluator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = evaluator.workshop.environment
    monkeypatch.setattr(environment, "facts", lambda: {"store": "0123456789abcdef"})
    cell = save(run, measured(evaluator, 0))
    assert kept_base(run, evaluator, "no_skills", None) == cell
    save(run, replace(cell, facts={"store": "fedcba9876543210"}))
    with pytest.raises(RunError, match=r"other conditions \(store changed since\)"):
        kept_base(run, evaluator, "no_skills", None)


def test_a_cell_that_says_less_is_kept(run: RunFolder, evaluator: Any) -> None:
    """Files of before hold no options, facts, bank or weights."""
    cell = save(run, replace(measured(evaluator, 0), options={}, facts={}, bank_digest=None))
    assert kept_base(run, evaluator, "no_skills", "w") == cell
    assert kept_base(run, evaluator, "skills", "w") is None


def test_what_was_measured_behind_the_checkpoint_is_forgotten(run: RunFolder, evaluator: Any) -> None:
    """The journal voids it: whoever asks for a file finds what the journal has."""
    for step in (0, 2, 3, 4, 40):
        save(run, measured(evaluator, step))
    save(run, measured(evaluator, 4, mode="skills"))
    run.save_evaluation("trained-step-4-no_skills-1a2b3c4d", {"by": "sdar eval, under other conditions"})
    run.save_evaluation("report", {})
    forget_later(run, 3)
    left = {"base-no_skills", "trained-step-2-no_skills", "trained-step-3-no_skills"}
    assert set(run.evaluations()) == left | {"trained-step-4-no_skills-1a2b3c4d", "report"}


# -- who knows of them --------------------------------------------------------------------------------


class Store:
    """Takes what a tracker is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def evaluation(self, evaluation: Evaluation) -> None:
        self.told.append(evaluation.name)

    def episodes(self, *words: Any, **named: Any) -> None:
        self.told.append("episodes")

    def tag(self, *words: str) -> None:
        pass

    untag = sync = tag


def test_the_file_comes_last_and_the_disk_has_the_rest_by_then(
    run: RunFolder, evaluator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Slow(Store):
        def evaluation(self, evaluation: Evaluation) -> None:
            assert journal.read(), "the journal comes first"
            order.append("MLflow")

        def sync(self) -> None:
            order.append("MLflow synced")

    journal = Journal(run.path / "metrics.jsonl")
    monkeypatch.setattr(journal, "sync", lambda: order.append("journal synced"))
    monkeypatch.setattr(RunFolder, "save_evaluation", lambda *words: order.append("file"))
    RunRecorder(run, RESOLVED.recipe, journal, Slow()).evaluation(measured(evaluator, 0), [])
    assert order == ["MLflow", "journal synced", "MLflow synced", "file"]


def test_a_kept_one_is_put_again_where_it_is_missing(run: RunFolder, evaluator: Any) -> None:
    journal, store = Journal(run.path / "metrics.jsonl"), Store()
    recorder = RunRecorder(run, RESOLVED.recipe, journal, store)
    for _ in range(3):
        recorder.kept(measured(evaluator, 0))
    assert len(journal.path.read_text().splitlines()) == 1, "once"
    recorder.kept(measured(evaluator, 0, solved=2))
    assert len(journal.path.read_text().splitlines()) == 2, "another value is another line"
    assert store.told == ["base-no_skills"] * 4, "the tracker knows what it has"


# -- findings of a final cell -------------------------------------------------------------------------


def test_what_a_final_cell_showed_is_found_again_behind_the_last_step(run: RunFolder, evaluator: Any) -> None:
    """Killed behind it: the same findings in the same order, and nothing is said twice."""
    recipe = RESOLVED.recipe
    limits = {"zero_success": 1, "patience": 4, "zero_variance": 0.5}
    recipe = recipe.model_copy(update={"guards": recipe.guards.model_copy(update=limits)})
    base, last = measured(evaluator, 0), measured(evaluator, 4, solved=0)
    journal, lines = Journal(run.path / "metrics.jsonl"), Lines()
    first = Watch(recipe, run, Store(), lines)
    first.catch_up(base, journal)
    for step in (1, 2, 3, 4):
        row = {"loss/total": 0.0, "rollout/zero_variance_groups": 1.0}
        journal.append(step, row)
        first.metrics(step, row)
    journal.append(4, last.metrics())
    first.evaluation(last, [])
    assert [finding.kind for finding in first.findings] == ["zero_variance", "zero_success"]
    assert len(lines.lines) == 2
    journal.rewind(4)
    again, quiet = Watch(recipe, run, Store(), display := Lines()), first.findings
    again.catch_up(base, journal)
    again.kept(last)
    assert again.findings == quiet == tuple(run.state.warnings)
    assert display.lines == []
