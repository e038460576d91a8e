"""A model of a few thousand weights, made-up episodes, and a trainer that replays them."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

from sdar_cli.recipe.schema import Recipe
from sdar_cli.rollout.episode import Episode, StopReason, Turn
from sdar_cli.training.events import Listener
from sdar_cli.training.schedule import TaskSchedule
from sdar_envs.base import Task

WORDS = [f"word{i}" for i in range(40)]
SKILLS_IDS = [5, 6, 7, 8]
"""Stands for the skills block in front of a teacher's prompt."""


def spare_imported_objects() -> None:
    """Hugging Face's loop collects garbage whenever it starts, among all that its libraries made when they were
    imported: most of a tiny training's time. What exists now is left out of that from here on."""
    import sdar_cli.training.build  # noqa: F401

    gc.collect()
    gc.freeze()


def save_base(folder: Path) -> Path:
    from tiny_qwen3 import save_words

    spare_imported_objects()
    return save_words(folder, [" ".join(WORDS)])


def recipe(**changes) -> Recipe:
    """Two groups of four, three steps, one update a step."""
    values: dict = {
        "name": "replay",
        "environment": {"name": "household"},
        "model": {"path": "unused"},
        "rollout": {"tasks": 2, "group": 4, "max_turns": 3, "max_response_tokens": 8},
        "optimiser": {"learning_rate": 1e-2, "weight_decay": 0.0},
        "policy": {"kl_coef": 0.01},
        "train": {"steps": 3, "checkpoint_every": 1000},
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
    return Recipe.model_validate(values)


def episodes(
    step: int,
    vocabulary: int,
    seed: int = 0,
    groups: int = 2,
    group: int = 4,
    context: str = "window",
    prompts: tuple[int, int] = (4, 12),
) -> list[Episode]:
    """Episodes of one to three turns with random tokens; wins and invalid turns vary.

    Prompts are so many tokens long, the second bound excluded. Of one length, they need no padding, and no row's
    rotary positions (float32 in any model) depend on what it shares a micro-batch with.
    """
    draw = torch.Generator().manual_seed(1000 * seed + step)

    def tokens(low: int, high: int) -> list[int]:
        n = int(torch.randint(low, high, (1,), generator=draw))
        return torch.randint(4, vocabulary, (n,), generator=draw).tolist()

    out = []
    for g in range(groups):
        for s in range(group):
            episode = Episode(Task(f"t{g}", "type"), "goal", g, s, skills=("a",), has_task_skill=True)
            for index in range(1 + (s + g) % 3):
                prompt, taught = tokens(*prompts), True
                if context == "full" and index:
                    before = episode.turns[-1]
                    prompt, taught = before.prompt_ids + before.response_ids + prompt, False
                teacher = SKILLS_IDS + prompt if taught else None
                invalid = "no action tag" if (s + index) % 4 == 0 else None
                episode.turns.append(Turn(index, prompt, teacher, tokens(1, 8), None, "", "", "x", invalid, "", 0.0))
            episode.won = bool(torch.rand(1, generator=draw) < 0.5)
            episode.reward = 10.0 * episode.won
            episode.stop = StopReason.SUCCESS if episode.won else StopReason.MAX_TURNS
            out.append(episode)
    return out


class Unlearning:
    """Stands in for a retriever that observes and learns nothing."""

    def observe(self, outcomes):
        self.outcomes = outcomes

    def metrics(self):
        return {}


class Replay:
    """Stands in for the rollout loop: the episodes of a step are given."""

    def __init__(self, vocabulary: int, **about) -> None:
        from sdar_cli.rollout.loop import Timing

        self.timing = Timing()
        self.retriever = Unlearning()
        self.vocabulary, self.about, self.step = vocabulary, about, 0

    def play(self, starts):
        self.step += 1
        return episodes(self.step - 1, self.vocabulary, **self.about)


class Record(Listener):
    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.signals: list[dict] = []

    def metrics(self, step, values):
        self.steps.append(dict(values))

    def rollout(self, step, episodes, signals):
        self.signals.append(dict(signals))


def trainer(base: Path, output: Path, chosen: Recipe, model=None, *, double=False, make_loop=None, **about):
    """A trainer and what it tells its listener.

    Args:
        double: weights in float64.
        make_loop: given the trainer, what plays its episodes; None: the made-up episodes.
        about: of the made-up episodes.
    """
    from sdar_cli.models.load import load_model, load_tokenizer
    from sdar_cli.training.build import frozen_copy
    from sdar_cli.training.trainer import SDARTrainer

    tokenizer = load_tokenizer(str(base))
    record = Record()
    model = model if model is not None else load_model(str(base))
    frozen = frozen_copy(chosen, str(base))
    if double:
        model, frozen = model.double(), frozen and frozen.double()
    about.setdefault("context", chosen.rollout.context)
    made = SDARTrainer(
        recipe=chosen,
        model=model,
        tokenizer=tokenizer,
        make_loop=make_loop or (lambda _: Replay(len(tokenizer), **about)),
        schedule=TaskSchedule([Task(f"t{i}", "type") for i in range(4)], chosen.rollout.tasks, 0),
        output=output,
        max_model_tokens=64,
        listener=record,
        frozen=frozen,
    )
    return made, record


class ExactHead:
    """In place of TRL's kernel, which sums in float32 whatever the weights are: the same numbers in float64."""

    @staticmethod
    def apply(hidden, weight, bias, targets, temperature, *about):
        logps = (hidden @ weight.T / temperature).log_softmax(-1)
        entropy = -(logps.exp() * logps).sum(-1)
        return logps.gather(-1, targets.unsqueeze(-1)).squeeze(-1), entropy, None, None, None


def exact_head(monkeypatch) -> None:
    from trl.trainer import utils

    assert utils._ChunkedLogProbFunction is not None
    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", ExactHead)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}
