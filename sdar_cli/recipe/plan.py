"""What ``--dry-run`` tells: panel, facts, launch command, tokens, memory and hours. Loads no torch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.launch.extras import lacking
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.estimate import ONE, Part, Processes, tokens_per_step
from sdar_cli.recipe.fit import Fit, fit
from sdar_cli.recipe.gpus import Gpu
from sdar_cli.recipe.hours import Hours, hours
from sdar_cli.recipe.load import ResolvedRecipe
from sdar_cli.recipe.memory import Memory, memory


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """The panel a run would be evaluated on; ``problem`` says why it cannot be drawn here."""

    digest: str | None
    tasks: int
    split: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """``Environment.facts``; ``problem`` says why there are none."""

    values: dict[str, str]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    resolved: ResolvedRecipe
    command: tuple[str, ...]
    panel: PanelFacts
    facts: EnvironmentFacts
    tokens: list[Part]
    processes: Processes
    lacking: tuple[str, ...]
    """Sentences about extras that are not installed here, without which the run is refused."""
    memory: Memory | None
    """None: the model's shape is not known."""
    fit: Fit | None = None
    """None: no GPU was named either."""
    hours: Hours | None = None
    """None: of the GPU no more than its memory was said, or nothing."""

    @classmethod
    def make(
        cls, resolved: ResolvedRecipe, command: Sequence[str], processes: Processes = ONE, gpu: Gpu | None = None
    ) -> Plan:
        recipe = resolved.recipe
        panel = panel_facts(resolved)  # first, as it may generate the data
        facts = environment_facts(resolved)
        return cls(
            resolved,
            tuple(command),
            panel,
            facts,
            tokens_per_step(recipe),
            processes,
            lacking(recipe, processes.dist),
            memory(recipe, processes, gpu),
            None if gpu is None else fit(recipe, gpu, processes),
            None if gpu is None else hours(recipe, gpu, processes),
        )

    @property
    def shell_command(self) -> str:
        return shlex.join(self.command)

    def to_json(self) -> dict[str, Any]:
        recipe = self.resolved.recipe
        return {
            "recipe": recipe.model_dump(mode="json"),
            "origins": self.resolved.origins,
            "recipe_digest": recipe_digest(recipe),
            "panel": asdict(self.panel),
            "facts": asdict(self.facts),
            "command": list(self.command),
            "tokens_per_step": [asdict(part) for part in self.tokens],
            "processes": asdict(self.processes),
            "lacking": list(self.lacking),
            "memory": None if self.memory is None else [asdict(part) for part in self.memory.parts],
            "memory_peak": None if self.memory is None else {"bytes": self.memory.peak, "phase": self.memory.phase},
            "fit": None if self.fit is None else _fit_json(self.fit),
            "hours": None if self.hours is None else _hours_json(self.hours),
        }


def _fit_json(found: Fit) -> dict[str, Any]:
    return {
        "gpu": found.gpu.name,
        "gpu_bytes": found.gpu.memory,
        "fits": found.fits,
        "left_bytes": found.left,
        "sequences": found.sequences,
        "remedy": found.remedy or None,
    }


def _hours_json(found: Hours) -> dict[str, Any]:
    return {
        "usual": found.usual / 3600,
        "most": found.most / 3600,
        "step_seconds": [asdict(part) for part in found.step],
        "evaluation_seconds": asdict(found.evaluations),
        "evaluations": found.evaluated,
        "assumed": list(found.assumed),
    }


def panel_facts(resolved: ResolvedRecipe) -> PanelFacts:
    """Find or draw the panel; data or packages that are not there yet are told, not raised.

    Raises:
        PanelError: the panel file is wrong, overlaps training, or the split holds too few tasks.
    """
    from sdar_cli.environments import build_environment
    from sdar_cli.evaluation.panel import Panel
    from sdar_cli.evaluation.panel_files import find_panel

    section, settings = resolved.recipe.environment, resolved.recipe.evaluation
    try:
        environment = build_environment(section)
        try:
            if settings.panel is not None:
                panel = find_panel(settings.panel)
                panel.tasks(environment)
            else:
                panel = Panel.make(environment, settings.split, settings.tasks, settings.panel_seed)
            panel.check_disjoint(environment.tasks("train"))
        finally:
            environment.close()
    except EnvironmentSetupError as error:
        return PanelFacts(None, settings.tasks, settings.split, str(error))
    return PanelFacts(panel.digest, len(panel), panel.split)


def environment_facts(resolved: ResolvedRecipe) -> EnvironmentFacts:
    """What the environment says of the data that is here; what is damaged is told, not raised."""
    from sdar_cli.environments import build_environment

    try:
        environment = build_environment(resolved.recipe.environment)
        try:
            return EnvironmentFacts(dict(environment.facts()))
        finally:
            environment.close()
    except EnvironmentSetupError as error:
        return EnvironmentFacts({}, str(error))
