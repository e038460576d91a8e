"""What ``--dry-run`` tells: panel, facts, launch command, tokens and memory. Loads no torch."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.recipe.dump import recipe_digest
from sdar_cli.recipe.estimate import Part, memory, tokens_per_step
from sdar_cli.recipe.load import ResolvedRecipe


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
    memory: list[Part] | None

    @classmethod
    def make(cls, resolved: ResolvedRecipe, command: Sequence[str]) -> Plan:
        recipe = resolved.recipe
        panel = panel_facts(resolved)  # first, as it may generate the data
        facts = environment_facts(resolved)
        return cls(resolved, tuple(command), panel, facts, tokens_per_step(recipe), memory(recipe))

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
            "memory": None if self.memory is None else [asdict(part) for part in self.memory],
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
