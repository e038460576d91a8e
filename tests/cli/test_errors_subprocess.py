"""Mistakes through the real command line: one sentence, exit code 2, nothing on standard output.

Each through the entry point in this process; a few, in which a process of its own might say more, in one as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sdar_cli.cli.main import main


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--recipe", "quickstrat"], "did you mean 'quickstart'?"),
        (["train", "--recipe", "nowhere/x.yaml"], "does not exist"),
        (["train", "--recipe", "toy.yaml", "gate.bata=5"], "did you mean 'gate.beta'?"),
        (["train", "--recipe", "toy.yaml", "environment=houshold"], "did you mean 'household'?"),
        (["train", "--recipe", "toy.yaml", "environment=gone.py:X"], "names gone.py, which does not exist"),
        (["train", "--recipe", "toy.yaml", "gate.beta=5", "gate.temperature=1"], "the same wish"),
        (["train", "--recipe", "one.yaml"], "one.yaml extends itself through two.yaml"),
        (["train", "--recipe", "bad.yaml"], "bad.yaml:2 is not valid YAML"),
        (["train", "--recipe", "toy.yaml", "-c", "gone.yaml"], "gone.yaml does not exist"),
        (["train", "--recipe", "toy.yaml", "--method", "sdra"], "did you mean 'sdar'?"),
        (["train", "--recipe", "toy.yaml", "--dry-run", "evaluation.tasks=500"], "200"),
        (["train", "--recipe", "toy.yaml", "--dry-run", "evaluation.split=tset"], "no split 'tset'"),
        (["train", "--recipe", "toy.yaml", "--dry-run", "evaluation.panel=gone.json"], "gone.json"),
        (["eval", "nothing-here"], "there is no run or model 'nothing-here'"),
        (["eval", "./gone/folder"], "there is no run or model"),
        (["eval", "."], "neither a run (no run.json) nor a model (no config.json)"),
        (["eval", "some/model"], "say which recipe to play it by, with --recipe NAME"),
        (["resume"], "there is no run in"),
        (["resume", "some/model"], "is a model, not a run"),
        (["runs", "show", "gone"], "there is no run or model 'gone'"),
        (["recipes", "show", "gone"], "there is no recipe 'gone'"),
        (["ui", "--runs", "none"], "there is no MLflow store at"),
        (["ui", "--tracking-uri", "not a uri"], "is not a URI"),
    ],
)
def test_mistakes(
    toy: Path,
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (toy.parent / "one.yaml").write_text("extends: two.yaml\n")
    (toy.parent / "two.yaml").write_text("extends: one.yaml\n")
    (toy.parent / "bad.yaml").write_text("a: [1\n")
    monkeypatch.chdir(toy.parent)
    words = [*words, "--runs", "runs"] if words[0] in ("eval", "resume", "runs") else words
    code = main(words)
    said = capsys.readouterr()
    assert code == 2, said.err
    is_one_sentence(said.out, said.err, says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "--recipe", "quickstrat"], "did you mean 'quickstart'?"),
        (["train", "--recipe", "toy.yaml", "--dry-run", "evaluation.tasks=500"], "200"),
        (["eval", "nothing-here", "--runs", "runs"], "there is no run or model 'nothing-here'"),
        (["ui", "--tracking-uri", "not a uri"], "is not a URI"),
    ],
)
def test_mistakes_in_a_process(sdar, toy: Path, words: list[str], says: str) -> None:
    done = sdar(*words)
    assert done.returncode == 2, done.stderr
    is_one_sentence(done.stdout, done.stderr, says)


def is_one_sentence(out: str, err: str, says: str) -> None:
    assert out == ""
    assert err.startswith("error: ") and says in err
    assert err.count("\n") == 1
