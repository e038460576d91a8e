"""Hours of a training on given GPUs: a roofline of each phase of a step, usual and at most. An estimate from shapes
and data sheets; what is assumed stands in ``ASSUMED`` and is shown with the result."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.recipe.estimate import ONE, Processes
from sdar_cli.recipe.gpus import Gpu
from sdar_cli.recipe.memory import sequences_held
from sdar_cli.recipe.memory_case import recipe_shape, value_size
from sdar_cli.recipe.schema import Recipe
from sdar_cli.recipe.shapes import Shape

UTILISATION = 0.35
"""Share of the peak that passes reach."""
BANDWIDTH = 0.6
"""Share of the data sheet's that decoding reaches."""
OVERHEAD = {"hf": 1e-3, "vllm": 1e-4}
"""Seconds a layer that a token takes at least, for the launch of kernels."""
TURNS, PROMPT, RESPONSE = 0.5, 0.5, 0.4
"""Share of the recipe's bounds that is usual: turns that are played, prompt and response tokens."""
ENVIRONMENT = {"alfworld": (0.5, 0.004), "webshop": (0.0, 0.001), "search-qa": (0.0, 0.2), "household": (0.0, 0.0)}
"""Seconds of a reset and of a step, measured on two cores (docs/alfworld.md, docs/webshop.md); of a search, assumed."""
OTHER_ENVIRONMENT = (0.1, 0.01)


@dataclass(frozen=True, slots=True)
class Load:
    """What of a recipe's bounds is used."""

    turns: float
    prompt: float
    """Tokens of a prompt."""
    response: float
    """Tokens of a response."""
    live: float
    """Share of the episodes that play a turn, on average over ``max_turns``."""

    @classmethod
    def most(cls, recipe: Recipe) -> Load:
        rollout = recipe.rollout
        return cls(rollout.max_turns, rollout.max_prompt_tokens, rollout.max_response_tokens, 1.0)

    @classmethod
    def usual(cls, recipe: Recipe) -> Load:
        """Some episode of a step plays to the last turn, as a rule; fewer and fewer are with it."""
        most = cls.most(recipe)
        turns = max(1.0, TURNS * most.turns)
        return cls(turns, PROMPT * most.prompt, RESPONSE * most.response, turns / most.turns)


@dataclass(frozen=True, slots=True)
class TimePart:
    """Seconds, usual and at most."""

    name: str
    usual: float
    most: float
    formula: str


@dataclass(frozen=True, slots=True)
class Hours:
    step: tuple[TimePart, ...]
    steps: int
    evaluations: TimePart
    """One of them."""
    evaluated: int
    assumed: tuple[str, ...]

    @property
    def usual(self) -> float:
        """Seconds of the training."""
        return self.steps * sum(part.usual for part in self.step) + self.evaluated * self.evaluations.usual

    @property
    def most(self) -> float:
        return self.steps * sum(part.most for part in self.step) + self.evaluated * self.evaluations.most


def hours(recipe: Recipe, gpu: Gpu, processes: Processes = ONE) -> Hours | None:
    """None where the model's shape or the GPU's speed is not known. A warm-up is not counted."""
    shape = recipe_shape(recipe)
    if shape is None or gpu.peak(value_size(recipe)) is None or gpu.bandwidth is None:
        return None
    rooflines = [Roofline(recipe, shape, gpu, processes, load(recipe)) for load in (Load.usual, Load.most)]
    usual, most = ({name: (seconds, words) for name, seconds, words in line.step()} for line in rooflines)
    step = tuple(TimePart(name, usual[name][0], most[name][0], words) for name, (_, words) in most.items())
    tasks = math.ceil(recipe.evaluation.tasks / processes.count)
    seconds = [line.playing(tasks) + line.environment(tasks) for line in rooflines]
    every, evaluated = recipe.evaluation.every, 4
    if every:
        evaluated += (recipe.train.steps - 1) // every
    evaluation = TimePart("an evaluation", *seconds, f"as above, {tasks} episodes a process")
    return Hours(step, recipe.train.steps, evaluation, evaluated, _assumed(recipe, gpu))


def passes(recipe: Recipe) -> dict[str, int]:
    """Forward passes over a step's rows without gradient, by what they score; as ``Scorer.score`` makes them."""
    objective, settings = OBJECTIVES[recipe.method], Settings.at(recipe, 0)
    needs = objective.needs(settings)
    reference = needs.reference + (recipe.policy.kl_coef > 0 and not objective.kl_in_reward)
    several = recipe.optimiser.rows_per_update is not None
    old = needs.old or (objective.ratio and several) or recipe.engine.kind == "vllm"
    counts = {"teacher": int(needs.teacher), "reference": int(reference), "old policy": int(old)}
    return {name: count for name, count in counts.items() if count}


