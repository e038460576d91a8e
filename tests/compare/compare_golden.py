"""The report behind ``golden/``: two methods, three seeds, fixed input. ``python tests/compare/compare_golden.py``
writes the files anew."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from compare_runs import make_run

from sdar_cli.compare.build import build
from sdar_cli.compare.find import by_reference
from sdar_cli.compare.options import Options
from sdar_cli.compare.render.csv import measures, pairs
from sdar_cli.compare.render.latex import latex
from sdar_cli.compare.render.markdown import markdown
from sdar_cli.compare.report import Report

FOLDER = Path(__file__).parent / "golden"


def report(root: Path) -> Report:
    shares = {"sdar": (0.6, 0.7, 0.65), "grpo": (0.5, 0.55, 0.45)}
    names = []
    for method, of_seeds in shares.items():
        for seed, won in enumerate(of_seeds):
            names.append(f"{method}-{seed}")
            shown = {"with_skills": won + 0.2, "base_skills": 0.85 + seed / 40}
            make_run(root, names[-1], seed=seed, method=method, won=won, **shown)
    return build(by_reference(names, root), Options(rows=("method",), price=2.5))


def contents(made: Report) -> Mapping[str, str]:
    """Name of the file → its text."""
    return {
        "report.md": markdown(made),
        "report.csv": measures(made),
        "report-pairs.csv": pairs(made),
        "report.tex": latex(made),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, text in contents(report(Path(folder))).items():
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_text(text, "utf-8")
