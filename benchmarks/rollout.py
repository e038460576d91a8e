"""What the turn loop saves: only live episodes generated, and no barrier a turn.

    python benchmarks/rollout.py [--only live barrier] [--repeats 5] [--vllm FOLDER] [--json FILE]

``live``: the loop with Hugging Face's ``generate`` and a tiny Qwen3 on episodes as long as ALFWorld's, against the
same loop whose policy generates for every episode at every turn, as long as one lives. Solved episodes are as long as
the solutions of the 140 official games of ``valid_seen`` (3 to 9 turns, ``SOLUTIONS``) times ``SEARCH``, as a policy
has to look for things; the others run all 50 turns, ALFWorld's limit. The shares solved are the published ones of an
untrained Qwen2.5-3B, of half way, and of the trained one. CPU seconds.

``barrier``: the loop with a policy that streams, against the same policy asked by turns. Answers take times drawn
from a log-normal distribution, as if a server had room for all; environments in threads take ``STEP`` seconds a step,
and a tenth of the steps ten times as long. Wall-clock seconds. With ``--vllm`` real vLLM answers instead, started in
this process with a model's folder.

Both sides of a repetition run one after the other, in changing order; printed are medians and quartiles of each
repetition's ratio.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spread import Cell, machine, quartiles, ratios, show

from sdar_cli.recipe.schema import Sampling, Skills
from sdar_cli.rollout.context import Context
from sdar_cli.rollout.loop import RolloutLoop, Start
from sdar_cli.rollout.policies import Generation, HFPolicy
from sdar_cli.rollout.pool import Pool
from sdar_cli.skills.bank import SkillBank
from sdar_cli.skills.retrieval import make_retriever
from sdar_envs.base import Action, Environment, History, Message, Observation, Options, Step, Task

SOLUTIONS = {3: 6, 4: 40, 5: 7, 6: 38, 7: 26, 8: 18, 9: 5}
"""Turns → games of ``valid_seen`` whose own solution takes so many."""
SEARCH = 2
LIMIT = 50
SOLVED = {"22 % solved": 0.22, "50 % solved": 0.5, "84 % solved": 0.84}
EPISODES = 32
WORDS = 5 * " you are in the middle of a room looking around see a cabinet 1 drawer 2 fridge go to take put with"
ANSWER = 0.04
"""Median seconds of an answer that is only waited for."""
STEP = 0.004
RESPONSE = 4


Side = Callable[[], float]
Table = dict[str, Cell]
BANK = SkillBank.from_texts({"any": "---\nname: any\ndescription: any\ntask_types: []\nkeywords: []\n---\nLook.\n"})


class Rooms(Environment):
    """An episode lasts as long as its task says; a prompt has some 430 tokens, most of them in its history."""

    name = "rooms"

    def tasks(self, split: str) -> Sequence[Task]:
        return []

    def reset(self, task: Task) -> Observation:
        self.left = task.data["turns"]
        self.pauses = random.Random(task.id)
        return Observation(WORDS)

    def step(self, action: str) -> Step:
        self.left -= 1
        return Step(Observation(WORDS), 0.0, self.left == 0)

    def parse(self, response: str) -> Action:
        return Action("go")

    def prompt(self, history: History) -> list[Message]:
        past = " ".join(f"{one.observation.text} {one.action}" for one in history.recent)
        return [{"role": "user", "content": f"{WORDS} {past} {history.observation.text}"}]


class SlowRooms(Rooms):
    isolation = "thread"

    def step(self, action: str) -> Step:
        time.sleep(STEP * (10 if self.pauses.random() < 0.1 else 1))
        return super().step(action)


def lengths(solved: float, seed: int, count: int = EPISODES) -> list[int]:
    """Turns of so many episodes."""
    draw = random.Random(seed)
    games = [turns for turns, number in SOLUTIONS.items() for _ in range(number)]
    wins = round(solved * count)
    drawn = [SEARCH * draw.choice(games) for _ in range(wins)] + [LIMIT] * (count - wins)
    draw.shuffle(drawn)
    return drawn


class Everything:
    """Generates for all episodes at every turn, those that are over with the last prompt they had."""

    def __init__(self, policy: HFPolicy, turns: Sequence[int]) -> None:
        self.policy, self.turns = policy, turns
        self.last: list[list[int]] = []
        self.turn = 0

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        live = [number for number, turns in enumerate(self.turns) if turns > self.turn]
        self.last = self.last or list(prompts)
        for number, prompt in zip(live, prompts, strict=True):
            self.last[number] = prompt
        self.turn += 1
        answers = self.policy.generate(self.last)
        return [answers[number] for number in live]


class Waited:
    """Streams answers that take their time and nothing else: each is drawn by episode and turn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.open = 0

    def submit(self, episode: int, turn: int, prompt: list[int]) -> None:
        seconds = ANSWER * random.Random(f"{self.seed}/{episode}/{turn}").lognormvariate(0, 0.6)
        self.open += 1
        timer = threading.Timer(seconds, self.done.put, [episode])
        timer.daemon = True
        timer.start()

    def take(self, seconds: float | None) -> list[tuple[int, Generation]]:
        came = []
        try:
            while self.open and not (came and self.done.empty()):
                came.append((self.done.get(timeout=seconds), Generation([0])))
                self.open -= 1
        except queue.Empty:
            pass
        return came

    def drop(self) -> None:
        pass


