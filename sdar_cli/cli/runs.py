"""``sdar runs``: what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, duration, moment, note, print_json, print_table
from sdar_cli.errors import RunError

if TYPE_CHECKING:
    from sdar_cli.runs.store import RunFolder

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="List and show runs.\n\nUsage: sdar runs ls",
)


@app.command("ls")
def list_(runs: RunsOption = None, as_json: JsonOption = False) -> None:
    """List the runs, the newest last.

    Usage: sdar runs ls
    """
    from sdar_cli.runs.store import list_runs
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    found = list_runs(root)
    if as_json:
        print_json([_facts(run) for run in found])
        return
    if not found:
        note(f"no runs in {root}: start one with `sdar train`")
        return
    rows = []
    for run in found:
        state = run.state
        rows.append((run.name, run.status, f"{state.step}/{state.steps}", moment(state.started)))
    print_table(("run", "status", "step", "started"), rows, ("step",))


@app.command("show")
def show(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; else the latest.")] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: state, checkpoints, evaluations, versions.

    Usage: sdar runs show latest
    """
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import redact, runs_root

    target = resolve_run(run, runs_root(runs))
    if isinstance(target, ModelFolder):
        raise RunError(f"{target.name} is a model, not a run: name one from `sdar runs ls`")
    if as_json:
        print_json(_facts(target))
        return
    state = target.state
    rows = [
        ("folder", str(target.path)),
        ("recipe", f"{state.recipe} ({state.recipe_digest[:12]})"),
        ("status", target.status + (f": {state.error}" if state.error else "")),
        ("step", f"{state.step} of {state.steps}"),
        ("started", moment(state.started)),
        ("took", "-" if state.ended is None else duration(state.ended - state.started)),
        ("checkpoints", ", ".join(f"step {c.step}" for c in target.checkpoints()) or "none"),
        ("evaluations", ", ".join(target.evaluations()) or "none"),
        ("warnings", "\n".join(map(str, state.warnings)) or "none"),
        ("MLflow run", state.mlflow_run_id or "none"),
        ("MLflow store", redact(state.tracking_uri) if state.tracking_uri else "none"),
        ("versions", ", ".join(f"{name} {version}" for name, version in state.versions.items())),
        ("commit", state.git_commit or "unknown"),
    ]
    print_table((target.name, ""), rows)


def _facts(run: RunFolder) -> dict[str, Any]:
    from sdar_cli.tracking.location import redact

    state = run.state.model_dump(mode="json", exclude={"format", "origins"})
    uri = state["tracking_uri"]
    return {
        **state,
        "status": run.status,
        "tracking_uri": redact(uri) if uri else None,
        "folder": str(run.path),
        "checkpoints": [checkpoint.step for checkpoint in run.checkpoints()],
        "evaluations": {name: str(path) for name, path in run.evaluations().items()},
    }
