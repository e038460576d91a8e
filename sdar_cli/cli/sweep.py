"""``sdar sweep``: a space of settings, each over several seeds; made here, and run here or by workers elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, note
from sdar_cli.cli.sweep_group import SweepGroup
from sdar_cli.cli.sweep_manage import JobsOption, StorageOption, add_commands
from sdar_cli.cli.train import OverlayOption
from sdar_cli.cli.trust_option import TrustOption, announce, as_option
from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from sdar_cli.sweep.make import Made, Wish

app = typer.Typer(
    cls=SweepGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Search a space of settings, each over several seeds.\n\n"
    "Usage: sdar sweep --recipe quickstart gate.temperature=0.1,0.2,1,5 --seeds 3 --jobs 2",
)


@app.command("start", hidden=True)
def start(
    recipe: Annotated[str | None, typer.Option("--recipe", "-r", help="A shipped recipe's name, or a file.")] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Axes: KEY=A,B,C, KEY=LOW..HIGH, KEY=log:LOW..HIGH; or overrides."),
    ] = None,
    space: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML with the axes; words win over it.")] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,C", help="Runs of a cell: so many seeds, or these; else 3.")
    ] = None,
    jobs: JobsOption = 1,
    search: Annotated[
        Literal["grid", "random", "tpe"] | None,
        typer.Option(help="How settings are chosen; else grid, or random where an axis is a range."),
    ] = None,
    cells: Annotated[int | None, typer.Option(metavar="N", help="Settings to try, for random and tpe.")] = None,
    prune: Annotated[
        Literal["none", "median", "halving", "hyperband"] | None,
        typer.Option(help="End cells early that fall behind, by their evaluations without skills."),
    ] = None,
    metric: Annotated[
        Literal["success", "score"] | None, typer.Option(help="What cells are ranked by; else success.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The study's name; else recipe, time and four digits.")] = None,
    storage: StorageOption = None,
    slurm: Annotated[
        Path | None, typer.Option(metavar="PROFILE", help="Run nothing here: print a Slurm job array of workers.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where --slurm writes; else it prints.")] = None,
    overlays: OverlayOption = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="An objective: see `sdar methods`.")] = None,
    init_from: Annotated[str | None, typer.Option(metavar="RUN", help="Weights that RL starts from.")] = None,
    model: Annotated[str | None, typer.Option(metavar="PATH", help="A Hugging Face folder or id.")] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The environment's data folder.")] = None,
    tracking_uri: Annotated[str | None, typer.Option(metavar="URI", help="MLflow store, as for training.")] = None,
    sampler_seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Of random and tpe; else 0.")] = None,
    text: Annotated[str | None, typer.Option("--note", help="Shown with the study in MLflow.")] = None,
    runs: RunsOption = None,
    trust_remote_code: TrustOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print cells, runs and cost, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a study and run it; one of the same name and settings goes on.

    Usage: sdar sweep --recipe quickstart gate.temperature=0.1,0.2,1,5 --seeds 3 --jobs 2
    """
    from sdar_cli.sweep.make import Wish
    from sdar_cli.tracking.location import runs_root

    root = runs_root(runs)
    _check_words(words or [], root, app)
    if recipe is None:
        raise UserError("the recipe is missing: name it with --recipe, one from `sdar recipes ls` or a .yaml file")
    if output is not None and slurm is None:
        raise UserError("--output is for the script of --slurm: give both, or neither")
    given: dict[str, tuple[str, Any]] = {
        "method": ("--method", method),
        "init_from": ("--init-from", init_from),
        "model.path": ("--model", model),
        "environment.options.data": ("--data", data),
        "tracking.uri": ("--tracking-uri", tracking_uri),
    }
    wish = Wish(
        recipe=recipe,
        words=words or [],
        space=space,
        overlays=overlays or [],
        options={key: value for key, value in given.items() if value[1] is not None} | as_option(trust_remote_code),
        search=search,
        cells=cells,
        seeds=seeds,
        prune=prune,
        metric=metric,
        name=name,
        sampler_seed=sampler_seed,
        note=text,
    )
    made = _make(wish)
    announce(made.first.recipe)
    if dry_run:
        from sdar_cli.cli.sweep_plan import print_plan

        print_plan(made, root, jobs, named=name is not None, as_json=as_json)
        return
    profile = None
    if slurm is not None:
        from sdar_cli.sweep.slurm import read_profile

        profile = read_profile(slurm)
    from sdar_cli.sweep.start import open_or_create

    store = open_or_create(made, root, storage, say=note)
    if profile is not None:
        from sdar_cli.sweep.slurm import script

        batch = script(profile, store.spec.name, root=root, folder=Path(store.spec.folder), storage=storage)
        _write_script(batch, output)
        return
    from sdar_cli.cli.sweep_run import run_here

    store.unpause()
    run_here(store, jobs, storage=storage, as_json=as_json)


add_commands(app)


def _make(wish: Wish) -> Made:
    from sdar_cli.cli.progress import progress_bar
    from sdar_cli.sweep.make import make_spec

    with progress_bar("checking settings") as tick:
        return make_spec(wish, tick)


def _check_words(words: list[str], root: Path, group: typer.Typer) -> None:
    """
    Raises:
        UserError: a word that is no KEY=VALUE: a command's name misspelt, or a study's.
    """
    from sdar_cli.recipe.explain import nearest
    from sdar_cli.sweep.study_folder import FILE, STUDIES
    from sdar_cli.tracking.location import runs_option

    for word in words:
        if "=" in word:
            continue
        if "\0" not in word and (root / STUDIES / Path(word).name / FILE).is_file():
            where = f"{Path(word).name}{runs_option(root)}"
            raise UserError(
                f"{word!r} is a study: look at it with `sdar sweep status {where}`, or go on with "
                f"`sdar sweep resume {where}`"
            )
        commands = [command.name for command in group.registered_commands if command.name and not command.hidden]
        meant = nearest(word, commands, cutoff=0.5) if word == words[0] else None
        hint = f"did you mean `sdar sweep {meant}`?" if meant else "write KEY=VALUE, for example gate.beta=1,5,10"
        raise UserError(f"{word!r} is neither a command of `sdar sweep` nor an axis: {hint}")


def _write_script(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    from sdar_cli.evaluation.files import write_bytes

    try:
        write_bytes(output, text.encode())
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror}): give another with --output") from None
    note(f"submit it with `sbatch {output}`")
