"""``sdar export``: a run's weights for ``transformers`` and ``vllm``, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sdar_cli.cli.render import JsonOption, RunsOption, count, print_json
from sdar_cli.errors import UserError

if TYPE_CHECKING:
    from sdar_cli.export.export import Exported

WORDS = {"adapter": "the adapter alone", "merged": "the adapter merged", "whole": "all weights"}


def export(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; else the latest.")] = None,
    checkpoint: Annotated[str, typer.Option(metavar="N|base|last", help="Which checkpoint of the run.")] = "last",
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; else `export/CHECKPOINT` in the run's folder.")
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter/--merge", help="The LoRA adapter by itself, or merged into its base.")
    ] = False,
    dtype: Annotated[
        Literal["bfloat16", "float32"] | None, typer.Option(help="Of the weights; else what the run computed in.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there; nothing else is.")] = False,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's weights, ready for transformers and vLLM, with a model card.

    Usage: sdar export latest --to my-agent
    """
    from sdar_cli.cli.display import Display
    from sdar_cli.paths import user_path
    from sdar_cli.runs.resolve import resolve_run
    from sdar_cli.tracking.location import runs_root

    if checkpoint not in ("base", "last") and not checkpoint.isdecimal():
        raise UserError(f"--checkpoint is {checkpoint!r}, but must be a step, 'base' or 'last': correct it")
    target = resolve_run(run, runs_root(runs))
    with Display() as display:
        from sdar_cli.export.export import export_run

        exported = export_run(
            target,
            checkpoint=checkpoint,
            to=None if to is None else user_path(to),
            as_adapter=adapter,
            dtype=dtype,
            force=force,
            display=display,
        )
    if as_json:
        print_json({"folder": str(exported.folder), **exported.to_json(), "load": exported.load})
        return
    _print(exported)


def _print(exported: Exported) -> None:
    source, written = exported.source, exported.written
    size = f"{count(written.parameters)} parameters, {written.dtype}"
    print(f"{source.run.name}, {source.checkpoint}: {WORDS[exported.kind]}, {size}\n")
    print(f"folder         {exported.folder}")
    for program, line in exported.load.items():
        if line is not None:
            print(f"{program:<14} {line}")
