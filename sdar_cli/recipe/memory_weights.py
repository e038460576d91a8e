"""Memory that weights take: their own, gradients, moments, references and casts."""

from __future__ import annotations

from sdar_cli.recipe.memory_case import KEPT, PASSES, PHASES, Case, MemoryPart, millions, part

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
    if not (case.recipe.needs_teacher and case.recipe.teacher.kind == "ema"):
        return []
    amount = case.trained * KEPT
    return [
        part("average of the weights", amount, case.trained_words),
        part("weights set aside", amount, "while the average stands in their place", "scoring"),
    ]


def casts(case: Case) -> MemoryPart | None:
    """Autocast keeps the casts of weights that train for as long as a forward pass; those of frozen ones live as
    long as the graph that they are part of."""
    if case.size == KEPT or case.deepspeed:
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
    whole, words = case.whole
    size = case.size if case.deepspeed else KEPT
    if case.deepspeed:
        live, what = min(case.count, LIVE), "DeepSpeed's stage3_max_live_parameters, at most"
    else:
        live = 2 * case.shape.layer + case.shape.embeddings + case.shape.width + case.shape.head
        what = "two layers, embeddings and the head"
    during = f"{words}, one model at a time, while episodes are played and scored"
    return [
        part("whole weights", whole, during, "rollouts", "scoring"),
        part("layers put together", live * size, f"{what}: {millions(live)} × {size} bytes", "updates"),
        *([] if case.deepspeed else [_not_yet_divided(case, live)]),
    ]


def _not_yet_divided(case: Case, live: int) -> MemoryPart:
    """Gradients of the same parameters, until FSDP2 has summed them over the processes."""
    if case.lora is not None:
        live = 2 * case.trained // case.shape.layers
    words = f"of the same: {millions(live)} trained × {KEPT} bytes"
    return part("gradients not yet divided", live * KEPT, words, "updates")


def optimiser(case: Case) -> MemoryPart:
    return part("optimiser", 2 * case.of_trained, f"AdamW: 2 × {case.trained_words}{case.shared}")
