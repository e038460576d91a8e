"""Guard rails in whole runs: warnings that survive a kill, a collapse that ends a run, NaN that is kept."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Mapping
from typing import Any

import pytest
from safetensors.torch import load_file
from short_sdar import SHORT, Sdar, Trained, interrupt_after, steps_of

from sdar_cli.runs.store import RunFolder

FROM_FIRST = ("--init-from", "first", "evaluation.every=0", "evaluation.tasks=2", "tracking.trace_every=1000")
TIGHT = ("guards.entropy=[0.0, 1e-6]", "guards.patience=3", "guards.zero_variance=0.0")
"""Every step's entropy is above this range, and every share of equal groups at the limit."""
KINDS = [("entropy_high", 3), ("zero_variance", 3)]


def train(sdar: Sdar, name: str, *words: str) -> Any:
    return sdar("train", "--recipe", "quickstart", *SHORT, *FROM_FIRST, "--name", name, *words)


def warnings(run: RunFolder) -> list[tuple[str, int]]:
    return [(finding.kind, finding.step) for finding in run.state.warnings]


def said(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("warning: ")]


def tags(run: RunFolder) -> tuple[str, dict[str, str]]:
    """The MLflow run's status, and our tags of it."""
    from sdar_cli.tracking.quiet import import_mlflow

    client = import_mlflow().MlflowClient(tracking_uri=run.state.tracking_uri)
    found = client.get_run(run.state.mlflow_run_id)
    own = {key: value for key, value in found.data.tags.items() if key.startswith(("sdar.warning.", "sdar.collapsed"))}
    return found.info.status, own


@pytest.fixture(scope="module")
def warned(sdar: Sdar, trained: Trained) -> tuple[Any, RunFolder]:
    done = train(sdar, "warned", "train.steps=6", "train.checkpoint_every=2", *TIGHT)
    return done, RunFolder.open(sdar.root / "warned")


def test_warnings_are_said_kept_and_tagged_and_change_nothing_else(sdar: Sdar, warned: tuple[Any, RunFolder]) -> None:
    done, run = warned
    assert done.code == 0, done.err
    assert run.state.status == "finished" and run.state.error is None and run.state.step == 6
    assert warnings(run) == KINDS
    assert said(done.err) == [f"warning: {finding}" for finding in run.state.warnings], "each once"
    status, own = tags(run)
    assert status == "FINISHED"
    assert own == {f"sdar.warning.{finding.kind}": str(finding) for finding in run.state.warnings}
    assert "2 warnings: entropy_high at step 3, zero_variance at step 3 (sdar runs show warned)" in done.out
    shown = " ".join(sdar("runs", "show", "warned").out.split())
    assert "step 3: the policy's entropy was" in shown and "set guards" not in shown
    assert [w["kind"] for w in sdar("runs", "show", "warned", "--json").json["warnings"]] == [k for k, _ in KINDS]


def test_a_run_without_findings_says_nothing(sdar: Sdar, trained: Trained) -> None:
    done = train(sdar, "silent", "train.steps=2", "--json")
    assert done.code == 0 and done.json["warnings"] == [], done.err
    assert "warning" not in done.err and "warnings" in sdar("runs", "show", "silent").out
    assert tags(RunFolder.open(sdar.root / "silent"))[1] == {}


