"""``sdar runs``: what was trained; seeing it, removing it, and what may go with time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdar_cli.cli.render import (
    JsonOption,
    RunsOption,
    bytes_,
    confirm,
    duration,
    moment,
    note,
    one_line,
    print_json,
    print_table,
    say,
)
from sdar_cli.cli.runs_send import send
from sdar_cli.errors import RunError, UserError

if TYPE_CHECKING:
    from sdar_cli.runs.listing import Listed
    from sdar_cli.runs.remove import Removal
    from sdar_cli.runs.store import RunFolder

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="List, show and remove runs.\n\nUsage: sdar runs ls",
)

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("ls")
def list_(
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this group.")] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this study.")] = None,
    status: Annotated[str | None, typer.Option(metavar="WORD", help="Only runs that stand so.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this method.")] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, the newest last, with the share of tasks solved without skills.

    Usage: sdar runs ls --group ablation --status finished
    """
    from sdar_cli.runs.listing import list_all
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    _check_status(status)
    given = {"group": group, "study": study, "status": status, "method": method}
    wanted = {name: value for name, value in given.items() if value is not None}
    left_out: list[Path] = []
    there = list_all(root, left_out)
    if left_out:
        names = ", ".join(sorted(one_line(folder.name) for folder in left_out)[:3])
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        note(f"left out, as run.json is damaged: {names}{more}")
    found = [run for run in there if all(getattr(run, name) == value for name, value in wanted.items())]
    if as_json:
        print_json([run.to_json() for run in found])
        return
    if not there:
        note(f"no runs in {root}: start one with `sdar train`")
        return
    if not found:
        note(f"none of {len(there)} runs in {root} has {' and '.join(f'{k} {v!r}' for k, v in wanted.items())}")
        return
    from sdar_cli.cli.run_rows import print_runs

    print_runs(found)


