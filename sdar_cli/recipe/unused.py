"""Keys that were set and that nothing would read: refused, so that no wish is dropped in silence.

A key counts where it was set at least as late as the choice that makes it idle: a recipe's ``distill.coef``
does not stand in the way of ``--method grpo``, but ``--method grpo distill.coef=0.5`` is refused. A file that
states every section, as ``dump`` writes it for a run, holds no wish of its own and is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sdar_cli.objectives.gates import SEE_GAP
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.recipe.layers import SYNONYMS, Layer, leaves
from sdar_cli.recipe.schema import Recipe

OF_METHODS = ("distill", "gate", "credit", "teacher", "policy.clip", "policy.dual_clip", "policy.advantage")
"""Keys and sections that only some methods read."""

LATER = {"credit", "guards"}
"""Sections that recipes of older runs lack."""


def unused_keys(recipe: Recipe, layers: Sequence[Layer]) -> list[str]:
    """One sentence for every such key. Layers are in the order in which they were laid."""
    latest = _latest(layers)
    ranks = {dotted: rank for dotted, (rank, _) in latest.items()}
    return [
        f"{layer.place(dotted)}: {dotted} has no effect {why}"
        for dotted, (rank, layer) in latest.items()
        for choice, why in _idle(recipe, SYNONYMS.get(dotted, dotted))
        if not _complete(layer) and (rank >= ranks.get(choice, 0) or (choice == "method" and layer.method_section))
    ]


def _complete(layer: Layer) -> bool:
    return Recipe.model_fields.keys() - LATER <= layer.values.keys()


def idle_keys(recipe: Recipe) -> list[str]:
    """Keys of the recipe's sections that nothing reads under its method and choices."""
    sections = ("rollout", "distill", "gate", "credit", "teacher", "policy", "skills")
    keys = [f"{section}.{name}" for section in sections for name in type(getattr(recipe, section)).model_fields]
    return [dotted for dotted in keys if any(_idle(recipe, dotted))]


def unread_keys(recipe: Recipe) -> list[str]:
    """The idle keys, and those that hold a value all the same: how many turns a window shows, where a conversation
    is told in full. It stands in the records of evaluations, which are paired only where they agree in it; a tiny
    model's words are taken from prompts with so many turns."""
    full = recipe.rollout.context == "full" and recipe.model.tiny is None
    return idle_keys(recipe) + ["rollout.history"] * full


def without_idle(recipe: Recipe) -> Recipe:
    """The recipe with its idle keys at their defaults."""
    changes: dict[str, dict] = {}
    for dotted in idle_keys(recipe):
        section, name = dotted.split(".")
        default = type(getattr(recipe, section)).model_fields[name].default
        changes.setdefault(section, {})[name] = default
    sections = {name: getattr(recipe, name).model_copy(update=values) for name, values in changes.items()}
    return recipe.model_copy(update=sections)


def _latest(layers: Sequence[Layer]) -> dict[str, tuple[int, Layer]]:
    """Dotted key → rank and layer that set it last. What was typed on the command line has one rank."""
    out: dict[str, tuple[int, Layer]] = {}
    for index, layer in enumerate(layers):
        rank = len(layers) if layer.typed else index
        for dotted, _ in leaves(layer.values):
            out[dotted] = (rank, layer)
    return out


def _idle(recipe: Recipe, dotted: str) -> Iterator[tuple[str, str]]:
    """The choice that makes a key idle, and how to put it right; at most one."""
    objective = OBJECTIVES[recipe.method]
    if _among(dotted, OF_METHODS) and not objective.reads(dotted):
        yield "method", f"with method={recipe.method}: remove it, or choose {_readers(dotted)}"
        return
    reads_skills = objective.reads("teacher") or objective.skills_in_prompt
    gate, form = recipe.gate.kind, recipe.distill.form or next(iter(objective.forms), None)
    if dotted == "rollout.invalid_action_penalty" and not objective.policy:
        yield "method", f"with method={recipe.method}, which has no advantages: remove it, or choose another method"
    elif dotted == "skills.corrupt" and recipe.skills.corrupt and not reads_skills:
        why = f"with method={recipe.method}, which reads no skills while training"
        yield "method", f"{why}: remove it, or choose {_readers('teacher')}"
    elif dotted.startswith("gate.") and form in ("uniform", "signed"):
        yield "distill.form", f"with distill.form={form}, which has no gate: remove it, or set distill.form=gated"
    elif dotted in ("gate.beta", "gate.detach") or dotted.startswith("gate.schedule"):
        if gate == "none":
            yield "gate.kind", "with gate.kind=none: remove it, or choose another gate"
    elif dotted == "gate.normalise" and gate not in SEE_GAP and recipe.gate.normalise != "none":
        yield "gate.kind", f"with gate.kind={gate}, which does not see the gap: remove it, or set gate.kind=gap"
    elif dotted == "teacher.ema_decay" and recipe.teacher.kind != "ema":
        yield "teacher.kind", f"with teacher.kind={recipe.teacher.kind}: remove it, or set teacher.kind=ema"
    elif _among(dotted, ("skills.ucb",)) and recipe.skills.retrieval != "ucb":
        yield "skills.retrieval", f"with skills.retrieval={recipe.skills.retrieval}: remove it, or choose ucb"
    elif dotted == "skills.top_k" and recipe.skills.retrieval in ("task_type", "full", "none"):
        yield (
            "skills.retrieval",
            f"with skills.retrieval={recipe.skills.retrieval}: remove it, or choose keyword, random or ucb",
        )


def _among(dotted: str, keys: Sequence[str]) -> bool:
    return any(dotted == key or dotted.startswith(f"{key}.") for key in keys)


def _readers(dotted: str) -> str:
    names = [name for name, objective in OBJECTIVES.items() if objective.reads(dotted)]
    return "method=" + (names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}")
