"""Transcripts of whole runs: there where they should be, and without a trace in anything else."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from short_sdar import SHORT, STEPS, Sdar, Trained, interrupt_after, records, steps_of

from sdar_cli.evaluation.transcripts import load_transcript
from sdar_cli.runs.state import RunStatus
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.transcript_scores import TokenScorer

ENDS = ("base-no_skills", "base-skills", f"trained-step-{STEPS}-no_skills", f"trained-step-{STEPS}-skills")
STARTED = ("init_from=first", "warmup=null")


def transcripts(run: RunFolder) -> dict[str, bytes]:
    return {path.name.removesuffix(".jsonl.gz"): path.read_bytes() for path in (run.path / "transcripts").glob("*")}


def test_base_and_end_are_kept_word_for_word(trained: Trained) -> None:
    run = trained.run
    assert set(transcripts(run)) == set(ENDS)
    panel = json.loads(run.panel_file.read_text())
    for name in ENDS:
        found = load_transcript(run.path / "transcripts" / f"{name}.jsonl.gz")
        assert (found.head["run"], found.head["evaluation"], found.head["panel"]) == (
            run.name,
            name,
            json.loads(run.evaluations()[name].read_text())["panel"],
        )
        assert [one["task"] for one in found.episodes] == panel["task_ids"][:16]
        for one, record in zip(found.episodes, records(run, name), strict=True):
            assert (one["won"], one["stop"], one["skills"]) == (record["won"], record["stop"], record["skills"])
            assert len(one["turns"]) == record["turns"]
            assert sum(len(turn["tokens"]) for turn in one["turns"]) == record["response_tokens"]
            assert set(one["skills"]) <= set(found.head["skills"])
            assert one["read"] and one["read"] in one["prompt"]
            for turn in one["turns"]:
                assert (turn["gap"] is None) == name.endswith("-skills")
                if turn["gap"] is not None:
                    assert len(turn["gap"]) == len(turn["gate"]) == len(turn["tokens"])
                if turn["action"] is not None and turn["invalid"] is None:
                    assert turn["action"] in "".join(turn["tokens"])


@pytest.mark.parametrize("settings", [(), ("method=grpo", "model.lora.rank=2", "rollout.context=full")])
def test_a_run_without_them_is_the_same_run(sdar: Sdar, trained: Trained, settings: tuple[str, ...]) -> None:
    name = f"transcribed-{len(settings)}"
    common = (*STARTED, "train.steps=3", *settings)
    kept = sdar.train(f"{name}-16", *common, "evaluation.transcripts=16")
    bare = sdar.train(f"{name}-0", *common, "evaluation.transcripts=0")
    assert len(transcripts(kept)) == 4 and transcripts(bare) == {}
    for checkpoint, other in zip(kept.checkpoints(), bare.checkpoints(), strict=True):
        files = sorted(path.name for path in checkpoint.path.glob("*.safetensors"))
        assert files
        for file in files:
            assert (checkpoint.path / file).read_bytes() == (other.path / file).read_bytes()
    assert [untimed(row) for row in steps_of(kept)] == [untimed(row) for row in steps_of(bare)]
    assert set(kept.evaluations()) == set(bare.evaluations())
    for evaluation in kept.evaluations():
        if evaluation != "report":
            assert records(kept, evaluation) == records(bare, evaluation)


def untimed(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if not name.startswith("time/")}


def test_a_resumed_run_scores_its_base_once(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 2)
    assert sdar("train", "--recipe", "quickstart", *SHORT, *STARTED, "train.steps=4", "--name", "halted").code == 130
    run = RunFolder.open(sdar.root / "halted")
    before = transcripts(run)
    assert set(before) == {"base-no_skills", "base-skills"}
    scored = []
    score = TokenScorer.score
    monkeypatch.setattr(TokenScorer, "score", lambda self, *given: scored.append(given) or score(self, *given))
    assert sdar("resume", "halted").code == 0
    assert len(scored) == 2
    after = transcripts(run)
    assert {name: after[name] for name in before} == before and len(after) == 4


def test_eval_writes_what_training_wrote(sdar: Sdar, trained: Trained) -> None:
    before = transcripts(trained.run)
    done = sdar("eval", "first", "--both", "--json")
    assert done.code == 0, done.err
    for name, content in transcripts(trained.run).items():
        path = trained.run.path / "transcripts" / f"{name}.jsonl.gz"
        if name in before:
            first, second = (strip(one) for one in (before[name], content))
            assert first == second, path


def test_other_sampling_leaves_what_the_run_has(sdar: Sdar, trained: Trained) -> None:
    run = sdar.train("sampled", *STARTED, "train.steps=1")
    folders = [run.path / name for name in ("evaluations", "transcripts")]
    before = {file: file.read_bytes() for folder in folders for file in folder.iterdir()}
    done = sdar("eval", "sampled", "--no-skills", "evaluation.sampling.temperature=1", "--json")
    assert done.code == 0, done.err
    assert all(file.read_bytes() == content for file, content in before.items())
    added = {file.stem.rpartition("-")[0] for file in folders[0].iterdir() if file not in before}
    assert added == {"report", "base-no_skills", "trained-step-1-no_skills"}


def test_no_evaluation_is_lost_for_its_transcript(
    sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sdar_cli.evaluation.transcripts.write_bytes", full)
    run = sdar.train("unwritten", *STARTED, "train.steps=1")
    assert run.state.status is RunStatus.FINISHED and not transcripts(run)
    assert {"base-no_skills", "base-skills", "trained-step-1-no_skills"} <= set(run.evaluations())
    done = sdar("eval", "unwritten", "--no-skills", "--json")
    assert done.code == 0 and "trained-step-1-no_skills.jsonl.gz (No space left on device)" in done.err
    monkeypatch.undo()
    assert sdar("eval", "unwritten", "--no-skills").code == 0 and set(transcripts(run)) == {"trained-step-1-no_skills"}


def test_long_scoring_is_shown(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scoring" not in sdar("eval", "first", "--no-skills").err
    monkeypatch.setattr("sdar_cli.training.transcript_scores.PATIENCE", 0.0)
    assert "scoring the transcript (" in sdar("eval", "first", "--no-skills").err


def strip(content: bytes) -> list[str]:
    """Lines of a file without what two ways to score may round differently."""
    import gzip

    lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    for line in lines[1:]:
        for turn in line["turns"]:
            turn["gap"] = turn["gap"] and [round(value, 1) + 0.0 for value in turn["gap"]]
            turn["gate"] = None
    return [json.dumps(line) for line in lines]


def test_another_panel_has_files_of_its_own(sdar: Sdar, trained: Trained) -> None:
    done = sdar("eval", "first", "--no-skills", "--tasks", "3", "--json")
    assert done.code == 0, done.err
    added = [name for name in transcripts(trained.run) if name not in ENDS]
    assert len(added) == 2 and all(name.split("_skills-")[0].endswith("-no") for name in added)
    found = load_transcript(trained.run.path / "transcripts" / f"{added[0]}.jsonl.gz")
    assert len(found.episodes) == 3
