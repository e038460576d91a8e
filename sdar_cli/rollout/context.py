"""What the policy reads: chat messages rendered to tokens, windowed or full.

*Window* (the paper's): every turn has a prompt of its own, written anew from the task, the last few
turns and the current observation. *Full*: one conversation grows; earlier tokens stay as they were
sampled, and only the new user message is rendered.

``max_prompt_tokens`` counts the prompt without skills: a skills block is never cut to make room. A
windowed prompt that is too long loses its oldest turns first; when nothing is left to lose, or the full
conversation has outgrown the limit, the prompt does not fit.

The teacher's prompt is the policy's and the skills, whatever the chat template (``system_message``), and
only the template writes special tokens (``special_tokens``): messages and skills have theirs broken first. Sampled
tokens stay as they were sampled: under full context they are what the policy is trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import ModelError
from sdar_cli.models.template import check_template, failed
from sdar_cli.rollout.answers import Guarded
from sdar_cli.rollout.remembered import Messages, Remembered
from sdar_cli.rollout.special_tokens import breaker
from sdar_cli.rollout.system_message import default_system
from sdar_cli.skills.block import insert_block
from sdar_envs.base import Environment, Exchange, History, Message, Observation, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SENTINEL = "sdarassistantturn"
"""Stands for the assistant's words while the text that follows them is rendered."""


@dataclass(slots=True)
class Prompt:
    ids: list[int]
    """Tokens for the policy."""
    teacher_ids: list[int] | None
    """Tokens for the teacher, or None."""
    text: str
    """What the policy reads, for traces."""


@dataclass(slots=True)
class Dialogue:
    """One episode's side of the conversation."""

    task: Task
    goal: str
    block: str
    """Rendered skills, special tokens broken; empty: none."""
    observation: Observation
    exchanges: list[Exchange]
    conversation: list[int] | None = None
    """Full context: every token so far, responses included."""


