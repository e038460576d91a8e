"""What a step of WebShop takes, by its kind, and what writing the full prompt takes beside it.

    python benchmarks/webshop_step.py [--size 50000] [--episodes 300]

Episodes on held-out goals of a generated catalogue, one slot, through ``Webshop.reset`` and ``step``: a search with
the instruction, the next page and back, a result, its description and back, its features and back, an option of each
kind, the purchase. The result is the goal's product where the first page has it, else the first. The prompt is the
full one with two turns of history, after every step but the last.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from sdar_envs.base import Exchange, History, Observation, Task
from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.splits import goal_of

WINDOW = 2

Times = dict[str, list[tuple[float, float]]]
"""Kind → (wall, CPU) milliseconds of each call."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--episodes", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SDAR_CACHE"] = scratch
        shop = Webshop(WebshopOptions(products="generated", size=arguments.size, test=arguments.episodes))
        shop.prepare()
        times: Times = defaultdict(list)
        tasks = timed(times, "both splits, once", shop.tasks, "test")
        characters = [length for task in tasks for length in play(shop, task, times)]
        report(times)
    print(f"\n{arguments.size:,} products, {arguments.episodes} episodes, titles compared by {shop.title_matcher}")
    print(f"prompts: {sum(characters) / len(characters):,.0f} characters on average, {max(characters):,} at most")


def play(shop: Webshop, task: Task, times: Times) -> list[int]:
    """One episode; returns the lengths of its prompts."""
    goal = goal_of(task)
    observation = timed(times, "reset", shop.reset, task)
    turns: tuple[Exchange, ...] = ()
    lengths: list[int] = []

    def act(kind: str, action: str) -> Observation:
        nonlocal observation, turns
        before, step = observation, timed(times, kind, shop.step, action)
        turns, observation = (*turns, Exchange(before, action)), step.observation
        if not step.done:
            history = History(task, task.goal, turns, observation, WINDOW)
            (message,) = timed(times, "full prompt", shop.prompt, history)
            lengths.append(len(message["content"]))
        return observation

    results = act("search", f"search[{task.goal}]")
    if "click[next >]" in results.admissible:
        act("next page", "click[next >]")
        act("page before", "click[< prev]")
    wanted = f"click[{goal.asin.lower()}]"
    act("result", wanted if wanted in results.admissible else next(filter(is_result, results.admissible)))
    for name in ("description", "features"):
        act("sub-page", f"click[{name}]")
        act("back from a sub-page", "click[< prev]")
    for _, value in goal.options:
        act("option", f"click[{value}]")
    act("buy", "click[buy now]")
    return lengths


def is_result(command: str) -> bool:
    return command.startswith("click[b") and command != "click[back to search]"


def timed(times: Times, kind: str, call: Callable[..., Any], *arguments: Any) -> Any:
    began, worked = time.perf_counter(), time.thread_time()
    answer = call(*arguments)
    times[kind].append(((time.perf_counter() - began) * 1e3, (time.thread_time() - worked) * 1e3))
    return answer


def report(times: Times) -> None:
    """Wall and CPU times apart, as a busy machine lengthens the one and not the other."""
    print(f"{'milliseconds':<22}{'calls':>7}{'p50':>9}{'p95':>9}{'CPU p50':>9}{'CPU p95':>9}")
    for kind, pairs in times.items():
        cuts = [cut for part in zip(*pairs, strict=True) for cut in percentiles(part)]
        print(f"{kind:<22}{len(pairs):>7,}" + "".join(f"{cut:>9.3f}" for cut in cuts))


def percentiles(values: tuple[float, ...]) -> tuple[float, float]:
    """The median and the 95th percentile."""
    cuts = quantiles(values, n=20) if len(values) > 1 else values * 19
    return cuts[9], cuts[18]


if __name__ == "__main__":
    main()
