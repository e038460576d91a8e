"""Figures and tables as Markdown. Shares in, percent or points out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdar_cli.statistics import Interval

NOTHING = "–"


def share(value: Interval | None) -> str:
    """``52.8 % [41.3, 64.2]``; the interval ends where shares do."""
    if value is None:
        return NOTHING
    low, high = max(0.0, value.low), min(1.0, value.high)
    return f"{100 * value.estimate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def interval(value: Interval | None) -> str:
    """A difference: ``+4.2 [−3.0, +11.4]``, in points."""
    if value is None:
        return NOTHING
    return f"{_signed(value.estimate)} [{_signed(value.low)}, {_signed(value.high)}]"


def points(value: float | None) -> str:
    """``9.6``, in points or percent."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
