"""Numbers as the page writes them: a true minus, a space before the unit, as many digits as mean something."""

from __future__ import annotations

import math

from sdar_cli.compare.report import Measure, Unit
from sdar_cli.statistics import Interval

MINUS = "−"
NARROW = "\u202f"
"""A narrow space that no line breaks at."""


def number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """``−1 234.5``; ``sign`` writes a plus as well. What rounds to zero has no sign."""
    if not math.isfinite(value):
        return "–"
    text = f"{abs(value):,.{digits}f}".replace(",", NARROW)
    if not any(digit in text for digit in "123456789"):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def percent(share: float, digits: int = 1) -> str:
    return f"{number(100 * share, digits)}{NARROW}%"


def points(difference: float) -> str:
    """A difference of shares."""
    return number(100 * difference, 1, sign=True)


def p_value(p: float) -> str:
    if p < 0.001:
        return f"<{NARROW}0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{number(seconds, 1)}{NARROW}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NARROW}min {rest:02d}{NARROW}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NARROW}h {minutes:02d}{NARROW}min"


def significant(value: float, digits: int = 3) -> str:
    """For axes and signals of any size."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}".replace("-", MINUS)
    return text.replace("-", MINUS)


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def in_unit(value: float, unit: Unit) -> str:
    """A value of a measure; shares and differences of shares are × 100."""
    if unit == "share":
        return percent(value)
    if unit == "points":
        return points(value)
    if unit == "seconds":
        return duration(value)
    if unit in ("hours", "money"):
        return number(value, 2) if abs(value) >= 0.1 or value == 0 else significant(value, 2)
    return number(value, 1)


def limits(low: float | None, high: float | None, unit: Unit) -> str:
    """``[36.1, 50.2]``, without the unit; empty where there is no interval."""
    if low is None or high is None:
        return ""
    if unit in ("share", "points"):
        signed = unit == "points"
        return f"[{number(100 * low, sign=signed)}, {number(100 * high, sign=signed)}]"
    return f"[{in_unit(low, unit)}, {in_unit(high, unit)}]"


def measure_text(measure: Measure, unit: Unit) -> str:
    """Value and interval in one line."""
    return f"{in_unit(measure.value, unit)} {limits(measure.low, measure.high, unit)}".strip()


def interval_text(rate: Interval, unit: Unit = "share") -> str:
    return f"{in_unit(rate.estimate, unit)} {limits(rate.low, rate.high, unit)}"
