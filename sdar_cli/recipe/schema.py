"""A recipe, typed: every key of a YAML file, its default, and what it means.

Strict: an unknown key, a value of the wrong type or a combination that cannot work is refused at load.
Lengths are in tokens, learning rates per optimiser update, ``steps`` count rollouts.
"""

from __future__ import annotations

from math import lcm
from typing import Literal

from pydantic import model_validator

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.sections.engine import Engine
from sdar_cli.recipe.sections.environment import EnvironmentSection
from sdar_cli.recipe.sections.evaluation import Evaluation
from sdar_cli.recipe.sections.guards import Guards
from sdar_cli.recipe.sections.model import Lora, Model, TinyModel
from sdar_cli.recipe.sections.policy import Policy
from sdar_cli.recipe.sections.rollout import Rollout, Sampling
from sdar_cli.recipe.sections.section import Count, Fraction, Plain, Positive, Schedule, Section, Seed
from sdar_cli.recipe.sections.skills import Skills, Ucb
from sdar_cli.recipe.sections.teaching import Credit, Distill, Gate, Teacher
from sdar_cli.recipe.sections.tracking import NO_SECRETS, Tracking
from sdar_cli.recipe.sections.train import Optimiser, Train
from sdar_cli.recipe.sections.warmup import Warmup

__all__ = [
    "NO_SECRETS",
    "Count",
    "Credit",
    "Distill",
    "Engine",
    "EnvironmentSection",
    "Evaluation",
    "Fraction",
    "Gate",
    "Guards",
    "Lora",
    "Model",
    "Optimiser",
    "Plain",
    "Policy",
    "Positive",
    "Recipe",
    "Rollout",
    "Sampling",
    "Schedule",
    "Section",
    "Seed",
    "Skills",
    "Teacher",
    "TinyModel",
    "Tracking",
    "Train",
    "Ucb",
    "Warmup",
]


class Recipe(Section):
    name: str
    description: str = ""
    seed: Seed = 0
    method: Literal[tuple(OBJECTIVES)] = "sdar"
    """An objective: see docs/method.md, or `sdar methods`."""
    init_from: str | None = None
    """A run or a Hugging Face folder whose weights RL starts from; then no warm-up runs."""
    model: Model = Model()
    environment: EnvironmentSection
    rollout: Rollout = Rollout()
    skills: Skills = Skills()
    teacher: Teacher = Teacher()
    distill: Distill = Distill()
    gate: Gate = Gate()
    credit: Credit = Credit()
    policy: Policy = Policy()
    optimiser: Optimiser = Optimiser()
    train: Train = Train()
    evaluation: Evaluation = Evaluation()
    warmup: Warmup | None = None
    guards: Guards = Guards()
    engine: Engine = Engine()
    tracking: Tracking = Tracking()

    @property
    def starts_from(self) -> str | None:
        """What the recipe names as the weights to start from; None for a tiny model, which is made."""
        return self.init_from or self.model.path

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher has an effect at any step of the run."""
        objective, last = OBJECTIVES[self.method], max(self.train.steps - 1, 0)
        return any(objective.teaches(Settings.at(self, step)) for step in (0, last))

    @model_validator(mode="after")
    def _combinations(self) -> Recipe:
        if self.model.path is None and self.model.tiny is None and self.init_from is None:
            raise ValueError("no model: set model.path, model.tiny or init_from")
        self._check_objective()
        if self.init_from is not None and self.warmup is not None:
            raise ValueError("init_from brings its own weights: set warmup=null")
        if self.model.tiny is not None and self.warmup is None and self.init_from is None:
            raise ValueError("a random model cannot act: give a warmup section, or init_from")
        if self.engine.mode == "server" and self.engine.kind == "vllm" and not self.engine.urls:
            raise ValueError("engine.mode=server needs engine.server_url, for example http://127.0.0.1:8000")
        if self.engine.lora == "hot" and self.model.lora is None:
            raise ValueError(
                "engine.lora=hot is about an adapter and there is none: set model.lora, or engine.lora=merge"
            )
        if self.engine.lora == "hot" and self.engine.sync == "nccl":
            raise ValueError(
                "engine.sync=nccl brings no adapter, which engine.lora=hot sends through the folder: set engine.sync "
                "to folder, or engine.lora to merge"
            )
        self._check_lora()
        self._check_best()
        return self

    def _check_lora(self) -> None:
        """Raises ValueError for an adapter that the rest of the recipe cannot have."""
        lora = self.model.lora
        if lora is None:
            return
        if lora.dropout and self.warmup is None:
            raise ValueError(
                "model.lora.dropout is for the warm-up and there is none, RL being run without dropout: remove it"
            )
        if lora.dora and self.engine.lora == "hot":
            raise ValueError("engine.lora=hot cannot serve model.lora.dora, which vLLM does not know: set it to merge")

    def _check_best(self) -> None:
        """Raises ValueError where no checkpoint but the last would be measured."""
        train, every = self.train, self.evaluation.every
        if train.keep_best and not every:
            raise ValueError("train.keep_best tells the best by evaluations on the way: set evaluation.every")
        saved = train.checkpoint_every
        if train.keep_best and lcm(every, saved) >= train.steps:
            remedy = f"set evaluation.every={saved}" if saved < train.steps else "lower train.checkpoint_every"
            raise ValueError(
                f"train.keep_best has nothing to choose among, as evaluation.every={every} and "
                f"train.checkpoint_every={saved} meet at no step before the last, {train.steps}: {remedy}"
            )

    def _check_objective(self) -> None:
        """Raises ValueError for settings that cannot go together."""
        objective, form = OBJECTIVES[self.method], self.distill.form
        reads_skills = self.needs_teacher or objective.skills_in_prompt
        if reads_skills and self.skills.retrieval == "none":
            what = "a policy that trains with skills" if objective.skills_in_prompt else "a teacher"
            raise ValueError(
                f"{what} has nothing to read with skills.retrieval=none: choose another retrieval, or method=grpo"
            )
        if objective.forms and form is not None and form not in objective.forms:
            owners = [name for name, other in OBJECTIVES.items() if form in other.forms]
            raise ValueError(
                f"distill.form={form} does not go with method={self.method}, which is {' or '.join(objective.forms)}: "
                f"remove it, or choose method={' or '.join(owners)}"
            )
        if self.policy.advantage == "turn" and "policy.advantage" not in objective.settings and objective.policy:
            raise ValueError(
                f"policy.advantage=turn does not go with method={self.method}, which has a rule of its own: "
                "set policy.advantage=trajectory"
            )
        if objective.forms and self.distill.divergence != "sampled":
            if form == "signed":
                raise ValueError(
                    "distill.form=signed is about the sampled token and distill.divergence="
                    f"{self.distill.divergence} is not: set distill.divergence=sampled, or another form"
                )
            if self.gate.normalise == "zscore" and (form or objective.forms[0]) == "gated":
                raise ValueError(
                    f"gate.normalise=zscore needs the whole rollout's gaps before the loss, and distill.divergence="
                    f"{self.distill.divergence} scores the teacher within it: set gate.normalise=turn_mean or none"
                )
        if self.rollout.record is not None and self.rollout.replay is not None:
            raise ValueError("a replay needs no recording: remove rollout.record or rollout.replay")
