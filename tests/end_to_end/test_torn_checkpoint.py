"""A checkpoint that was damaged while nobody looked: the one before is used, and the ending is the same."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file
from short_sdar import Sdar, Trained, steps_of

from sdar_cli.runs.store import RunFolder

pytestmark = pytest.mark.long

FEW = (
    "train.steps=5",
    "train.checkpoint_every=1",
    "train.keep_checkpoints=3",
    "train.keep_best=1",
    "evaluation.every=2",
    "evaluation.tasks=2",
    "evaluation.transcripts=0",
    "tracking.traces=0",
    "teacher.kind=ema",
    "distill.coef=0.3",
)


@pytest.fixture(scope="module")
def whole(sdar: Sdar, trained: Trained) -> RunFolder:
    return sdar.train("untorn", "--init-from", "first", *FEW)


def copy(sdar: Sdar, whole: RunFolder, name: str) -> RunFolder:
    """The run as it was when it had trained and was not over."""
    folder = sdar.root / name
    shutil.copytree(whole.path, folder)
    for path in (*(folder / "evaluations").glob("trained-step-5-*"), folder / "evaluations" / "report.json"):
        path.unlink()
    shutil.rmtree(folder / "tracking", ignore_errors=True)
    state = json.loads((folder / "run.json").read_text())
    state |= {"name": name, "status": "training", "mlflow_run_id": None, "ended": None}
    (folder / "run.json").write_text(json.dumps(state))
    return RunFolder.open(folder)


def test_the_one_before_is_used_and_the_ending_is_the_same(sdar: Sdar, whole: RunFolder) -> None:
    torn = copy(sdar, whole, "torn")
    weights = torn.checkpoint(5).path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    moments = torn.checkpoint(4).path / "training" / "moments.safetensors"
    content = bytearray(moments.read_bytes())
    content[-1] ^= 1
    moments.write_bytes(content)
    done = sdar("resume", "torn")
    assert done.code == 0, done.err
    said = [line for line in done.err.splitlines() if "the run goes on from step 3" in line]
    assert len(said) == 1 and "step 5 has model.safetensors with" in said[0] and ".torn-step-5" in said[0]
    assert "step 4 has other content in training/moments.safetensors" in said[0]
    ends = [
        [{k: v for k, v in row.items() if not k.startswith("time/")} for row in steps_of(run)] for run in (whole, torn)
    ]
    assert ends[0] == ends[1]
    for name in ("model.safetensors", "training/moments.safetensors", "ema.safetensors"):
        first, second = (load_file(run.checkpoint(5).path / name) for run in (whole, torn))
        assert first.keys() == second.keys() and all(value.equal(second[key]) for key, value in first.items()), name
    for name in ("training/random.json", "training/optimiser.json", "sdar.json", "trainer_state.json"):
        assert (whole.checkpoint(5).path / name).read_bytes() == (torn.checkpoint(5).path / name).read_bytes(), name


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("sdar.json", "[]", "is not what a checkpoint has"),
        ("trainer_state.json", "{}", "it is not of step 5"),
        ("training/optimiser.json", "{", "is not JSON"),
        ("model.safetensors", "weights", "SafetensorError"),
    ],
)
def test_damage_that_no_manifest_tells_is_a_sentence(
    sdar: Sdar, whole: RunFolder, name: str, content: str, words: str
) -> None:
    """As in a checkpoint of before there were manifests, or in one that somebody made."""
    from sdar_cli.runs.manifest import write_manifest

    harmed = copy(sdar, whole, f"harmed-{name.split('/')[-1].split('.')[0]}")
    folder = harmed.checkpoint(5).path
    (folder / name).write_text(content)
    write_manifest(folder)
    sentence = sdar("resume", harmed.name).sentence()
    assert (
        words in sentence and f"move {folder} away, and `sdar resume` goes on from the checkpoint before it" in sentence
    )


def test_the_best_is_evaluated_when_asked_for(sdar: Sdar, whole: RunFolder) -> None:
    best = whole.best_checkpoint()
    assert best in whole.checkpoints() and best.step in (2, 4, 5)
    done = sdar("eval", "untorn", "--checkpoint", "best", "--no-skills", "--tasks", "2", "--json")
    assert done.code == 0 and done.json["checkpoint"] == f"step-{best.step}", done.err
    weights = best.path / "model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(bytes(len(kept)))
        for command in ("eval", "export"):
            assert "choose another --checkpoint" in sdar(command, "untorn", "--checkpoint", "best").sentence()
    finally:
        weights.write_bytes(kept)