@app.command("show")
def show(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; else the latest.")] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: state, results, last metrics, checkpoints, evaluations, versions.

    Usage: sdar runs show latest
    """
    from sdar_cli.cli.run_rows import facts, last_metrics, results
    from sdar_cli.runs.listing import listed
    from sdar_cli.tracking.leftover import waiting
    from sdar_cli.tracking.location import redact, runs_root

    target = named(run, runs_root(runs))
    if as_json:
        print_json(facts(target))
        return
    state, about = target.state, listed(target.path)
    rows = [
        ("folder", str(target.path)),
        ("recipe", f"{state.recipe} ({state.recipe_digest[:12]})"),
        ("status", target.status + (f": {state.error}" if state.error else "")),
        ("step", f"{state.step} of {state.steps}"),
        *results(target),
        ("last step", last_metrics(target) or "none"),
        ("started", moment(state.started)),
        ("took", "-" if state.ended is None else duration(state.ended - state.started)),
        *_belongs(about),
        ("checkpoints", ", ".join(f"step {c.step}" for c in target.checkpoints()) or "none"),
        ("evaluations", ", ".join(target.evaluations()) or "none"),
        ("warnings", "\n".join(map(str, state.warnings)) or "none"),
        ("MLflow run", state.mlflow_run_id or "none"),
        ("MLflow store", redact(state.tracking_uri) if state.tracking_uri else "none"),
        *_lacking(waiting(target), target.name),
        ("versions", ", ".join(f"{name} {version}" for name, version in state.versions.items())),
        ("commit", state.git_commit or "unknown"),
    ]
    print_table((target.name, ""), rows)


@app.command("rm")
def remove(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Runs, by their whole name.")] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="A study with all its runs.")] = None,
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Keep results and curves; remove base and checkpoints.")
    ] = False,
    keep_tracking: Annotated[bool, typer.Option("--keep-tracking", help="Leave MLflow as it is.")] = False,
    yes: YesOption = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove runs, or a study with its runs; never one that is at work.

    Usage: sdar runs rm first second --weights-only
    """
    from sdar_cli.runs.remove import carry_out, forget, plan_runs, plan_study
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    if bool(names) == (study is not None):
        raise UserError("name the runs to remove, or a study with --study, and not both")
    if study is not None:
        removal = plan_study(study, root, weights_only=weights_only)
    else:
        removal = plan_runs(
            [named(name, root, whole=True).path for name in names or []], root, weights_only=weights_only
        )
    elsewhere = "" if keep_tracking else _elsewhere(removal, root)
    _confirm(f"Remove {_in_words(removal)}, {bytes_(removal.bytes)}{elsewhere}?", yes, "removing")
    freed = carry_out(removal)
    problems = [] if keep_tracking else forget(removal.tracked)
    for problem in problems:
        note(problem)
    if as_json:
        print_json(
            {
                "runs": [run.name for run in removal.runs],
                "study": removal.study,
                "weights_only": weights_only,
                "bytes": freed,
                "tracking": "kept" if keep_tracking or weights_only else problems or "deleted",
            }
        )
    else:
        say(f"removed {_in_words(removal)}: {bytes_(freed)} freed")


@app.command("prune")
def prune(
    keep_checkpoints: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Keep the newest N checkpoints of each run that is over.")
    ] = None,
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Only of runs that ended so long ago.")] = "0d",
    traces_older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Delete MLflow traces of before: 30d, 12h, 2w.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: YesOption = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old checkpoints of runs that are over, and old traces; results and curves stay.

    Usage: sdar runs prune --keep-checkpoints 1 --traces-older-than 30d --dry-run
    """
    from sdar_cli.runs.retention import old_checkpoints, old_traces, remove_checkpoints, remove_traces, seconds
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    if keep_checkpoints is None and traces_older_than is None:
        raise UserError("say what may go: --keep-checkpoints N, --traces-older-than 30d, or both")
    age = seconds(older_than, "--older-than")
    traces_age = None if traces_older_than is None else seconds(traces_older_than, "--traces-older-than")
    checkpoints = [] if keep_checkpoints is None else old_checkpoints(root, keep_checkpoints, age)
    traces = [] if traces_age is None else old_traces(root, traces_age)
    size = sum(one.bytes for one in checkpoints)
    found = {
        "checkpoints": {one.run.name: [folder.name for folder in one.folders] for one in checkpoints},
        "bytes": size,
        "traces": {one.experiment: one.count for one in traces},
    }
    count, traced = sum(len(one.folders) for one in checkpoints), sum(one.count for one in traces)
    words = f"{count} checkpoints of {len(checkpoints)} runs, {bytes_(size)}, and {traced} traces"
    if dry_run or not (count or traced):
        print_json(found | {"removed": False}) if as_json else say(f"{words} would go" if dry_run else "nothing is old")
        return
    _confirm(f"Remove {words}?", yes, "pruning")
    freed, gone = remove_checkpoints(checkpoints, root), remove_traces(traces)
    if as_json:
        print_json(found | {"bytes": freed, "traces_removed": gone, "removed": True})
    else:
        say(f"removed {count} checkpoints ({bytes_(freed)} freed) and {gone} traces")


app.command("send")(send)


def named(reference: str | None, root: Path, *, whole: bool = False) -> RunFolder:
    """The run that is meant. ``whole``: the beginning of a name, or ``latest``, is not enough."""
    from sdar_cli.runs.resolve import ModelFolder, resolve_run

    target = resolve_run(reference, root)
    if isinstance(target, ModelFolder):
        raise RunError(f"{target.name} is a model, not a run: name one from `sdar runs ls`")
    if whole and reference not in (target.name, target.state.mlflow_run_id, str(target.path)):
        same = reference is not None and Path(reference).exists() and Path(reference).samefile(target.path)
        if not same:
            raise UserError(f"{reference!r} might mean {target.name}: to remove that, give its whole name")
    return target


def _check_status(status: str | None) -> None:
    from sdar_cli.recipe.explain import nearest
    from sdar_cli.runs.state import RunStatus

    words = [*(one.value for one in RunStatus), "lost"]
    if status is not None and status not in words:
        meant = nearest(status, words)
        hint = f"did you mean {meant!r}?" if meant else f"give one of {', '.join(words)}"
        raise UserError(f"--status {status!r} is no status of a run: {hint}")


def _belongs(about: Listed | None) -> list[tuple[str, str]]:
    if about is None:
        return []
    study = about.study if about.cell is None else f"{about.study}, cell {about.cell}"
    return [(name, value) for name, value in (("group", about.group), ("study", study), ("note", about.note)) if value]


def _lacking(count: int, name: str) -> list[tuple[str, str]]:
    return [("MLflow lacks", f"{count} writes: sdar runs send {name}")] if count else []


def _in_words(removal: Removal) -> str:
    names = [run.name for run in removal.runs]
    shown = ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:3])} and {len(names) - 3} more"
    runs = f"{len(names)} run{'s' * (len(names) != 1)} ({shown})" if names else "no run"
    if removal.study is not None:
        return f"the study {removal.study} with {runs}"
    return f"the weights of {runs}" if removal.weights_only else runs


def _elsewhere(removal: Removal, root: Path) -> str:
    """The MLflow stores beside that of this folder in which something is deleted too: a run's own file names them."""
    from sdar_cli.tracking.location import redact, tracking_uri

    own = tracking_uri(None, root)
    stores = sorted({redact(uri) for uri, _ in removal.tracked if uri != own})
    return f", and what the MLflow store{'s' * (len(stores) > 1)} {', '.join(stores)} shows of it" if stores else ""


def _confirm(question: str, yes: bool, doing: str) -> None:
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question[:-1]}: {doing} asks on a terminal only, so say --yes")
    if not confirm(question):
        raise typer.Exit(1)
