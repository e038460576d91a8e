"""``sdar doctor``: what this machine has, and a remedy for what it lacks."""

from __future__ import annotations

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, note, print_json, print_table


def doctor(runs: RunsOption = None, as_json: JsonOption = False) -> None:
    """Check this machine: packages, devices, engines, data, tools and room. Exit code 1 with a problem.

    Usage: sdar doctor
    """
    from dataclasses import asdict

    from sdar_cli.checkup import examine
    from sdar_cli.tracking.location import runs_root

    findings = examine(runs_root(runs))
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if as_json:
        print_json({"ok": not problems, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(finding.subject, finding.verdict, finding.found, finding.remedy) for finding in findings]
        print_table(("", "verdict", "found", "remedy"), rows)
        note("no problem found" if not problems else f"{len(problems)} to mend")
    if problems:
        raise typer.Exit(1)