@pytest.mark.parametrize("step", [3, 5], ids=["warned after the checkpoint", "warned before it"])
def test_a_killed_run_warns_as_the_undisturbed_one(
    sdar: Sdar, warned: tuple[Any, RunFolder], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Checkpoints at 2 and 4; the process leaves at once when a step is written down, before the guards see it."""
    name = f"warned-{step}"
    interrupt_after(monkeypatch, step=step, times=2)
    done = train(sdar, name, "train.steps=6", "train.checkpoint_every=2", *TIGHT)
    assert done.code == 130, done.err
    run = RunFolder.open(sdar.root / name)
    assert run.latest_checkpoint().step == step - 1
    again = sdar("resume", name)
    assert again.code == 0, again.err
    assert run.state.warnings == warned[1].state.warnings
    assert len(said(again.err)) == (2 if step == 3 else 0), "what was said before the checkpoint is not repeated"
    assert tags(run)[1] == tags(warned[1])[1]
    assert "MLflow" not in again.err


# -- stop_on_collapse ---------------------------------------------------------------------------------

STOP = (
    "guards.stop_on_collapse=true",
    "guards.entropy=[0.0, 1e-6]",
    "guards.patience=2",
    "guards.zero_variance=null",
    "train.steps=6",
)


@pytest.fixture(scope="module")
def collapsed(sdar: Sdar, trained: Trained) -> tuple[Any, RunFolder]:
    words = ["train", "--recipe", "quickstart", *SHORT, *FROM_FIRST, "--name", "collapsed", *STOP]
    return sdar.process(*words, "train.checkpoint_every=5"), RunFolder.open(sdar.root / "collapsed")


def sentence(done: Any) -> str:
    """The one error line of exit code 1."""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 1 and len(errors) == 1 and "Traceback" not in done.err, done
    assert done.err.splitlines()[-1] == errors[0]
    return errors[0].removeprefix("error: ")


def test_the_first_collapse_ends_the_run_with_an_honest_figure(collapsed: tuple[Any, RunFolder]) -> None:
    done, run = collapsed
    (finding,) = (finding for finding in run.state.warnings if finding.collapse)
    assert (finding.kind, finding.step) == ("entropy_high", 2)
    assert sentence(done) == f"the training collapsed at step 2, as {finding.sentence}" == run.state.error
    assert run.state.status == "collapsed" and run.state.step == 2 and run.state.ended is not None
    assert [row["step"] for row in steps_of(run)] == [1, 2] and run.latest_checkpoint().step == 2
    assert {"trained-step-2-no_skills", "trained-step-2-skills", "report"} <= set(run.evaluations())
    assert "trained" in done.out and "1 warning: entropy_high at step 2" in done.out
    assert (run.path / "plots").is_dir()
    status, own = tags(run)
    assert status == "FAILED"
    assert own == {"sdar.warning.entropy_high": str(finding), "sdar.collapsed": str(finding)}


def test_a_collapsed_run_is_listed_and_not_resumed(sdar: Sdar, collapsed: tuple[Any, RunFolder]) -> None:
    listed = next(line for line in sdar("runs", "ls").out.splitlines() if line.startswith("collapsed "))
    assert "collapsed" in listed.split()[1:] and "2/6" in listed
    said = sdar("resume", "collapsed").sentence()
    assert said.startswith("the run collapsed was ended at step 2, as it collapsed (the policy's entropy was ")
    assert said.endswith(
        "evaluate it with `sdar eval collapsed`, or start another with guards.stop_on_collapse=false, which goes on"
    )
    assert sdar("eval", "collapsed", "--no-skills").code == 0


def test_json_of_a_collapsed_run_is_whole(sdar: Sdar, trained: Trained) -> None:
    done = train(sdar, "collapsed-json", *STOP, "--json")
    assert sentence(done).startswith("the training collapsed at step 2, as ")
    assert done.json["status"] == "collapsed" and done.json["report"] is not None
    assert [warning["step"] for warning in done.json["warnings"]] == [2]


def test_a_collapse_is_found_again_where_the_last_evaluation_was_interrupted(
    sdar: Sdar, collapsed: tuple[Any, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further step is played: the checkpoint is loaded, evaluated and reported."""
    from sdar_cli.training.recorder import RunRecorder

    write = RunRecorder.evaluation

    def evaluation(self: RunRecorder, measured: Any, episodes: Any) -> None:
        write(self, measured, episodes)
        if measured.label == "trained":
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunRecorder, "evaluation", evaluation)
    done = train(sdar, "cut", *STOP, "train.checkpoint_every=5")
    assert done.code == 130 and "sdar resume cut" in done.err, done.err
    run = RunFolder.open(sdar.root / "cut")
    assert run.state.status == "interrupted"
    again = sdar("resume", "cut")
    assert sentence(again).startswith("the training collapsed at step 2, as ")
    assert said(again.err) == [] and [row["step"] for row in steps_of(run)] == [1, 2]
    assert run.state.status == "collapsed" and run.state.warnings == collapsed[1].state.warnings
    names = ("trained-step-2-no_skills", "trained-step-2-skills")
    for name in names:
        ours, theirs = (json.loads(made.evaluations()[name].read_text()) for made in (run, collapsed[1]))
        assert ours["records"] == theirs["records"], "the checkpoint's weights were evaluated"


