"""The trainer's rollouts: its share of a step's groups, played by the engine that the recipe names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from accelerate.utils import gather_object

from sdar_cli.recipe.schema import Recipe, Sampling
from sdar_cli.rollout.episode import Episode
from sdar_cli.rollout.loop import Start
from sdar_cli.rollout.policies import Generation
from sdar_cli.rollout.replay import RecordingLoop
from sdar_cli.skills.retrieval import Outcome
from sdar_cli.training import ranks
from sdar_cli.training.measure import Outline, episode_metrics
from sdar_cli.training.oom import Memory, in_batches
from sdar_cli.training.schedule import TaskSchedule
from sdar_cli.training.sharded import whole_weights

if TYPE_CHECKING:
    from sdar_cli.engines.engine import Engine
    from sdar_cli.rollout.loop import RolloutLoop
    from sdar_cli.training.preempt import Preemption


class Playing:
    """Of ``SDARTrainer``: rollouts and generation."""

    recipe: Recipe
    engine: Engine | None
    schedule: TaskSchedule
    loop: RolloutLoop
    step_metrics: dict[str, float]
    memory: Memory
    preemption: Preemption

    def _roll_out(self, step: int) -> list[Episode]:
        """This rank's episodes; begins the step's metrics."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        tasks = list(enumerate(self.schedule.at(step)))[rank::world]
        starts = [Start(task, group, s) for group, task in tasks for s in range(self.recipe.rollout.group)]
        synced = self._sync_engine(step)
        self.loop.timing.generation = self.loop.timing.environment = 0.0
        self.loop.timing.slow = 0
        with nullcontext() if self.engine is not None else whole_weights(self):
            play = partial(self.preemption.droppable_call, lambda: self.loop.play(starts), plays=True)
            episodes = ranks.together(play)
        if isinstance(self.loop, RecordingLoop):
            self.loop.keep(episodes)
        everyone = gather_object([Outline.of(episode) for episode in episodes])
        self.loop.retriever.observe(_outcomes(everyone))
        self.step_metrics = episode_metrics(everyone) | {
            "rollout/slow": float(sum(ranks.gather(self.loop.timing.slow))),
            "time/generation": self.loop.timing.generation,
            "time/environment": self.loop.timing.environment,
            **self.loop.retriever.metrics(),
            **synced,
        }
        return episodes

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        """The training policy's answers, by the engine that the recipe names."""
        if self.engine is not None:
            return self.engine.generate(prompts)

        def generate(part: Sequence[list[int]]) -> list[Generation]:
            ids, _ = self._generate_single_turn(part, None, {}, num_generations=1)
            return [*map(Generation, ids)]

        return in_batches(prompts, self.memory, generate)

    @contextmanager
    def sampling(self, sampling: Sampling, seed: int) -> Iterator[Engine]:
        """The engine with the present weights and other sampling settings: an evaluation between training steps."""
        self.engine.sync(self.state.global_step)
        with self.engine.drawing(sampling, "evaluation", seed, ranks.rank()) as engine:
            yield engine

    def _sync_engine(self, step: int) -> dict[str, float]:
        """Give the engine the step's weights, unless nothing is generated."""
        if self.engine is None or self.recipe.rollout.replay is not None:
            return {}
        seconds = self.preemption.droppable_call(lambda: self.engine.sync(step), alone=True, plays=True)
        self.engine.restart_stream("training", self.recipe.seed, step, ranks.rank())
        return {"time/sync": seconds}


def _outcomes(episodes: Sequence[Outline]) -> list[Outcome]:
    """One a group: the skills that its episodes shared, and its mean success."""
    groups: dict[int, list[Outline]] = defaultdict(list)
    for episode in episodes:
        if episode.trainable:
            groups[episode.group].append(episode)
    return [Outcome(own[0].skills, sum(e.won for e in own) / len(own)) for _, own in sorted(groups.items())]
