"""Text outputs: fixed bytes at fixed input, and nothing that a wild label breaks."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import compare_golden
import pytest
from compare_runs import make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Axis, Options, Study
from sdar_cli.compare.render.csv import measures, pairs
from sdar_cli.compare.render.latex import escape, latex
from sdar_cli.compare.render.markdown import markdown
from sdar_cli.compare.render.numbers import one_line
from sdar_cli.compare.render.terminal import render
from sdar_cli.compare.render.write import write
from sdar_cli.compare.report import Measure, Report
from sdar_cli.errors import UserError
from sdar_cli.evaluation.table_parts import plain
from sdar_cli.spreadsheet import cell

WILD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: text.strip())


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return compare_golden.report(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = tmp_path_factory.mktemp("runs")
    make_run(root, "quickstart-20261121-035959-a1b2", won=0.85, started=1.0)
    make_run(root, "quickstart-20261121-041012-c3d4", method="grpo", won=0.4, started=2.0)
    return build(by_reference(["quickstart-20261121-03", "latest"], root), Options(price=1.0))


@pytest.mark.parametrize("name", ["report.md", "report.csv", "report-pairs.csv", "report.tex"])
def test_golden_files(report: Report, name: str) -> None:
    """``python tests/compare/compare_golden.py`` writes them anew."""
    assert compare_golden.contents(report)[name] == (compare_golden.FOLDER / name).read_text("utf-8")


def relabelled(report: Report, labels: list[str]) -> Report:
    names = dict(zip([row.label for row in report.rows], labels, strict=True))
    return dataclasses.replace(
        report,
        title=labels[0],
        notes=(labels[1],),
        rows=tuple(dataclasses.replace(row, label=names[row.label]) for row in report.rows),
        pairs=tuple(
            dataclasses.replace(pair, first=names[pair.first], second=names[pair.second]) for pair in report.pairs
        ),
    )


@settings(max_examples=30)
@given(st.lists(WILD, min_size=2, max_size=2, unique=True))
def test_wild_labels_in_a_terminal(report: Report, labels: list[str]) -> None:
    from rich.cells import cell_len

    text = plain(lambda console: render(relabelled(report, labels), console))
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    assert "\x1b" not in text and "\x07" not in text
    for number in ("65.0 [52.", "50.0 [37.", "+15.0 [+2."):
        assert number in text


@given(st.lists(WILD, min_size=2, max_size=2, unique=True))
def test_wild_labels_in_markdown(report: Report, labels: list[str]) -> None:
    text = markdown(relabelled(report, labels))
    tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    assert len(tables) == len(re.findall(r"(?:^\|.*\|$\n?)+", markdown(report), re.MULTILINE))
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}
        assert len(columns) == 1


@given(st.lists(WILD, min_size=2, max_size=2, unique=True))
def test_wild_labels_in_csv(report: Report, labels: list[str]) -> None:
    changed = relabelled(report, labels)
    lines = list(csv.DictReader(io.StringIO(measures(changed))))
    assert {line["row"] for line in lines} == {cell(one_line(label)) for label in labels}
    assert len(lines) == len(measures(report).splitlines()) - 1
    assert len(list(csv.DictReader(io.StringIO(pairs(changed))))) == len(report.pairs)


@given(WILD)
def test_latex_holds_no_letter_that_it_would_read(text: str) -> None:
    escaped = escape(text)
    left = re.sub(r"\\text\w+\{\}|\{\\char34\}|\\[&%$#_{}]|\$-\$|\$\\times\$|\{\[\}|\{\]\}", "", escaped)
    assert not re.search(r'[\\&%$#_{}~^<>|"\n\[\]]', left)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on the PATH")
def test_latex_is_set_by_latex(report: Report, tmp_path: Path) -> None:
    """With labels of every letter of ASCII and Latin, and of some that no font of it has."""
    wild = "".join(map(chr, range(32, 127))), "".join(map(chr, range(0xA0, 0x180))) + "“β” – −1 × 🧊 中 e\u0301 \u202e"
    (tmp_path / "report.tex").write_text(latex(relabelled(report, list(wild))), "utf-8")
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{report.tex}\end{document}"
    (tmp_path / "document.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, [
        line for line in done.stdout.decode("utf-8", "replace").splitlines() if line[:1] == "!"
    ]
    (tmp_path / "report.tex").write_text(latex(report), "utf-8")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0 and b"Overfull" not in done.stdout


@given(st.lists(WILD, min_size=2, max_size=2, unique=True))
def test_wild_labels_in_latex(report: Report, labels: list[str]) -> None:
    text = latex(relabelled(report, labels))
    for lines in re.findall(r"\\midrule\n(.*?)\n    \\bottomrule", text, re.DOTALL):
        counts = {len(re.findall(r"(?<!\\)&", line)) for line in lines.split("\n")}
        assert len(counts) == 1 and all(line.endswith(r" \\") for line in lines.split("\n"))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}")


def test_runs_in_a_terminal(runs: Report) -> None:
    text = plain(lambda console: render(runs, console))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "distill.coef=1" in text and "–" not in re.findall(r"method=grpo.*", text)[0]
    assert "* This is about these two checkpoints, not the methods: one seed each." in text
    assert "85.0 [70.9–92.9]" in text and "exact McNemar" in text


def test_a_narrow_terminal_loses_no_number(runs: Report) -> None:
    text = plain(lambda console: render(runs, console), width=50)
    assert all(len(line) <= 50 for line in text.splitlines()) and "…" not in text
    assert "".join(text.split()).count("85.0[70.9–92.9]") or "85.0" in text


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that differ in gate.temperature and in distill.coef."""
    root = tmp_path_factory.mktemp("study")
    for place, (tau, coef) in enumerate([(0.2, 0.1), (0.2, 1.0), (1.0, 0.1), (1.0, 1.0)]):
        settings = {"gate.temperature": tau, "distill.coef": coef}
        make_run(root, f"r{place}", settings=settings, won=0.2 + 0.2 * place, every=0)
    return root


