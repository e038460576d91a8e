"""What ``train``, ``resume`` and ``eval`` print at their end: the report, and where to look next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.cli.render import print_json, say
from sdar_cli.cli.streams import console
from sdar_cli.errors import RunFailed
from sdar_cli.tracking.location import runs_option

if TYPE_CHECKING:
    from sdar_cli.evaluation.evaluate import EvalResult
    from sdar_cli.evaluation.report import InternalisationReport
    from sdar_cli.evaluation.single import SingleReport
    from sdar_cli.training.guards import Finding
    from sdar_cli.training.run import TrainResult


def print_training(result: TrainResult, *, as_json: bool) -> None:
    """Print the report, or how to go on.

    Raises:
        RunFailed: after all was printed, for a run that ended because it collapsed.
    """
    if as_json:
        print_json(result.to_json())
    else:
        _training(result)
    if result.collapse is not None:
        sys.stdout.flush()
        raise RunFailed(result.collapse.ending)


def _training(result: TrainResult) -> None:
    if result.report is not None:
        _report(result.report)
    if result.warnings:
        say(f"\n{_warnings(result.warnings)} (sdar runs show {result.run.name})")
    say(f"\nrun folder   {result.run.path}")
    if result.report is None:
        say(f"go on with   sdar resume {result.run.name}{runs_option(result.run.path.parent)}")
        return
    _next(result.run.path.parent)


def _warnings(found: Sequence[Finding]) -> str:
    """``2 warnings: kl at step 12, zero_variance at step 40``."""
    where = ", ".join(f"{finding.kind} at step {finding.step}" for finding in found)
    return f"{len(found)} warning{'s' * (len(found) > 1)}: {where}"


def print_evaluation(result: EvalResult, root: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
        return
    say(f"{result.target}, checkpoint {result.checkpoint}\n")
    _report(result.report)
    say()
    _next(root)


def _report(report: InternalisationReport | SingleReport) -> None:
    report.render(console())


def _next(root: Path) -> None:
    say(f"open the UI  sdar ui{runs_option(root)}")
