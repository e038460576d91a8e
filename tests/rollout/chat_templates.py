"""Qwen's chat templates (they ship inside TRL), a byte-level tokenizer for them, and one scene of each environment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from sdar_cli.environments import build_environment
from sdar_cli.recipe.schema import EnvironmentSection
from sdar_cli.rollout.context import Context
from sdar_envs.base import Environment, Observation, Task

USER, ASSISTANT, END = "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"
SHUT = "<think>\n\n</think>\n\n"
"""What Qwen3's template writes for the model when thinking is off."""


@dataclass(frozen=True, slots=True)
class Template:
    file: str
    kwargs: dict[str, bool]
    opening: str
    """What the template puts in front of the first user message."""
    start: str
    """What stands right before the model's first token."""


QWEN_SAYS = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
TEMPLATES = {
    "qwen2.5": Template("qwen2_5.jinja", {}, f"<|im_start|>system\n{QWEN_SAYS}{END}\n", ASSISTANT),
    "qwen3, thinking off": Template("qwen3.jinja", {"enable_thinking": False}, "", ASSISTANT + SHUT),
    "qwen3, thinking on": Template("qwen3.jinja", {"enable_thinking": True}, "", ASSISTANT),
}


@dataclass(frozen=True, slots=True)
class Turn:
    action: str
    """What the parser should read."""
    reply: str
    """How the prompt wants it written, without the thinking before it."""
    observation: Observation
    """What is seen after it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The first turns of an episode."""

    environment: Environment
    think: bool
    """Whether the parser demands a ``<think>`` part."""
    task: Task
    first: Observation
    turns: tuple[Turn, ...]


def response(turn: Turn, thought: str | None = "I look first.") -> str:
    """As the prompt asks for it; without a thought, only the action."""
    return turn.reply if thought is None else f"<think>{thought}</think>{turn.reply}"


THINK = {"household": False, "alfworld": True, "webshop": True, "search-qa": True}
OPTIONS = {
    "household": {},
    "alfworld": {"games": "generated"},
    "webshop": {"products": "generated", "size": 60, "test": 8},
    "search-qa": {"questions": "generated", "entities": 5, "train": 16, "test": 4},
}


@lru_cache
def scene(name: str) -> Scene:
    """Two turns of the expert on generated data; ALFWorld's are written here, as its engine is an extra."""
    environment = build_environment(EnvironmentSection(name=name, options=OPTIONS[name]))
    if name == "alfworld":
        return Scene(environment, True, *ALFWORLD)
    environment.prepare()
    task = next(task for task in environment.tasks("train") if len(environment.expert(task)) > 2)
    first, turns = environment.reset(task), []
    for action in environment.expert(task)[:2]:
        turns.append(Turn(action, written(name, action), environment.step(action).observation))
    return Scene(environment, THINK[name], task, first, tuple(turns))


def written(name: str, action: str) -> str:
    """The tags of each protocol, by the page of the protocols and not by the code under test."""
    if name != "search-qa":
        return f"<action>{action}</action>"
    kind, words = action.removesuffix("]").split("[", 1)
    return f"<{kind}>{words}</{kind}>"


ALFWORLD = (
    Task("train/0", "pick_and_place_simple", "put a mug in desk"),
    Observation(
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around you, you see a "
        "desk 1, and a drawer 1.\n\nYour task is to: put a mug in desk.",
        ("go to desk 1", "go to drawer 1", "inventory", "look"),
    ),
    (
        Turn(
            "go to drawer 1",
            "<action>go to drawer 1</action>",
            Observation("You arrive at drawer 1. The drawer 1 is closed.", ("open drawer 1", "go to desk 1", "look")),
        ),
        Turn(
            "open drawer 1",
            "<action>open drawer 1</action>",
            Observation("You open the drawer 1. In it, you see a mug 1.", ("take mug 1 from drawer 1", "look")),
        ),
    ),
)


def tokenizer(template: Template):
    """Every byte is a token, so that any text survives; beside them the template's own tokens, of which the
    thinking tags are ordinary words to a decoder, as in Qwen3's tokenizer."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Bytes
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(BPE(vocab={byte: n for n, byte in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = Bytes()
    made.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    if template.file == "qwen3.jinja":
        made.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<|endoftext|>",
        eos_token=END,
        chat_template=(resources.files("trl") / "chat_templates" / template.file).read_text(encoding="utf-8"),
        clean_up_tokenization_spaces=False,
    )


def context(played: Scene, template: Template, **changes: object) -> Context:
    values = {
        "environment": played.environment,
        "tokenizer": tokenizer(template),
        "kind": "window",
        "window": 2,
        "max_prompt_tokens": 1 << 16,
        "placement": "user",
        "template_kwargs": template.kwargs,
        "policy_sees_skills": False,
        "teacher": True,
    }
    return Context(**values | changes)
