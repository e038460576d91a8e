"""Rows as tensors: prompts padded on the left, completions on the right, as TRL wants them.

Shapes: B rows, P prompt tokens, T completion tokens, both the longest of the micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from sdar_cli.training.rows import Row

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, "Tensor"]


def collate(rows: Sequence[Row], pad: int, device: torch.device, *, teacher: bool = False) -> Batch:
    """Inputs of one forward pass: ids and attention masks, and what each completion token is worth.

    With ``teacher`` the prompts are the teacher's. ``tool_mask`` is TRL's name for the response mask.
    """
    prompts = [row.teacher_prompt_ids if teacher else row.prompt_ids for row in rows]
    width = max(map(len, prompts))
    length = max(len(row.completion_ids) for row in rows)
    ids = [[pad] * (width - len(p)) + p for p in prompts]
    return {
        "prompt_ids": torch.tensor(ids, device=device),
        "prompt_mask": torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device),
        "completion_ids": _right(rows, "completion_ids", length, pad, device),
        "completion_mask": torch.tensor(
            [[1] * len(r.completion_ids) + [0] * (length - len(r.completion_ids)) for r in rows], device=device
        ),
        "tool_mask": _right(rows, "mask", length, 0, device),
        "advantages": _right(rows, "advantages", length, 0.0, device),
        "turns": _right(rows, "turns", length, 0, device),
    }


def stack(values: Sequence[Tensor], length: int, device: torch.device) -> Tensor:
    """Per-row vectors (T_i,) as one (B, T) tensor, zeros behind each row's end."""
    out = torch.zeros(len(values), length)
    for row, value in zip(out, values, strict=True):
        row[: len(value)] = value
    return out.to(device)


def _right(rows: Sequence[Row], name: str, length: int, fill: float, device: torch.device) -> Tensor:
    columns = [getattr(row, name) for row in rows]
    return torch.tensor([c + [fill] * (length - len(c)) for c in columns], device=device)
