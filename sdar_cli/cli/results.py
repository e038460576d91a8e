"""What ``train``, ``resume`` and ``eval`` print at their end: the report, and where to look next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.tracking.location import runs_option

if TYPE_CHECKING:
    from sdar_cli.evaluation.evaluate import EvalResult
    from sdar_cli.training.run import TrainResult


def print_training(result: TrainResult, *, as_json: bool) -> None:
    if as_json:
        _json(result.to_json())
        return
    if result.report is not None:
        _report(result.report)
    print(f"\nrun folder   {result.run.path}")
    if result.report is None:
        print(f"go on with   sdar resume {result.run.name}{runs_option(result.run.path.parent)}")
        return
    _next(result.run.path.parent)


def print_evaluation(result: EvalResult, root: Path, *, as_json: bool) -> None:
    if as_json:
        _json(result.to_json())
        return
    print(f"{result.target}, checkpoint {result.checkpoint}\n")
    _report(result.report)
    print()
    _next(root)


def _report(report) -> None:
    from rich.console import Console

    report.render(Console(highlight=False))


def _next(root: Path) -> None:
    print(f"open the UI  sdar ui{runs_option(root)}")


def _json(value) -> None:
    from sdar_cli.cli.render import print_json

    print_json(value)