class Roofline:
    """Seconds of the busiest process under one load."""

    def __init__(self, recipe: Recipe, shape: Shape, gpu: Gpu, processes: Processes, load: Load) -> None:
        self.recipe, self.shape, self.gpu, self.processes, self.load = recipe, shape, gpu, processes, load
        self.size = value_size(recipe)
        self.flops = UTILISATION * gpu.peak(self.size)
        self.episodes = processes.groups(recipe) * recipe.rollout.group

    def step(self) -> list[tuple[str, float, str]]:
        made = passes(self.recipe)
        forward = self.forward()
        factor = (2 if self.recipe.model.lora else 3) + self.recipe.model.gradient_checkpointing
        back = "2 × forward" if factor - self.recipe.model.gradient_checkpointing == 2 else "3 × forward"
        again = " + forward again (checkpointing)" if self.recipe.model.gradient_checkpointing else ""
        out = [
            ("generation", self.playing(self.episodes), self._generation_words()),
            ("environment", self.environment(self.episodes), "episodes / workers × (reset + turns × step)"),
        ]
        if made:
            names = ", ".join(made)
            out.append(("scoring", sum(made.values()) * forward, f"{sum(made.values())} × forward: {names}"))
        words = f"{back}{again}; forward = 2 × weights × tokens + 4 × layers × {self.shape.inner} × row² a row"
        return [*out, ("updates", factor * forward, words)]

    def forward(self) -> float:
        """Over a step's rows on one process."""
        return self.forward_flops() / self.flops

    def forward_flops(self) -> float:
        load, shape = self.load, self.shape
        if self.recipe.rollout.context == "window":
            rows, scored = self.episodes * load.turns, load.response
            row = load.prompt + load.response
        else:
            rows, row = self.episodes, load.prompt + load.response
            scored = row
        body = 2 * shape.layers * shape.linear * row + 4 * shape.layers * shape.inner * row**2
        return rows * (body + 2 * shape.head * scored)

    def playing(self, episodes: int) -> float:
        """Generation of ``max_turns`` turns one after the other."""
        load, engine = self.load, self.recipe.engine
        live, at_once = max(1.0, episodes * load.live), float(engine.max_batch)
        if engine.kind == "vllm" and engine.mode == "server":
            live *= self.processes.count / len(engine.urls or (None,))
        if engine.kind == "vllm":
            held = sequences_held(self.recipe, self.shape, self.gpu) if engine.mode == "colocate" else live
            at_once = max(1.0, held)
        waves = math.ceil(live / at_once)
        full = self.recipe.rollout.context == "full"
        context = (load.prompt / 2 if full else load.prompt) + load.response / 2
        # Full: what was said before is in vLLM's prefix cache.
        new = load.prompt / self.recipe.rollout.max_turns if full and engine.kind == "vllm" else context
        reading = live * new * 2 * self.shape.parameters / self.flops
        turn = reading + load.response * waves * self.decoding(live / waves, context)
        return self.recipe.rollout.max_turns * turn

    def decoding(self, batch: float, context: float) -> float:
        """Of one token for every sequence of a batch."""
        moved = self.shape.parameters * self.size + batch * context * self.shape.cache(self.size)
        computed = 2 * self.shape.parameters * batch
        overhead = OVERHEAD[self.recipe.engine.kind] * self.shape.layers
        return max(moved / (BANDWIDTH * self.gpu.bandwidth), computed / self.flops) + overhead

    def environment(self, episodes: int) -> float:
        reset, step = ENVIRONMENT.get(self.recipe.environment.name, OTHER_ENVIRONMENT)
        return math.ceil(episodes / self.recipe.environment.workers) * (reset + self.load.turns * step)

    def _generation_words(self) -> str:
        return (
            f"{self.recipe.rollout.max_turns} turns × (reading + tokens × "
            "max(bytes of weights and cache / bandwidth, FLOP / peak))"
        )


def _assumed(recipe: Recipe, gpu: Gpu) -> tuple[str, ...]:
    kind, size = recipe.engine.kind, value_size(recipe)
    reset, step = ENVIRONMENT.get(recipe.environment.name, OTHER_ENVIRONMENT)
    peak = f"{gpu.peak(size) / 1e12:,.0f} TFLOP/s in {recipe.model.dtype} on {gpu.name}"
    return (
        f"{peak}, of which {UTILISATION:.0%} are reached",
        f"{gpu.bandwidth / 1e9:,.0f} GB/s, of which decoding reaches {BANDWIDTH:.0%}, and "
        f"{OVERHEAD[kind] * 1e3:g} ms a layer and token for the launch of kernels",
        f"usual: {TURNS:.0%} of the turns, {PROMPT:.0%} of the prompt's and {RESPONSE:.0%} of the response's tokens",
        f"environment: {reset:g} s a reset, {step:g} s a step; processes exchange gradients in no time",
    )
