"""Expert episodes: what the warm-up learns from and what a word tokenizer takes its words from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sdar_cli.errors import RecipeError
from sdar_cli.rollout.pool import Pool, SlotError
from sdar_envs.base import Environment, Exchange, Observation, Task

SLOTS_PER_WORKER = 4


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An episode that the expert won; ``last`` is what was observed at its end."""

    task: Task
    first: Observation
    exchanges: tuple[Exchange, ...]
    last: Observation


def demonstrate(environment: Environment, task: Task) -> Demonstration | None:
    """One episode in this very instance; None when the expert's actions do not win."""
    first = observation = environment.reset(task)
    exchanges = []
    for action in plan(environment, task):
        exchanges.append(Exchange(observation, action))
        step = environment.step(action)
        observation = step.observation
        if step.done:
            return Demonstration(task, first, tuple(exchanges), observation) if step.won else None
    return None


def demonstrate_all(
    environment: Environment, tasks: Sequence[Task], *, workers: int, timeout: float
) -> Iterator[Demonstration]:
    """Episodes of ``tasks`` in their order, played in the environment's pool; what does not win is left out.

    ``timeout`` is in seconds for one operation.
    """
    if environment.isolation == "inline":
        yield from (played for task in tasks if (played := demonstrate(environment, task)) is not None)
        return
    with Pool(type(environment), environment.options, workers=workers, timeout=timeout) as pool:
        width = workers * SLOTS_PER_WORKER
        for start in range(0, len(tasks), width):
            yield from _batch(environment, pool, tasks[start : start + width])


def plan(environment: Environment, task: Task) -> Sequence[str]:
    """The expert's actions; RecipeError where there is no expert."""
    actions = environment.expert(task)
    if actions is None:
        raise RecipeError(
            f"the environment {environment.name!r} has no expert to demonstrate task {task.id}: "
            "set warmup=null and give init_from"
        )
    return actions


def _batch(environment: Environment, pool: Pool, tasks: Sequence[Task]) -> Iterator[Demonstration]:
    plans = {slot: list(plan(environment, task)) for slot, task in enumerate(tasks)}
    firsts = pool.reset(dict(enumerate(tasks)))
    seen: dict[int, Observation] = {s: o for s, o in firsts.items() if isinstance(o, Observation)}
    exchanges: dict[int, list[Exchange]] = {slot: [] for slot in seen}
    won: set[int] = set()
    live = set(seen)
    while live := {slot for slot in live if plans[slot]}:
        actions = {slot: plans[slot].pop(0) for slot in sorted(live)}
        for slot, step in pool.step(actions).items():
            if isinstance(step, SlotError):
                live.discard(slot)
                continue
            exchanges[slot].append(Exchange(seen[slot], actions[slot]))
            seen[slot] = step.observation
            if step.done:
                live.discard(slot)
                if step.won:
                    won.add(slot)
    pool.release(range(len(tasks)))
    for slot in sorted(won):
        yield Demonstration(tasks[slot], firsts[slot], tuple(exchanges[slot]), seen[slot])
