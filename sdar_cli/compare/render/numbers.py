"""Numbers of a report as text, the same in every output."""

from __future__ import annotations

import math
import re
from typing import Literal

from sdar_cli.compare.report import MEASURES, Measure, Pair, Report
from sdar_cli.statistics import Interval

UNDEFINED = "undefined"
MISSING = "–"
BREAKS = re.compile(r"(?<=[ ,=_/-])|(?<=\.)(?=\D)")
"""Where a label may go on in the next line: not inside a word or a number."""
Of = Literal["share", "points", "score"]


def shown(name: str, measure: Measure | None, *, interval: bool = True) -> str:
    """A measure by its unit, with its interval where there is one: ``61.7 [53.1–69.7]``, ``+4.2 [−1.0, +9.5]``; shares
    are in per cent."""
    if measure is None:
        return UNDEFINED if name == "internalised" else MISSING
    unit = MEASURES[name].unit
    ends = (measure.low, measure.high) if interval else (None, None)
    low, high = ends
    if unit == "points":
        own = points(measure.value)
        return own if low is None or high is None else f"{own} [{points(low)}, {points(high)}]"
    digits, factor, after = {
        "share": (1, 100.0, ""),
        "score": (1, 1.0, ""),
        "count": (1, 1.0, ""),
        "seconds": (0, 1.0, " s"),
        "hours": (2, 1.0, " h"),
        "money": (2, 1.0, ""),
    }[unit]
    own = f"{_plain(measure.value * factor, digits)}{after}"
    if low is None or high is None:
        return own
    return f"{own} {_range(low * factor, high * factor, digits)}"


def rate(interval: Interval) -> str:
    """A share in per cent, or a score, × 100: ``61.7 [53.1–69.7]``."""
    return f"{_plain(100 * interval.estimate, 1)} {_range(100 * interval.low, 100 * interval.high, 1)}"


def difference(pair: Pair) -> str:
    """In points: ``+4.2 [−1.0, +9.5]``."""
    one, factor = pair.difference, 1.0 if pair.measure == "score" else 100.0
    low, high = (points(end * factor / 100) for end in (one.low, one.high))
    return f"{points(one.estimate * factor / 100)} [{low}, {high}]"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed."""
    rounded = round(100 * value, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def effect(pair: Pair) -> str:
    if pair.effect is None:
        return MISSING
    rounded = round(pair.effect, 2)
    return "0.00" if rounded == 0 else f"{rounded:+.2f}".replace("-", "−")


def needed(pair: Pair) -> str:
    return MISSING if pair.needed is None else f"{pair.needed:,}".replace(",", " ")


def improvement(pair: Pair) -> str:
    return MISSING if pair.improvement is None else f"{pair.improvement:.2f}"


def pair_name(pair: Pair) -> str:
    return f"{pair.first} − {pair.second}"


def counted(pair: Pair) -> str:
    """What ``count`` and ``needed`` of a pair are of."""
    return "seeds" if pair.about == "methods" else "tasks"


def conditions(report: Report) -> str:
    """What was played, on one line: ``household, test, 96 tasks, panel abab…; temperature 0.4, …``."""
    split = f"{report.split}, " if report.split else ""
    sampling = ", ".join(
        f"{key} {value}" for key, value in report.sampling.items() if key in ("temperature", "max_turns")
    )
    bank = f"; skills {report.bank}" if report.bank else ""
    return f"{report.environment}, {split}{report.tasks} tasks, panel {report.panel[:12]}; {sampling}{bank}"


def intervals(report: Report) -> str:
    """How the intervals were made."""
    several = any(len(row.seeds) > 1 for row in report.rows)
    single = any(len(row.seeds) == 1 for row in report.rows)
    kinds = [
        *(["Wilson's for a share of one run, Newcombe's paired for its gap and gain"] if single else []),
        *(["Student's t over seeds"] if several else []),
    ]
    return f"Intervals of {100 * report.level:g} %: {'; '.join(kinds)}. Gaps, gains and differences in points."


def forced_line(report: Report) -> str:
    """The mark of a forced comparison; empty otherwise."""
    if not report.forced:
        return ""
    return f"FORCED: not evaluated alike: {'; '.join(report.forced)}"


def marked(title: str, report: Report) -> str:
    return f"{title} (FORCED)" if report.forced else title


def one_line(text: str) -> str:
    """The text without line ends and control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _range(low: float, high: float, digits: int) -> str:
    between = "–" if low >= 0 else ", "
    return f"[{_plain(low, digits)}{between}{_plain(high, digits)}]"


def _plain(value: float, digits: int) -> str:
    rounded = round(value, digits)
    if not math.isfinite(rounded):
        return MISSING
    return f"{0.0 if rounded == 0 else rounded:.{digits}f}".replace("-", "−")
