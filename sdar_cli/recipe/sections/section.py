"""What all sections of a recipe are made of: the strict base, and the kinds of number."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

LARGEST = 10**9
"""Of all counts: more than any run needs, and less than any loop or library chokes on."""
Positive = Annotated[int, Field(gt=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0, le=1e6)]
"""Twelve days at most: threads, pipes and the system's own clocks take no time of any length."""
GiB = Annotated[float, Field(gt=0, le=1e6)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _plain(values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Values of someone else's keys, with numbers that every reader of the recipe can hold."""
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif (isinstance(value, float) and not isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
            raise ValueError(f"{info.field_name} holds {value}, which no computer counts with: give a smaller number")
    return values


Plain = Annotated[dict[str, Any], AfterValidator(_plain)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Schedule(Section):
    """From the value beside it, at step 0, to ``to`` at step ``steps``, and constant from there."""

    to: Annotated[float, Field(ge=0)]
    steps: Positive
    shape: Literal["linear", "cosine"] = "linear"
