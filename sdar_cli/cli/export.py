"""``sdar export``: a run's weights for ``transformers`` and ``vllm``, with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sdar_cli.cli.checkpoint_option import CheckpointOption, check_checkpoint
from sdar_cli.cli.render import JsonOption, RunsOption, count, print_json, say
from sdar_cli.cli.trust_option import TrustOption, announce

if TYPE_CHECKING:
    from sdar_cli.export.export import Exported

WORDS = {"adapter": "the adapter alone", "merged": "the adapter merged", "whole": "all weights"}


def export(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; else the latest.")] = None,
    checkpoint: CheckpointOption = "last",
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
    trust_remote_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a run's weights, ready for transformers and vLLM, with a model card.

    Usage: sdar export latest --to my-agent
    """
    from sdar_cli.cli.display import Display
    from sdar_cli.paths import user_path
    from sdar_cli.runs.resolve import ModelFolder, resolve_run
    from sdar_cli.tracking.location import runs_root

    check_checkpoint(checkpoint)
    target = resolve_run(run, runs_root(runs))
    if not isinstance(target, ModelFolder):
        announce(target.recipe(), target.path)
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
    say(f"{source.run.name}, {source.checkpoint}: {WORDS[exported.kind]}, {size}\n")
    say(f"folder         {exported.folder}")
    for program, line in exported.load.items():
        if line is not None:
            say(f"{program:<14} {line}")