@dataclass(frozen=True, slots=True)
class Context:
    """Renders prompts for one environment and one tokenizer."""

    environment: Environment
    tokenizer: PreTrainedTokenizerBase
    kind: str
    """``window`` or ``full``."""
    window: int
    """Past turns in a windowed prompt."""
    max_prompt_tokens: int
    placement: str
    """Where the skills go: ``user`` or ``system``."""
    template_kwargs: dict[str, Any]
    policy_sees_skills: bool
    teacher: bool
    """Whether the teacher's prompt is rendered beside the policy's."""
    _broken: Callable[[str], str] = field(init=False, repr=False, compare=False)
    """A text with the tokenizer's special tokens broken."""
    _default_system: str = field(init=False, repr=False, compare=False)
    """The template's own system text where a system message with skills would take its place."""
    _known: Remembered = field(init=False, repr=False, compare=False)
    """Text and tokens of (role, content) messages."""
    _numbers: dict[int, int] = field(init=False, repr=False, compare=False)
    """Every token that was met, once: a tokenizer makes all numbers anew, and episodes keep theirs for a step."""

    def __post_init__(self) -> None:
        """Raises ModelError without a chat template, or for one that ``check_template`` refuses; RecipeError for one
        that cannot take skills as placed."""
        if self.tokenizer.chat_template is None:
            raise ModelError(
                f"the tokenizer of {self.tokenizer.name_or_path!r} has no chat template: use a chat model, or save "
                "a chat_template.jinja beside its tokenizer.json"
            )
        if self.template_kwargs:  # without them it was looked at as it was loaded
            check_template(self.tokenizer, self.template_kwargs)
        asked = self.placement == "system" and (self.policy_sees_skills or self.teacher)
        own = default_system(self.tokenizer, self.template_kwargs) if asked else ""
        object.__setattr__(self, "_default_system", own)
        object.__setattr__(self, "environment", Guarded.of(self.environment))
        object.__setattr__(self, "_broken", breaker(self.tokenizer))
        object.__setattr__(self, "_known", Remembered(self._write))
        object.__setattr__(self, "_numbers", {})

    def seen_by(self, *, skills: bool) -> Context:
        """The same context for a policy that reads the skills itself or does without, and no teacher."""
        return replace(self, policy_sees_skills=skills, teacher=False)

    def open(self, task: Task, first: Observation, block: str) -> Dialogue:
        return Dialogue(task, self.environment.goal(task, first), self._broken(block), first, [])

    def prompt(self, dialogue: Dialogue) -> Prompt | None:
        """The next turn's prompt, or None when it does not fit."""
        if self.kind == "full" and dialogue.conversation is not None:
            return self._continue(dialogue)
        for window in range(min(self.window, len(dialogue.exchanges)), -1, -1):
            messages = self._messages(dialogue, window)
            plain_text, plain = self._written(messages)
            if len(plain) <= self.max_prompt_tokens:
                break
        else:
            return None
        if not dialogue.block or not (self.policy_sees_skills or self.teacher):
            return Prompt(plain, plain if self.teacher else None, plain_text)
        skilled_text, skilled = self._written(self._with_skills(messages, dialogue.block))
        if self.policy_sees_skills:
            return Prompt(skilled, skilled if self.teacher else None, skilled_text)
        return Prompt(plain, skilled, plain_text)

    def advance(
        self, dialogue: Dialogue, prompt: Prompt, response_ids: list[int], action: str, observation: Observation
    ) -> None:
        """Record a turn: what was sampled, what was sent, what was observed."""
        dialogue.exchanges.append(Exchange(dialogue.observation, action))
        dialogue.observation = observation
        if self.kind == "full":
            dialogue.conversation = prompt.ids + response_ids

    def _history(self, dialogue: Dialogue, window: int) -> History:
        return History(dialogue.task, dialogue.goal, tuple(dialogue.exchanges), dialogue.observation, window)

    def _messages(self, dialogue: Dialogue, window: int) -> list[Message]:
        messages = self.environment.prompt(self._history(dialogue, window))
        return [message | {"content": self._broken(message["content"])} for message in messages]

    def _with_skills(self, messages: list[Message], block: str) -> list[Message]:
        if self._default_system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self._default_system}, *messages]
        return insert_block(messages, block, self.placement)

    def _continue(self, dialogue: Dialogue) -> Prompt | None:
        text = self._followup(self._broken(self.environment.followup(dialogue.observation)), dialogue.conversation[-1])
        ids = dialogue.conversation + self._tokenise(text)
        if len(ids) > self.max_prompt_tokens + self._block_tokens(dialogue):
            return None
        return Prompt(ids, None, text)

    def _block_tokens(self, dialogue: Dialogue) -> int:
        if not (dialogue.block and self.policy_sees_skills):
            return 0
        return len(self._tokenise(dialogue.block))

    def _followup(self, content: str, last_token: int) -> str:
        """The template's text between the assistant's last word and its next one."""
        messages = [
            {"role": "user", "content": "."},
            {"role": "assistant", "content": SENTINEL},
            {"role": "user", "content": content},
        ]
        _, found, suffix = self._render(messages).partition(SENTINEL)
        if not found:
            raise ModelError(
                f"the chat template of {self.tokenizer.name_or_path!r} leaves out what the assistant said: set "
                "rollout.context=window"
            )
        end = self.tokenizer.eos_token or ""
        if end and last_token == self.tokenizer.eos_token_id and suffix.lstrip().startswith(end):
            suffix = suffix.lstrip()[len(end) :]
        return suffix

    def _written(self, messages: list[Message]) -> tuple[str, list[int]]:
        text, ids = self._known(tuple((message["role"], message["content"]) for message in messages))
        return text, list(ids)

    def _write(self, messages: Messages) -> tuple[str, tuple[int, ...]]:
        text = self._render([{"role": role, "content": content} for role, content in messages])
        return text, tuple(self._tokenise(text))

    def _render(self, messages: list[Message]) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self.template_kwargs
            )
        except Exception as error:  # Jinja's, or whatever a method that it calls raises
            raise failed(self.tokenizer, error) from error

    def _tokenise(self, text: str) -> list[int]:
        same = self._numbers.setdefault
        return [same(token, token) for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