class ByTurn:
    """The same policy, asked by turns: no answer is used before the last of its turn."""

    def __init__(self, policy: Any, turns: Sequence[int]) -> None:
        self.policy, self.turns, self.turn = policy, turns, 0

    def generate(self, prompts: Sequence[list[int]]) -> list[Generation]:
        live = [number for number, turns in enumerate(self.turns) if turns > self.turn]
        for number, prompt in zip(live, prompts, strict=True):
            self.policy.submit(number, self.turn, prompt)
        self.turn += 1
        answers: dict[int, Generation] = {}
        while len(answers) < len(live):
            answers.update(self.policy.take(None))
        return [answers[number] for number in live]


def play(policy: Any, tokenizer: Any, pool: Pool, turns: Sequence[int], clock: Callable[[], float]) -> float:
    """Seconds that these episodes take."""
    environment = Rooms(Options())
    context = Context(environment, tokenizer, "window", 2, 2000, "user", {}, policy_sees_skills=False, teacher=False)
    loop = RolloutLoop(
        environment=environment,
        pool=pool,
        context=context,
        policy=policy,
        retriever=make_retriever(BANK, Skills(), 0),
        decode=lambda ids: "go",
        ends={tokenizer.eos_token_id},
        max_turns=LIMIT,
    )
    starts = [Start(Task(f"{n}", "any", data={"turns": length}), n) for n, length in enumerate(turns)]
    before = clock()
    episodes = loop.play(starts)
    seconds = clock() - before
    assert [len(episode.turns) for episode in episodes] == list(turns)
    return seconds


def compared(title: str, sides: Callable[[int], tuple[Side, Side]], names: tuple[str, str], repeats: int) -> Table:
    """The ratio of two sides' seconds, and both; the first repetition warms up and is left out."""
    first, second = [], []
    for number in range(-1, repeats):
        one, two = sides(number)
        if number % 2:
            late, early = two(), one()
        else:
            early, late = one(), two()
        if number >= 0:
            first.append(early)
            second.append(late)
    seconds = {f"{title}: seconds, {name}": quartiles(own) for name, own in zip(names, (first, second), strict=True)}
    return {title: ratios(first, second), **seconds}


def tiny() -> tuple[Any, Any]:
    """A Qwen3 of two layers, with a word tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from sdar_cli.models.tiny import build_tokenizer

    torch.set_num_threads(1)  # CPU seconds of several are those of waiting, too
    torch.manual_seed(0)
    tokenizer = build_tokenizer([WORDS])
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Qwen3Config(
        vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=32, max_position_embeddings=2048, **sizes
    )
    return Qwen3ForCausalLM(config).eval(), tokenizer


def live(repeats: int) -> Table:
    """Generate-everything over live-only."""
    model, tokenizer = tiny()
    policy = HFPolicy(model, tokenizer, Sampling(), max_response_tokens=RESPONSE)
    out: Table = {}
    with Pool(Rooms, Options(), workers=1, timeout=60) as pool:
        for title, solved in SOLVED.items():

            def sides(number: int, solved: float = solved) -> tuple[Side, Side]:
                turns = lengths(solved, number)
                own = tokenizer, pool, turns, time.process_time
                return lambda: play(Everything(policy, turns), *own), lambda: play(policy, *own)

            out |= compared(title, sides, ("everything", "live only"), repeats)
    return out


@contextmanager
def streaming(folder: Path | None) -> Iterator[tuple[Callable[[int], Any], Any]]:
    """What makes the policy of a repetition, and its tokenizer."""
    if folder is None:
        yield Waited, tiny()[1]
        return
    from sdar_cli.engines.offline import OfflineEngine
    from sdar_cli.models.load import load_tokenizer
    from sdar_cli.recipe.load import load_recipe

    tokenizer = load_tokenizer(str(folder))
    recipe = load_recipe("quickstart", [], ["rollout.max_response_tokens=64"]).recipe
    engine = OfflineEngine(str(folder), recipe, Sampling(), {tokenizer.eos_token_id}, 1024)

    def seeded(seed: int) -> OfflineEngine:
        engine.restart_stream(seed)
        return engine

    try:
        yield seeded, tokenizer
    finally:
        engine.close()


def barrier(repeats: int, folder: Path | None) -> Table:
    """By turns over streaming."""
    out: Table = {}
    with streaming(folder) as (make, tokenizer), Pool(SlowRooms, Options(), workers=EPISODES, timeout=60) as pool:
        for title, solved in SOLVED.items():

            def sides(number: int, solved: float = solved) -> tuple[Side, Side]:
                turns = lengths(solved, number)
                own = tokenizer, pool, turns, time.perf_counter
                return lambda: play(ByTurn(make(number), turns), *own), lambda: play(make(number), *own)

            out |= compared(title, sides, ("by turns", "streaming"), repeats)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("live", "barrier"), default=("live", "barrier"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vllm", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "repeats": asked.repeats}
    print(found["machine"], end="\n\n")
    if "live" in asked.only:
        found["live"] = live(asked.repeats)
        show("Generating for everyone ÷ for live episodes", found["live"])
    if "barrier" in asked.only:
        found["barrier"] = barrier(asked.repeats, asked.vllm)
        show("By turns ÷ streaming" + (", vLLM" if asked.vllm else ""), found["barrier"])
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
