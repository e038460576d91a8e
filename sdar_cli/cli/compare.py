"""``sdar compare``: runs, cells or methods side by side, with intervals and tests."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, note, print_json, say
from sdar_cli.cli.streams import console
from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from sdar_cli.compare.entry import Entry
    from sdar_cli.compare.report import Report


def compare(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Runs: names, folders, MLflow ids, beginnings, or 'latest'."),
    ] = None,
    study: Annotated[str | None, typer.Option("--study", metavar="S", help="The cells of a study.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="G", help="The runs of tracking.group=G.")] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="KEY", help="What makes a row: keys (method,gate.beta), 'cell' or 'run'."),
    ] = None,
    level: Annotated[float, typer.Option(metavar="SHARE", help="Level of the intervals.")] = 0.95,
    metric: Annotated[Literal["success", "score"], typer.Option(help="What task types and axes show.")] = "success",
    baseline: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Test against this row; else all pairs of up to 6 rows.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Evaluations that the mean beside the best is of.")] = 3,
    price: Annotated[float | None, typer.Option(min=0, help="Money for a device hour; adds the cost.")] = None,
    paper: Annotated[bool, typer.Option("--paper", help="Add the paper's published numbers.")] = False,
    paper_model: Annotated[
        str | None, typer.Option("--paper-model", metavar="MODEL", help="The paper's numbers of this model.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare what was not evaluated alike; marks it.")] = False,
    md: Annotated[bool, typer.Option("--md", help="Print Markdown.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line a row and measure.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX tables (booktabs).")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page that works offline.")] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a .md, .csv, .json, .tex or .html file."),
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs, cells or methods, with intervals.

    Usage: sdar compare RUN RUN --html report.html
    """
    from sdar_cli.compare.build import build
    from sdar_cli.compare.options import Options
    from sdar_cli.tracking.location import runs_root

    form = _form(json=as_json, md=md, csv=csv, latex=latex)
    files = _files(output or [], html)
    if not 0 < level < 1:
        raise UserError(f"--level is {level:g}, but must lie between 0 and 1: write 0.95 for 95 %")
    entries, found = _gather(run or [], study, group, runs_root(runs))
    options = Options(
        rows=_rows(by or [], "run" if run else "cell"),
        level=level,
        metric=metric,
        baseline=baseline,
        force=force,
        paper=paper,
        paper_model=paper_model,
        last=last,
        price=price,
        study=found,
        title=f"Group {group}" if group else "",
    )
    with _working(len(entries)):
        report = build(entries, options)
        written = _write(report, files, entries)
    _print(report, form)
    for path in written:
        note(f"wrote {path}")


def _gather(references: list[str], study: str | None, group: str | None, root: Path) -> tuple[list[Entry], Any]:
    from sdar_cli.compare.find import by_reference, of_group, of_study

    if bool(references) + (study is not None) + (group is not None) != 1:
        raise UserError("say what to compare, in one way: RUN RUN ..., --study NAME or --group NAME")
    if study is not None:
        found, entries = of_study(study, root)
        return entries, found
    return (of_group(group, root) if group is not None else by_reference(references, root)), None


def _rows(by: list[str], otherwise: Literal["run", "cell"]) -> Any:
    """``method,gate.beta`` and ``--by method --by gate.beta`` are the same wish."""
    keys = tuple(dict.fromkeys(key.strip() for word in by for key in word.split(",") if key.strip()))
    if by and not keys:
        raise UserError("--by names no key: write for example --by method,gate.temperature")
    if keys in (("run",), ("cell",)):
        return keys[0]
    return keys or otherwise


def _form(**asked: bool) -> str | None:
    chosen = [name for name, on in asked.items() if on]
    if len(chosen) > 1:
        words = " and ".join(f"--{name}" for name in chosen)
        raise UserError(f"{words} all print to standard output: give one, and write others with --output FILE")
    return chosen[0] if chosen else None


def _files(output: list[Path], html: Path | None) -> list[Path]:
    from sdar_cli.compare.render.write import check_ending

    if html is not None and html.suffix.lower() != ".html":
        raise UserError(f"--html {html} does not end in .html: rename it, or use --output for another form")
    files = [*output, *([html] if html else [])]
    for path in files:
        check_ending(path)
    return files


def _write(report: Report, files: list[Path], entries: list[Entry]) -> list[Path]:
    from sdar_cli.compare.render.write import write

    transcripts = {entry.name: entry.folder.path / "transcripts" for entry in entries}
    return [path for file in files for path in write(report, file, transcripts)]


def _print(report: Report, form: str | None) -> None:
    if form == "json":
        print_json(report.to_json())
    elif form == "md":
        from sdar_cli.compare.render.markdown import markdown

        say(markdown(report), end="")
    elif form == "csv":
        from sdar_cli.compare.render.csv import measures

        say(measures(report), end="")
    elif form == "latex":
        from sdar_cli.compare.render.latex import latex

        say(latex(report), end="")
    else:
        from sdar_cli.compare.render.terminal import render

        render(report, console())


def _working(runs: int) -> Any:
    """A sign of life on a terminal, for the seconds that many runs take to read."""
    if not sys.stderr.isatty():
        return nullcontext()
    return console(stderr=True).status(f"reading {runs} runs")
