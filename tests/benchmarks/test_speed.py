"""One command over all benchmarks of speed: what it runs, what it keeps, what it says; and the page of its tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import marked  # noqa: E402
import spread  # noqa: E402
from speed import command, table  # noqa: E402
from speed.parts import PARTS, Line, Part, Target, least, most  # noqa: E402

PROGRAM = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--repeats", type=int)
parser.add_argument("--json")
parser.add_argument("--code", type=int, default=0)
options = parser.parse_args()
if options.code:
    raise SystemExit(options.code)
cell = {"median": 1.25, "q1": 1.2, "q3": options.repeats}
json.dump({"ratios": {"one / two": cell}}, open(options.json, "w"))
"""


@pytest.fixture
def kept() -> dict:
    return json.loads(command.JSON.read_text(encoding="utf-8"))


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """A part of its own, run from a folder of its own."""
    (tmp_path / "program.py").write_text(PROGRAM)
    made = Part("One and two", "program.py", [Line("one / two", "one over two", most(1.2))])
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr(command, "PARTS", {"made": made})
    monkeypatch.setattr(table, "PARTS", {"made": made})
    return made


def test_every_part_is_a_program_that_is_measured_and_shown(kept: dict) -> None:
    assert kept and list(kept) == [name for name in PARTS if name in kept]
    for name, part in PARTS.items():
        assert (ROOT / "benchmarks" / part.program).is_file()
        assert part.lines
        if "absent" not in kept.get(name, {"absent": "not measured"}):
            assert len(list(table.lines(part, kept[name]))) == len(part.lines)
            assert kept[name]["command"].startswith(f"python benchmarks/{part.program}")
            assert "cores" in kept[name]["machine"] and "torch" in kept[name]["machine"]


def test_the_page_is_made_of_the_committed_figures(kept: dict) -> None:
    for name, text in table.markdown(kept).items():
        assert marked.embedded(command.PAGE, command.mark(name)) == text.strip()


def test_the_table_fits_into_80_columns(kept: dict, capsys: pytest.CaptureFixture[str]) -> None:
    table.show(kept)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_part_is_run_kept_and_judged(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speed.json"
    monkeypatch.setattr(sys, "argv", ["speed.py", "--repeats", "2", "--json", str(file), "--only", "made"])
    assert command.main("about") == 0
    out = capsys.readouterr().out
    assert "One and two (program.py)" in out
    assert "one over two" in out and "1.25" in out and "1.20 to 2.00" in out and "≤ 1.2 NOT met" in out
    assert json.loads(file.read_text())["made"]["command"] == "python benchmarks/program.py --repeats 2"
    monkeypatch.setattr(sys, "argv", ["speed.py", "--table", "--json", str(file)])
    assert command.main("about") == 0
    assert capsys.readouterr().out == out


def test_what_is_not_met_is_said_on_the_page(part: Part) -> None:
    cell = {"median": 1.25, "q1": 1.2, "q3": 1.3}
    own = {"made": {"command": "python x", "machine": "m", "figures": {"ratios": {"one / two": cell}}}}
    text = table.markdown(own)
    assert text[table.SUMMARY].endswith("| One and two | one over two | 1.25 | 1.20 to 1.30 | ≤ 1.2 | **not met** |")
    assert "| one over two | 1.25 | 1.20 to 1.30 | ≤ 1.2 NOT met |" in text["made"]


def test_a_part_that_fails_stops_the_command(part: Part) -> None:
    broken = Part(part.title, part.program, part.lines, arguments=("--code", "3"))
    with pytest.raises(SystemExit, match="made failed with code 3"):
        command.run("made", broken, 1)


def test_a_part_without_its_gpu_says_so(part: Part) -> None:
    asking = Part(part.title, part.program, part.lines, arguments=("--code", "2"), gpu=True)
    own = command.run("made", asking, 1)
    assert own == {"command": "python benchmarks/program.py --code 2 --repeats 1", "absent": "no GPU"}


def test_a_part_that_was_not_measured_is_said_to_be(part: Part) -> None:
    assert table.markdown({})["made"] == "Not measured: `python benchmarks/speed.py --only made`."


def test_a_ratio_that_is_gone_is_named(part: Part) -> None:
    with pytest.raises(SystemExit, match="gives no ratio 'one / two'"):
        list(table.lines(part, {"figures": {"ratios": {}}}))


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [(most(1.1), 1.1, True), (most(1.1), 1.11, False), (least(2), 2.0, True), (least(2), 1.99, False)],
)
def test_targets(target: Target, value: float, met: bool) -> None:
    assert target.met(value) is met


def test_quartiles_lie_within_the_values() -> None:
    assert spread.quartiles([2.0]) == {"median": 2.0, "q1": 2.0, "q3": 2.0}
    assert spread.quartiles([1.0, 2.0]) == {"median": 1.5, "q1": 1.0, "q3": 2.0}
    assert spread.quartiles([1.0, 2.0, 4.0]) == {"median": 2.0, "q1": 1.0, "q3": 4.0}
    assert spread.ratios([2.0, 3.0, 4.0], [1.0, 1.0, 1.0])["median"] == 3.0


def test_startup_runs_each_command_and_its_ratios(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    program = ROOT / "benchmarks" / "startup.py"
    done = subprocess.run(
        [sys.executable, str(program), "--repeats", "1", "--json", str(out)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())
    assert figures["cpu_seconds"]["sdar --help"]["median"] < figures["cpu_seconds"]["sdar train --dry-run"]["median"]
    assert set(figures["ratios"]) >= {line.key for line in PARTS["startup"].lines} - {"sdar --help"}
    assert max(map(len, done.stdout.splitlines()[2:])) <= 80


def test_embedding_replaces_what_stands_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- begin: one -->\nold\n<!-- end: one -->\n\nAfter <!-- begin: two -->\n")
    marked.embed(page, "one", "| a |\n")
    assert page.read_text() == (
        "# Title\n\n<!-- begin: one -->\n\n| a |\n\n<!-- end: one -->\n\nAfter <!-- begin: two -->\n"
    )
    assert marked.embedded(page, "one") == "| a |"
    with pytest.raises(ValueError, match="lacks the marks"):
        marked.embed(page, "two", "x")
