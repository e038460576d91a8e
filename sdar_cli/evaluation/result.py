"""What one evaluation found: a record an episode, and the summary of all of them.

An episode that ended with an environment error is listed, counted apart (``environment_errors``), and
counts as not solved: leaving it out would let two evaluations of one panel differ in their tasks.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from sdar_cli.errors import RunError
from sdar_cli.evaluation.conditions import facts_of, options_of
from sdar_cli.evaluation.files import write_json
from sdar_cli.evaluation.horizon import SLICES, slice_of
from sdar_cli.evaluation.means import Means, stated
from sdar_cli.evaluation.stored import check_evaluation, check_record
from sdar_cli.reading import Unreadable, read_json
from sdar_cli.rollout.episode import Episode, StopReason
from sdar_cli.statistics import LEVEL, Interval, wilson

FORMAT = 1
LARGEST = 64 << 20
"""Bytes of an evaluation; a hundred thousand episodes take two thirds of it."""

Mode = Literal["no_skills", "skills"]
"""Whether the policy's own prompt held skills."""


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    task_id: str
    task_type: str
    won: bool
    score: float
    """Native graded score in [0, 1]."""
    reward: float
    turns: int
    response_tokens: int
    prompt_tokens: int
    """Summed over turns, as the policy saw them."""
    invalid_turns: int
    stop: str
    """A ``StopReason`` value."""
    skills: tuple[str, ...] = ()
    error: str | None = None
    expert_turns: int | None = None
    """Turns that the environment's expert needs for the task; None where there is no expert."""

    @classmethod
    def of(cls, episode: Episode, expert_turns: int | None = None) -> Self:
        failed = episode.stop is StopReason.ENVIRONMENT_ERROR
        return cls(
            task_id=episode.task.id,
            task_type=episode.task.task_type,
            won=episode.won and not failed,
            score=0.0 if failed else float(episode.score),
            reward=float(episode.reward),
            turns=len(episode.turns),
            response_tokens=episode.response_tokens,
            prompt_tokens=episode.prompt_tokens,
            invalid_turns=episode.invalid_turns,
            stop=episode.stop.value,
            skills=tuple(episode.skills),
            error=episode.error,
            expert_turns=expert_turns,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Means are over episodes unless the name says otherwise."""

    episodes: int
    solved: int
    success: Interval
    """Wilson's interval, as everywhere here."""
    by_type: dict[str, Interval]
    episodes_by_type: dict[str, int]
    score: float
    """Mean native score × 100."""
    turns: float
    response_tokens: float
    prompt_tokens: float
    prompt_tokens_per_turn: float
    invalid_action_rate: float
    """Share of turns without a valid action."""
    stops: dict[str, int]
    environment_errors: int
    by_horizon: dict[str, Interval]
    """By slice of the expert's turns (horizon.py); only slices that hold tasks."""
    episodes_by_horizon: dict[str, int]
    means: dict[str, Interval]
    """Success averaged over task types (means.py), by the mean's name; only those whose types were all played."""

    @classmethod
    def of(cls, records: Iterable[EpisodeRecord], level: float = LEVEL, means: Means | None = None) -> Self:
        records = list(records)
        if not records:
            raise ValueError("an evaluation without episodes has no summary")
        types: dict[str, list[bool]] = defaultdict(list)
        for record in records:
            types[record.task_type].append(record.won)
        by_type = {name: wilson(sum(won), len(won), level) for name, won in sorted(types.items())}
        horizon = _by_horizon(records)
        n = len(records)
        solved = sum(record.won for record in records)
        turns = sum(record.turns for record in records)
        prompt_tokens = sum(record.prompt_tokens for record in records)
        stops = Counter(record.stop for record in records)
        return cls(
            episodes=n,
            solved=solved,
            success=wilson(solved, n, level),
            by_type=by_type,
            episodes_by_type={name: len(won) for name, won in sorted(types.items())},
            score=100 * sum(record.score for record in records) / n,
            turns=turns / n,
            response_tokens=sum(record.response_tokens for record in records) / n,
            prompt_tokens=prompt_tokens / n,
            prompt_tokens_per_turn=prompt_tokens / turns if turns else 0.0,
            invalid_action_rate=sum(record.invalid_turns for record in records) / turns if turns else 0.0,
            stops=dict(sorted(stops.items())),
            environment_errors=stops[StopReason.ENVIRONMENT_ERROR.value],
            by_horizon={name: wilson(sum(won), len(won), level) for name, won in horizon.items()},
            episodes_by_horizon={name: len(won) for name, won in horizon.items()},
            means=stated(means or {}, by_type),
        )

    def metrics(self) -> dict[str, float]:
        """The numbers worth a curve: success, score, turns, tokens, invalid actions, errors; success by type and
        by horizon; the episodes behind each, from which its interval follows; and means over types with theirs."""
        flat = {
            "episodes": float(self.episodes),
            "success": self.success.estimate,
            "score": self.score,
            "turns": self.turns,
            "response_tokens": self.response_tokens,
            "prompt_tokens": self.prompt_tokens,
            "invalid_action_rate": self.invalid_action_rate,
            "environment_errors": float(self.environment_errors),
        }
        flat |= {f"success/{name}": rate.estimate for name, rate in self.by_type.items()}
        flat |= {f"success/{name}": rate.estimate for name, rate in self.by_horizon.items()}
        for name, mean in self.means.items():
            flat |= {f"mean/{name}": mean.estimate, f"mean_low/{name}": mean.low, f"mean_high/{name}": mean.high}
        return flat | {f"episodes/{name}": float(count) for name, count in self.episodes_by_horizon.items()}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One visit to every task of a panel, with everything that a comparison must know."""

    mode: Mode
    label: str
    """``base``, ``trained``, or a name for a checkpoint that has no run."""
    environment: str
    panel: str
    """The panel's hash."""
    sampling: Mapping[str, Any]
    """All that shapes an episode beside the model and the skills: temperature, top_p, top_k, most turns,
    context, history, token limits. Evaluations are paired only where this is equal, and ``options`` and ``facts``
    do not contradict each other."""
    seed: int
    engine: str
    records: tuple[EpisodeRecord, ...]
    """In the order of the panel."""
    seconds: float
    checkpoint: str | None = None
    """Name or path of the weights."""
    step: int | None = None
    bank: str | None = None
    """Name of the skill bank that was used or, without skills, left out."""
    bank_digest: str | None = None
    split: str | None = None
    run: str | None = None
    means: Means = field(default_factory=dict)
    """The environment's means over task types; none in files that were written before there were any."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The environment's options that shape an episode and are not in the panel's hash (``episode_options``)."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """``Environment.facts``. What this or ``options`` lacks, as all files of before do, is unknown."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values, kept and not interpreted."""

    @property
    def summary(self) -> Summary:
        return self.summary_at(LEVEL)

    def summary_at(self, level: float) -> Summary:
        """The summary with intervals of another level."""
        return Summary.of(self.records, level, self.means)

    @property
    def name(self) -> str:
        """A file's name without its ending: ``base-skills``, ``trained-step-60-no_skills``."""
        label = re.sub(r"[^\w.-]+", "_", self.label)
        return f"{label}-step-{self.step}-{self.mode}" if self.step else f"{label}-{self.mode}"

    def metrics(self) -> dict[str, float]:
        """``Summary.metrics`` under ``eval/no_skills/…`` or ``eval/skills/…``."""
        return {f"eval/{self.mode}/{name}": value for name, value in self.summary.metrics().items()}

    def won(self) -> list[bool]:
        return [record.won for record in self.records]

    def scores(self) -> list[float]:
        return [record.score for record in self.records]

    def to_json(self) -> dict[str, Any]:
        """Plain data with the summary beside the records; ``from_json`` gives the same evaluation back."""
        return {"format": FORMAT, "summary": self.summary.to_json(), **asdict(self)}

    @classmethod
    def from_json(cls, content: Any, where: str = "the evaluation") -> Self:
        """Raises RunError, naming ``where``, when the content is not an evaluation."""
        remedy = "run sdar eval again to write a new one"
        if not isinstance(content, dict) or type(content.get("format")) is not int or content["format"] != FORMAT:
            raise RunError(f"{where} is not an evaluation of format {FORMAT}: {remedy}")
        known = {entry.name for entry in fields(cls)}
        try:
            values = {key: value for key, value in content.items() if key in known}
            check_evaluation(values)
            values["records"] = tuple(
                EpisodeRecord(**{**check_record(record), "skills": tuple(record["skills"])})
                for record in values["records"]
            )
            values["means"] = _means(values.get("means", {}))
            values["options"] = options_of(values.get("options", {}))
            values["facts"] = facts_of(values.get("facts", {}))
            evaluation = cls(**values)
            summary = evaluation.summary.to_json()
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise RunError(f"{where} is malformed ({_short(error)}): {remedy}") from error
        if evaluation.mode not in ("no_skills", "skills"):
            raise RunError(f"{where} has mode {evaluation.mode!r}, neither no_skills nor skills: {remedy}")
        if _completed(content.get("summary")) != summary:
            raise RunError(f"{where} was edited (its summary does not follow from its records): {remedy}")
        return evaluation

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises RunError when the file is missing or malformed."""
        try:
            content = read_json(path, LARGEST)
        except Unreadable as error:
            raise RunError(f"the evaluation {path} {error}: run sdar eval again to write it") from None
        return cls.from_json(content, f"the evaluation {path}")


def _by_horizon(records: Iterable[EpisodeRecord]) -> dict[str, list[bool]]:
    """Outcomes by slice, short tasks first; what has no expert is in none."""
    outcomes: dict[str, list[bool]] = {one.name: [] for one in SLICES}
    for record in records:
        if record.expert_turns is not None:
            outcomes[slice_of(record.expert_turns).name].append(record.won)
    return {name: won for name, won in outcomes.items() if won}


def _means(content: Any) -> Means:
    """Raises ValueError for anything but names with lists of task types."""
    if not isinstance(content, dict) or not all(
        isinstance(types, list | tuple) and all(isinstance(one, str) for one in types) for types in content.values()
    ):
        raise ValueError("its means are no lists of task types")
    return {name: tuple(types) for name, types in content.items()}


def _completed(summary: Any) -> Any:
    """A stored summary; one that was written before there were horizons or means says that it has none."""
    if not isinstance(summary, dict):
        return summary
    return {"by_horizon": {}, "episodes_by_horizon": {}, "means": {}} | summary


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
