"""Memory that weights take: their own, gradients, moments, references and casts."""

from __future__ import annotations

from sdar_cli.recipe.memory_case import KEPT, PASSES, PHASES, Case, MemoryPart, Phase, millions, part

LIVE = 1_000_000_000
"""Parameters that DeepSpeed's stage 3 keeps put together by default."""


def weights(case: Case) -> list[MemoryPart | None]:
    whole, words = case.whole
    out = [part("weights", whole // case.processes.parts, f"{words}{case.shared}")]
    if case.lora is not None:
        out.append(part("adapter", case.of_trained, f"{case.trained_words}{case.shared}"))
    if case.deepspeed and case.size < KEPT:
        words = f"DeepSpeed's own: {case.trained_words}{case.shared}"
        out.append(part("weights in float32", case.of_trained, words))
    return out


def gradients(case: Case) -> MemoryPart:
    return part("gradients", case.of_trained, f"{case.trained_words}{case.shared}", "updates")


def buckets(case: Case) -> MemoryPart | None:
    if case.processes.count == 1 or case.processes.dist != "ddp":
        return None
    return part("exchange of gradients", case.trained * KEPT, f"DDP's buckets: {case.trained_words}")


def reference(case: Case) -> MemoryPart | None:
    """A second model, unless switching an adapter off gives it."""
    frozen = case.recipe.needs_teacher and case.recipe.teacher.kind == "frozen"
    if case.lora is not None or not (case.recipe.policy.kl_coef > 0 or frozen):
        return None
    whole, words = case.whole
    return part("reference model", whole // case.processes.parts, f"{words}{case.shared}")


def average(case: Case) -> list[MemoryPart]:
    """Where weights are divided, the average itself lies in the memory of the machine."""
    if not (case.recipe.needs_teacher and case.recipe.teacher.kind == "ema"):
        return []
    size = KEPT if case.processes.parts == 1 else case.size
    words = "while the average stands in their place"
    aside = part("weights set aside", case.trained * size, words, "scoring")
    if case.processes.parts > 1:
        return [aside]
    return [part("average of the weights", case.trained * KEPT, case.trained_words), aside]


def casts(case: Case) -> MemoryPart | None:
    """Autocast keeps the casts of weights that train for as long as a forward pass; those of frozen ones live as
    long as the graph that they are part of. Weights that are put together are put together in ``model.dtype``."""
    if case.size == KEPT or case.processes.parts > 1:
        return None
    matrices = case.shape.layers * case.shape.linear
    when = PHASES if case.recipe.engine.kind == "hf" else PASSES
    if case.lora is None:
        words = f"autocast: {millions(matrices)} in matrices × {case.size} bytes, for a forward pass"
        return part("weights in bfloat16", matrices * case.size, words, *when)
    if case.recipe.model.gradient_checkpointing or case.lora.quantise is not None:
        words = f"autocast: a layer's {millions(case.shape.linear)} × {case.size} bytes"
        return part("weights in bfloat16", case.shape.linear * case.size, words, *when)
    words = f"autocast: {millions(matrices)} in matrices × {case.size} bytes, until the backward pass"
    return part("weights in bfloat16", matrices * case.size, words, "updates")


def put_together(case: Case) -> list[MemoryPart]:
    if case.processes.parts == 1:
        return []
    if case.deepspeed:
        live, what = min(case.count, LIVE), "DeepSpeed's stage3_max_live_parameters, at most"
    else:
        live = 2 * case.shape.layer + case.shape.embeddings + case.shape.width + case.shape.head
        what = "two layers, embeddings and the head"
    when = ("updates",) if case.deepspeed else PASSES
    return [
        *_whole(case),
        part("layers put together", live * case.size, f"{what}: {millions(live)} × {case.size} bytes", *when),
        *([] if case.deepspeed else [_not_yet_divided(case, live)]),
    ]


def _whole(case: Case) -> list[MemoryPart]:
    """Weights of one model on every process, in float32 as long as they are not divided yet: at the first
    evaluation."""
    recipe = case.recipe
    averaged = recipe.needs_teacher and recipe.teacher.kind == "ema"
    why: dict[Phase, str] = {}
    if recipe.engine.kind == "hf":
        why["rollouts"] = "while Hugging Face generates"
    if case.deepspeed or averaged:
        why["scoring"] = "while rows are scored"
    elif recipe.evaluation.transcripts:
        why["scoring"] = "while an evaluation's transcripts are scored"
    if not why:
        return []
    whole, words = case.whole
    return [part("whole weights", whole, f"{words}, one model's, {' and '.join(why.values())}", *why)]


def _not_yet_divided(case: Case, live: int) -> MemoryPart:
    """Gradients of the same parameters, until FSDP2 has summed them over the processes."""
    if case.lora is not None:
        live = 2 * case.trained // case.shape.layers
    words = f"of the same: {millions(live)} trained × {KEPT} bytes"
    return part("gradients not yet divided", live * KEPT, words, "updates")


def optimiser(case: Case) -> MemoryPart:
    return part("optimiser", 2 * case.of_trained, f"AdamW: 2 × {case.trained_words}{case.shared}")