# -- NaN and Inf --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "term"), [("1e38", "policy"), ("1e30", "gradient")])
def test_a_loss_that_is_not_finite_is_kept_and_repeated(sdar: Sdar, trained: Trained, rate: str, term: str) -> None:
    """The first update of the step makes the weights explode; the second one's loss, or its gradient, is NaN."""
    name = f"nan-{term}"
    changes = (f"optimiser.learning_rate={rate}", "train.steps=3", "optimiser.rows_per_update=4")
    done = train(sdar, name, *changes)
    run = RunFolder.open(sdar.root / name)
    folder = run.failure(1)
    said = sentence(done)
    assert said.startswith(f"step 1 met a NaN or an infinity in the {term}") and "lower optimiser.learning_rate" in said
    assert said.endswith(f"to repeat the step, `sdar train --recipe {folder / 'recipe.yaml'}`")
    assert run.state.error == said
    assert run.state.status == "failed" and tags(run)[0] == "FAILED"
    about = json.loads((folder / "about.json").read_text())
    assert (about["step"], about["term"], about["seed"]) == (1, term, 0)
    assert (folder / "model" / "tokenizer.json").is_file()
    if term == "policy":
        batch = load_file(folder / "batch.safetensors")
        assert {"prompt_ids", "completion_ids", "advantages", "teacher_logps"} <= set(batch)
        assert set(about["batch"]) == set(batch) and about["not_saved"] == []
    again = sdar("train", "--recipe", str(folder / "recipe.yaml"), "--name", f"{name}-again")
    assert "NaN or an infinity" in sentence(again) or "not finite" in sentence(again)


def test_the_kept_rollout_is_what_was_played(sdar: Sdar, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a loss that a bug made NaN once: weights and rollout are well, and the kept recipe trains on them."""
    from sdar_cli.training import terms as loss

    real = loss.check_finite

    losses = 0

    def broken(step: int, terms: Mapping[str, Any]) -> None:
        nonlocal losses
        losses += "policy" in terms
        real(step, dict.fromkeys(terms, math.nan) if losses == 2 else terms)

    monkeypatch.setattr(loss, "check_finite", broken)
    done = train(sdar, "once", "train.steps=3", "distill.schedule={to: 0.5, steps: 2}")
    monkeypatch.undo()
    run = RunFolder.open(sdar.root / "once")
    assert "step 2 met a NaN or an infinity in the policy loss" in sentence(done)
    again = sdar("train", "--recipe", str(run.failure(2) / "recipe.yaml"), "--name", "once-again", "--json")
    assert again.code == 0 and again.json["step"] == 1, again.err
    (row,) = steps_of(RunFolder.open(sdar.root / "once-again"))
    assert row["rollout/episodes"] == 6 and row["time/generation"] == 0 and row["distill/coef"] == 0.75


def test_weights_that_cannot_speak_end_the_run_with_a_sentence(sdar: Sdar, trained: Trained) -> None:
    """One update a step: the weights of step 1 give no finite logits to draw step 2's tokens from."""
    done = train(sdar, "mute", "optimiser.learning_rate=1e38", "train.steps=3")
    assert sentence(done).startswith("step 2 met a NaN or an infinity in the logits")
    run = RunFolder.open(sdar.root / "mute")
    assert run.state.status == "failed" and not (run.failure(2) / "rollout.jsonl.gz").exists()
    again = sdar("train", "--recipe", str(run.failure(2) / "recipe.yaml"), "--name", "mute-again")
    assert "the model's logits are not finite (NaN or Inf)" in sentence(again)


def test_a_final_evaluation_of_weights_that_cannot_speak(sdar: Sdar, trained: Trained) -> None:
    done = train(sdar, "mute-at-last", "optimiser.learning_rate=1e38", "train.steps=1")
    assert sentence(done).startswith("the model's logits are not finite (NaN or Inf), so no token can be drawn: ")
