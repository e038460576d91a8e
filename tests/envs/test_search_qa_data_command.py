"""``sdar data search-qa``: what it shows, and its errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from search_qa_files import SOURCES, question, seven, spoil, write

from sdar_cli.cli.main import main
from sdar_envs.search_qa.generated import World
from sdar_envs.search_qa.world import pages


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["data", "search-qa", *arguments])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    captured = capsys.readouterr()
    return status or 0, captured.out, captured.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two data sets to train on; seven to test, one question of which stands in both, in training twice."""
    rows = [question(number, source) for source in ("nq", "hotpotqa") for number in range(10, 13)]
    rows[5]["env_kwargs"]["question"] = "Who rang the bell 11 of NQ?!"
    again = question(1, "nq")
    again["env_kwargs"]["question"] = "WHO rang bell 11 of nq"
    write(tmp_path / "train.parquet", rows)
    write(tmp_path / "test.parquet", [*seven(), again, question(0, "myown")])
    return tmp_path


# --- the official questions ---


def test_check_counts_by_data_set(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--check", "--data", str(data), "--json")
    assert status == 0
    train, test = json.loads(out)
    assert train == {
        "split": "train",
        "file": str(data / "train.parquet"),
        "questions": {"nq": 3, "hotpotqa": 3},
        "in_other": 2,
        "problem": None,
    }
    assert list(test["questions"].items()) == [("nq", 3), *((source, 2) for source in SOURCES[1:]), ("myown", 1)]
    assert (test["in_other"], test["problem"]) == (1, None)


def test_check_is_the_default_and_a_table(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDAR_SEARCH_QA", str(data))
    status, out, err = run(capsys)
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["split", "data", "source", "questions"]
    assert [line for line in lines[1:] if len(line) == 3][:3] == [
        ["train", "nq", "3"],
        ["train", "hotpotqa", "3"],
        ["test", "nq", "3"],
    ]
    assert "2 questions of train stand in test too, word for word (1 of test): training leaves them out" in err


def test_what_can_be_read_is_counted_and_the_rest_is_an_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data / "test.parquet"
    spoil(file, "env_kwargs.question", 0)
    for words in ((), ("--json",)):
        status, out, err = run(capsys, "--data", str(data), *words)
        assert status == 2 and "hotpotqa" in out
        assert err.startswith(f"error: {file} is damaged after row 0 of 16 (") and err.count("\n") == 1
    train, test = json.loads(out)
    assert train["problem"] is None and sum(train["questions"].values()) == 6
    assert test["questions"] == {} and test["problem"] == err.removeprefix("error: ").rstrip("\n")


# --- the generated world ---


def test_generate_shows_the_questions(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--generate", "--entities", "5", "--train", "16", "--test", "8", "--seed", "21")
    status, out, _ = run(capsys, *words, "--json")
    assert status == 0
    shown = json.loads(out)
    assert Path(shown["folder"]) == World(5, 21).folder and (World(5, 21).folder / "corpus.jsonl").is_file()
    assert [(row["split"], row["task_type"], row["questions"], row["expert_turns_max"]) for row in shown["splits"]] == [
        (split, kind, count, turns)
        for split, count in (("train", 4), ("test", 2))
        for kind, turns in (("one_hop", 2), ("two_hop", 3), ("three_hop", 4), ("comparison", 3))
    ]
    status, out, err = run(capsys, *words)
    assert status == 0
    assert out.splitlines()[3].split() == ["train", "three_hop", "4", "4.0", "4"]
    assert f"corpus in {shown['folder']}" in err


def test_export_writes_the_corpus_of_a_recipe_with_changes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe, file = tmp_path / "own.yaml", tmp_path / "new" / "corpus.jsonl"
    recipe.write_text(
        "extends: search-qa-tiny\nname: own\n"
        "environment: {options: {entities: 6, train: 4, test: 4, seed: 1}}\nevaluation: {tasks: 4}\n"
    )
    words = ("--export", str(file), "--recipe", str(recipe), "--seed", "2")
    status, out, err = run(capsys, *words, "--json")
    assert status == 0, err
    shown = json.loads(out)
    assert (shown["export"], shown["documents"]) == (str(file), 150)
    assert sum(row["questions"] for row in shown["splits"]) == 8
    contents = [json.loads(line)["contents"] for line in file.read_text().splitlines()]
    assert contents == [f'"{title}"\n{text}' for title, text in pages(6, 2)]
    status, _, err = run(capsys, *words)
    assert status == 0 and f"150 documents in {file}" in err


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no folder of official Search-QA questions is named: set environment.options.data, --data or"),
        (("--data", "{tmp}"), "{tmp}/train.parquet is not there: name the folder that holds train.parquet and"),
        (("--generate", "--check"), "--generate is about a world of its own: leave out --check and --data"),
        (("--export", "x", "--data", "y"), "--export is about a world of its own: leave out --check and --data"),
        (("--train", "3"), "--recipe, --entities, --train, --test and --seed are for generated worlds: add"),
        (("--recipe", "search-qa-tiny"), "--recipe, --entities, --train, --test and --seed are for generated worlds"),
        (("--generate", "--entities", "4"), "--entities cannot be 4 (input should be greater than or equal to 5): "),
        (("--generate", "--test", "0"), "--test cannot be 0 (input should be greater than or equal to 1): give"),
        (
            ("--generate", "--entities", "5", "--train", "8", "--test", "500"),
            "a generated world of 5 countries has 68 test questions, not 500: raise environment.options.entities or",
        ),
        (("--generate", "--recipe", "quickstart"), "the recipe quickstart does not play generated questions: leave"),
        (("--generate", "--recipe", "search-qa-qwen3-1.7b"), "the recipe search-qa-qwen3-1.7b does not play generated"),
        (
            ("--export", "{tmp}", "--entities", "5", "--train", "4", "--test", "4"),
            "the corpus cannot be written to {tmp} (",
        ),
    ],
)
def test_errors_are_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("SDAR_SEARCH_QA", raising=False)
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *(word.format(tmp=tmp_path) for word in arguments))
    assert status == 2
    assert err.startswith(f"error: {sentence.format(tmp=tmp_path)}"), err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_show_is_no_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = run(capsys, "--data", str(tmp_path))
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