def test_rows_of_one_key_are_named_by_their_values(study: Path) -> None:
    report = build(by_reference(["r0", "r2"], study), Options(rows=("gate.temperature",)))
    assert [row.label for row in report.rows] == ["gate.temperature=0.2", "gate.temperature=1"]
    text = plain(lambda console: render(report, console))
    assert re.search(r"^ gate\.temperature +gain over base", text, re.MULTILINE) and re.search(
        r"^ 0\.2 +0 ", text, re.MULTILINE
    )
    assert " 0.2 − 1 " in text
    assert "Differences by task type, gate.temperature 0.2 − 1: exact McNemar" in " ".join(text.split())
    assert "gate.temperature=" not in markdown(report).partition("\n")[2] + latex(report)
    assert "gate.temperature=0.2" in measures(report)


def test_axes_that_make_no_row_have_a_table(study: Path) -> None:
    axes = (Axis("gate.temperature", (0.2, 1)), Axis("distill.coef", (0.1, 1)))
    entries = by_reference(["r0", "r1", "r2", "r3"], study)
    cells = build(entries, Options(rows="cell", study=Study("s", axes)))
    assert len(cells.responses) == 2 and "along" not in markdown(cells)
    pooled = build(entries, Options(rows=("gate.temperature",), study=Study("s", axes)))
    text = " ".join(plain(lambda console: render(pooled, console)).split())
    assert "Success, % of tasks, without skills, along distill.coef" in text and "along gate" not in text
    assert "distill.coef gate.temperature=0.2 gate.temperature=1" in text
    for output in (markdown(pooled).replace("\\", ""), latex(pooled)):
        assert re.search(r"0\.1 [|&] 20\.0 \S+ [|&] 60\.0 ", output) and re.search(
            r"1 [|&] 40\.0 \S+ [|&] 80\.0 ", output
        )


def test_labels_break_where_a_reader_would(tmp_path: Path) -> None:
    for beta in (1.0, 2.5):
        for method in ("sdar", "opsd"):
            make_run(
                tmp_path, f"{method}{beta}", method=method, settings={"gate.beta": beta, "gate.normalise": "zscore"}
            )
    made = build(
        by_reference(["sdar1.0", "opsd1.0", "sdar2.5"], tmp_path),
        Options(rows=("method", "gate.normalise", "gate.beta")),
    )
    lines = [line.split("  ")[0].strip() for line in plain(lambda console: render(made, console)).splitlines()]
    assert {"sdar, gate.", "normalise=", "zscore, gate.", "beta=2.5"} <= set(lines)


def test_an_undefined_fraction_says_so(runs: Report) -> None:
    row = dataclasses.replace(
        runs.rows[0], measures={name: one for name, one in runs.rows[0].measures.items() if name != "internalised"}
    )
    text = plain(lambda console: render(dataclasses.replace(runs, rows=(row, runs.rows[1])), console))
    assert "undefined" in text


def test_many_pairs_by_type_are_shortened_in_a_terminal_alone(tmp_path: Path) -> None:
    for i in range(6):
        make_run(tmp_path, f"r{i}", won=0.3 + 0.1 * i, every=0)
    report = build(by_reference([f"r{i}" for i in range(6)], tmp_path), Options())
    text = " ".join(plain(lambda console: render(report, console)).split())
    kept = sum(pair.part is not None and pair.p_adjusted < 0.05 for pair in report.pairs)
    assert f"{45 - kept} of 45 pairs, with p (Holm) of 0.05 or more, are left out here" in text
    assert markdown(report).count("clean: ") == 15


def test_csv_as_a_data_frame(report: Report, tmp_path: Path) -> None:
    import pandas

    frame = pandas.read_csv(io.StringIO(measures(report)))
    whole = frame[frame.part.isna() & (frame.weights == "trained")]
    table = whole.pivot(index="row", columns="measure", values="value")
    assert table.loc["sdar", "success"] == pytest.approx(0.65)
    assert table.loc["grpo", "cost"] == pytest.approx(2.5 * 81 / 3600)
    tested = pandas.read_csv(io.StringIO(pairs(report)))
    assert tested.difference[0] == pytest.approx(0.15) and tested.forced.isna().all()


def test_json_is_json(report: Report) -> None:
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["rows"][0]["measures"]["success"]["value"] == pytest.approx(0.65)


def test_files_by_their_endings(report: Report, tmp_path: Path) -> None:
    for name, written in (
        ("a.md", ["a.md"]),
        ("a.CSV", ["a.CSV", "a-pairs.CSV"]),
        ("a.json", ["a.json"]),
        ("a.tex", ["a.tex"]),
        ("new/a.html", ["a.html"]),
    ):
        assert [path.name for path in write(report, tmp_path / name, {})] == written
        assert (tmp_path / name).stat().st_size > 1000
    with pytest.raises(UserError, match=r"has an ending that names no form: write \.md"):
        write(report, tmp_path / "a.docx", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write(report, tmp_path / "file" / "a.md", {})


def test_equal_input_gives_equal_bytes(report: Report, tmp_path: Path) -> None:
    assert compare_golden.contents(compare_golden.report(tmp_path)) == compare_golden.contents(report)


def test_a_value_that_is_missing_is_a_dash(report: Report) -> None:
    first = dataclasses.replace(report.rows[0], measures={"success": Measure(0.5)})
    text = markdown(dataclasses.replace(report, rows=(first, report.rows[1])))
    assert "| sdar | 0–2 | 50.0 | – | – |" in text
