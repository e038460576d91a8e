"""The model card: what the weights are, what was measured of them, how to load them, and the recipe."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from sdar_cli.evaluation.conditions import in_words
from sdar_cli.evaluation.table_parts import MODES as IN_WORDS
from sdar_cli.evaluation.table_parts import difference, percent
from sdar_cli.export.evidence import LABELS, MODES, Evidence, Measured, gain, gap
from sdar_cli.export.loading import loading
from sdar_cli.export.markdown import code, escape, fenced
from sdar_cli.export.prompt import example
from sdar_cli.export.source import Source, license_of
from sdar_cli.export.weights import Written
from sdar_cli.runs.state import RunStatus, package_versions

if TYPE_CHECKING:
    from huggingface_hub import ModelCard, ModelCardData

MISSING = "not measured"


def make_card(source: Source, written: Written, evidence: Evidence, recipe: str, *, as_adapter: bool) -> ModelCard:
    """
    Args:
        recipe: as it may be shown.
        as_adapter: the folder holds an adapter only.
    """
    from huggingface_hub import ModelCard

    data = _metadata(source, evidence, as_adapter=as_adapter)
    parts = [
        f"# {source.run.name}, {source.checkpoint}",
        _about(source, written, as_adapter=as_adapter),
        "## What was measured",
        _measurements(source, evidence),
        "## Load it",
        loading(source, as_adapter=as_adapter),
        "## How prompts are made",
        _prompts(source),
        "## Where it is from",
        _origin(source),
        "## Recipe",
        f"Beside this card as `recipe.yaml`, without where the run was tracked.\n\n{fenced(recipe, 'yaml')}",
    ]
    body = "\n\n".join(parts)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")


def _metadata(source: Source, evidence: Evidence, *, as_adapter: bool) -> ModelCardData:
    from huggingface_hub import EvalResult, ModelCardData

    recipe = source.recipe
    tags = ["sdar", "reinforcement-learning", "agent", recipe.method, recipe.environment.name.partition(":")[0]]
    if recipe.model.lora is not None and source.step:
        tags.append("lora" if recipe.model.lora.quantise is None else "qlora")
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=evaluation.environment,
            dataset_name=f"{evaluation.environment} {evaluation.split or ''}".strip(),
            dataset_split=evaluation.split,
            dataset_config=f"panel {evaluation.panel[:12]}",
            metric_type="success_rate",
            metric_name=f"success {IN_WORDS[mode]}",
            metric_value=round(evaluation.summary.success.estimate, 4),
        )
        for one in evidence.measured
        if one.own
        for (label, mode), evaluation in one.cells.items()
        if label == source.label
    ]
    relation = "adapter" if as_adapter else "finetune"
    return ModelCardData(
        model_name=source.run.name if results else None,
        eval_results=results or None,
        base_model=source.origin,
        base_model_relation=relation if source.origin and source.step else None,
        library_name="peft" if as_adapter else "transformers",
        pipeline_tag="text-generation",
        license=license_of(source),
        tags=list(dict.fromkeys(tags)),
    )


def _about(source: Source, written: Written, *, as_adapter: bool) -> str:
    recipe, state = source.recipe, source.run.state
    if source.step:
        text = (
            f"An agent for {code(recipe.environment.name)}, trained with the method `{recipe.method}` for "
            f"{source.step} of {state.steps} steps, seed {recipe.seed}. {_weights(source, as_adapter=as_adapter)}"
        )
    else:
        text = (
            f"What a training for {code(recipe.environment.name)} with the method `{recipe.method}`, seed "
            f"{recipe.seed}, started from. {_weights(source, as_adapter=as_adapter)}"
        )
    what = "The adapter has" if as_adapter else "It has"
    return f"{text} {what} {_count(written.parameters)} parameters in {written.dtype}."


def _weights(source: Source, *, as_adapter: bool) -> str:
    held = source.quantised
    if as_adapter:
        over = "The folder holds the LoRA adapter by itself."
        if held is not None:
            over += f" It was trained over a base in four bits ({held.kind}), and is meant for that."
        return over
    if source.adapter and held is not None:
        return (
            f"It was trained as a LoRA adapter over a base in four bits ({held.kind}); these weights are that base as "
            "it comes out of the four bits, not the published one, with the adapter merged in float32."
        )
    if source.adapter:
        return "It was trained as a LoRA adapter, which is merged here in float32."
    if held is not None:
        return f"These weights are those that come out of the four bits ({held.kind}) in which the training held them."
    return "All weights were trained." if source.step else "No step was trained."


def _measurements(source: Source, evidence: Evidence) -> str:
    parts = [] if evidence.panel is None else [_panel(source, evidence)]
    if not any(one.own for one in evidence.measured):
        parts.append(
            f"These weights ({source.checkpoint}) were not measured on that panel before they were exported; `sdar "
            f"eval {source.run.name} --checkpoint {source.step or 'base'}` does it."
        )
    for one in evidence.measured:
        if not one.own:
            parts.append(f"### On another panel or under other conditions ({one.first.panel[:12]})")
        parts.append(_table(source, one))
        parts.append(_facts(source, one))
        if one.own and one.report is not None:
            parts.append(f"In full, as `sdar eval` prints it:\n\n{fenced(one.report.text(100).strip())}")
    return "\n\n".join(parts)


def _panel(source: Source, evidence: Evidence) -> str:
    panel, name = evidence.panel, source.recipe.evaluation.panel
    given = code(name) if name is not None else f"drawn with seed {panel.seed}"
    return (
        f"The panel, {given}: {len(panel)} tasks of {code(panel.environment)}, split {code(panel.split)}, none of "
        f"which is trained on, each visited once; SHA-256 `{panel.digest}`."
    )


def _table(source: Source, one: Measured) -> str:
    """Success with intervals: base and checkpoint, without and with skills, and their differences."""
    labels = LABELS if source.step else LABELS[:1]
    rows = ["| solved tasks | without skills | with skills | gap (with − without) |", "|---|---|---|---|"]
    for label in labels:
        cells = [one.cells.get((label, mode)) for mode in MODES]
        shown = [MISSING if cell is None else percent(cell.summary.success) for cell in cells]
        rows.append(f"| {label} | {' | '.join(shown)} | {difference(gap(one, label)) or MISSING} |")
    if source.step:
        gains = [difference(gain(one, mode)) or MISSING for mode in MODES]
        rows.append(f"| **gain** | {' | '.join(gains)} | |")
    return "\n".join(rows)


def _facts(source: Source, one: Measured) -> str:
    first = one.first
    lines = []
    if source.step:
        fraction = None if one.report is None else one.report.internalised
        if fraction is not None:
            shown = f"{100 * fraction.estimate:.0f} % [{100 * fraction.low:.0f}, {100 * fraction.high:.0f}]"
        elif one.report is None:
            shown = "not measured, as a cell is missing or was measured otherwise"
        else:
            shown = one.report.why_undefined
        lines.append(f"- Internalised fraction (what of the skills' effect the weights now do without them): {shown}.")
    sampling = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in first.sampling.items())
    engines = sorted({evaluation.engine for evaluation in one.cells.values()})
    lines.append(
        f"- {len(first.records)} tasks; {escape(sampling)}; seed {first.seed}; played by {', '.join(engines)}."
    )
    if first.facts:
        lines.append(f"- {escape(first.environment)}: {escape(in_words(first.facts))}.")
    lines.append("- Intervals of 95 %: Wilson's for a share, paired for gap and gain, which are in points.")
    return "\n".join(lines)


def _prompts(source: Source) -> str:
    rollout, model = source.recipe.rollout, source.recipe.model
    if rollout.context == "window":
        last = "the last turn" if rollout.history == 1 else f"the last {rollout.history} turns"
        what = f"Each turn is a prompt of its own, which shows {last}"
    else:
        what = "An episode is one conversation"
    text = (
        f"{what}; at most {rollout.max_prompt_tokens} tokens of prompt and {rollout.max_response_tokens} of response, "
        f"{rollout.max_turns} turns. The environment writes the messages, the chat template in this folder makes them "
        "a prompt"
    )
    if model.template_kwargs:
        text += f", with {code(', '.join(f'{key}={value!r}' for key, value in model.template_kwargs.items()))}"
    shown = example(source.recipe)
    return f"{text}.\n\n{shown}" if shown else f"{text}."


def _origin(source: Source) -> str:
    state, recipe = source.run.state, source.recipe
    rows = [("run", f"`{source.run.name}`, step {source.step} of {state.steps}, {_status(source)}")]
    rows.append(("base", _base(source)))
    rows.append(("seed", str(recipe.seed)))
    if state.git_commit is not None:
        rows.append(("sdar's commit", f"`{state.git_commit}`"))
    rows.append(("trained with", _versions(state.versions)))
    rows.append(("exported with", _versions(package_versions())))
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    if not state.warnings:
        return table
    found = "\n".join(f"- {escape(finding)}" for finding in state.warnings)
    return f"{table}\n\nWarnings while it trained:\n\n{found}"


def _status(source: Source) -> str:
    status = source.run.status
    return status if status == RunStatus.FINISHED else f"the run being {status} when it was exported"


def _base(source: Source) -> str:
    recipe = source.recipe
    if source.origin is not None:
        return code(source.origin)
    if recipe.init_from is not None:
        text = code(recipe.init_from)
    elif recipe.model.tiny is not None:
        text = "a Qwen3 with random weights"
    else:
        text = code(str(recipe.model.path))
    return f"{text}, warmed up on an expert's demonstrations" if recipe.warmup is not None else text


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _count(value: int) -> str:
    for unit, size in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def sdar_version() -> str:
    return metadata.version("sdar")
