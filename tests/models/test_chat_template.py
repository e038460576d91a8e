"""Chat templates are programs of others: one that fails, hides words or never ends is a sentence when it is loaded."""

from __future__ import annotations

import inspect
from importlib import resources
from pathlib import Path

import pytest
from hollow_model import TOKENIZER_CONFIG, write
from jinja2 import TemplateError
from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase

from sdar_cli.errors import ModelError
from sdar_cli.models import template_probe
from sdar_cli.models.load import load_tokenizer
from sdar_cli.models.template import check_template
from sdar_cli.models.word_tokenizer import CHAT_TEMPLATE, build_tokenizer
from sdar_cli.recipe.schema import Model
from sdar_cli.recipe.sections.model import NO_VARIABLES
from sdar_cli.rollout.context import Context
from sdar_envs.base import Environment, History, Observation, Options, Task

PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"
LONG = "{% for a in range(99999) %}"
ENDLESS = "{{ 'a' * 10**11 }}"
CASES = (
    "messages[0].role == 'system'",
    "messages | length > 3",
    "messages | length > 100",
    "messages[2:] and messages[2].content | length > 1000",
    "bos_token is not defined",
    "eos_token not in ['</s>', '<|endoftext|>']",
    "'ü' | tojson | length == 3",
    "strftime_now('%Y') | int > 2000",
)
"""Of a later prompt, or of the real thing alone."""


def with_template(template: str):
    tokenizer = build_tokenizer(["look around"])
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if", "fails (TemplateSyntaxError"),
        ("{{ raise_exception('not for you') }}", "fails (TemplateError: not for you)"),
        ("{{ messages[0].content.nothing.at.all }}", "fails (UndefinedError"),
        ("{{ 1 // 0 }}", "fails (ZeroDivisionError"),
        ("{{ messages | nofilter }}", "fails (TemplateAssertionError"),
        ("{% include '/etc/passwd' %}", "fails (TypeError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "fails (SecurityError"),
        ("{{ messages.append(1) }}", "fails (SecurityError"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "fails (RecursionError"),
        ("(" * 100_000, "leaves out what a user says"),
        ("{{ " + "(" * 100_000, "fails ("),
        ("", "leaves out what a user says"),
        ("{{ messages[0].role }}", "leaves out what a user says"),
    ],
)
def test_a_template_that_fails(template: str, said: str) -> None:
    with pytest.raises(ModelError) as error:
        check_template(with_template(template))
    assert said in str(error.value) and error.value.exit_code == 2
    assert len(str(error.value)) < 600 and "chat_template.jinja" in str(error.value)


@pytest.mark.parametrize(
    "template",
    [
        f"{LONG}{LONG}{{% endfor %}}{{% endfor %}}{PLAIN}",
        PLAIN + "{{ 'a' * 10**11 }}",
        PLAIN + LONG + "{{ 'a' * 99 }}{% endfor %}",
        PLAIN + LONG + "{{ messages }}{% endfor %}",
        *(f"{{% if {when} %}}{ENDLESS}{{% endif %}}{PLAIN}" for when in CASES),
    ],
    ids=["loops", "memory", "output", "little by little", *CASES],
)
def test_a_template_that_does_not_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe, "SECONDS", 1)
    with pytest.raises(ModelError, match="does not come to an end within 1 s, 1024 MiB of memory and 1 MiB of text"):
        check_template(with_template(template))


def test_what_cannot_be_tried_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe.sys, "executable", "/bin/sh")  # ends with another code than asked for
    assert not template_probe.ends(PLAIN + "{# of nobody else #}", {})
    done = template_probe.subprocess.CompletedProcess([], template_probe.UNABLE)
    monkeypatch.setattr(template_probe.subprocess, "run", lambda *words, **named: done)
    with pytest.raises(ModelError, match="jinja2 cannot be imported"):
        check_template(with_template(PLAIN + "{# nor this #}"))


def test_templates_as_they_are_used_end_and_say_what_they_are_given() -> None:
    """What renders in the probe's process is what Transformers renders, tag for tag."""
    given = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
    folder = resources.files("trl") / "chat_templates"
    for name in ("qwen2_5", "qwen3", "qwen3_training", "llama3", "gemma", "phi3", "gptoss", "deepseekv3"):
        template = (folder / f"{name}.jinja").read_text(encoding="utf-8")
        render = template_probe.renderer(template, given)
        probes = list(template_probe.probes())
        for conversation in probes[: len(template_probe.LENGTHS)]:
            text = render(conversation)
            assert conversation[0]["content"] in text and conversation[-1]["content"] in text
        assert probes != list(template_probe.probes()), "no template can know the words"
    check_template(with_template((folder / "qwen3_training.jinja").read_text(encoding="utf-8")))
    with pytest.raises(TemplateError):
        template_probe.renderer("{{ raise_exception('x') }}", given)([])


def test_our_own_template_costs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe, "ends", lambda *given: pytest.fail("a process was started"))
    check_template(with_template(CHAT_TEMPLATE))


def test_a_folders_template_is_looked_at_as_it_is_loaded(tmp_path: Path) -> None:
    for template in ("{% if", ["no", "text"], {"a": 1}, [{"name": "other", "template": PLAIN}]):
        with pytest.raises(ModelError):
            load_tokenizer(str(write(tmp_path, tokenizer_config=TOKENIZER_CONFIG | {"chat_template": template})))
    load_tokenizer(str(write(tmp_path, tokenizer_config=TOKENIZER_CONFIG | {"chat_template": PLAIN})))


# -- what only later prompts show ---------------------------------------------------------------------


class Echo(Environment):
    """Says what it is given; nothing is played."""

    name = "echo"
    tasks = reset = step = parse = None

    def prompt(self, history: History) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"{history.goal} {history.observation.text}"}]

    def followup(self, observation: Observation) -> str:
        return observation.text


def context(template: str, **changes) -> Context:
    about = {"kind": "window", "window": 1, "max_prompt_tokens": 99, "placement": "user", "template_kwargs": {}}
    about |= {"policy_sees_skills": False, "teacher": False}
    return Context(environment=Echo(Options()), tokenizer=with_template(template), **about | changes)


def test_a_template_that_fails_in_mid_run(tmp_path: Path) -> None:
    own = context("{% if messages[0].content | length > 40 %}{{ raise_exception('long') }}{% endif %}" + PLAIN)
    with pytest.raises(ModelError, match=r"chat template of .* fails \(TemplateError: long\)"):
        own.prompt(own.open(Task("a", "t", "g" * 50, {}), Observation("o" * 50), ""))


def test_a_template_that_hides_the_assistant() -> None:
    own = context("{{ messages[-1].content }}", kind="full")
    task = Task("a", "t", "goal", {})
    dialogue = own.open(task, Observation("first"), "")
    prompt = own.prompt(dialogue)
    own.advance(dialogue, prompt, [4], "act", Observation("second"))
    with pytest.raises(ModelError, match=r"leaves out what the assistant said: set rollout\.context=window"):
        own.prompt(dialogue)


# -- what a recipe gives it ---------------------------------------------------------------------------


def test_what_the_recipe_gives_a_template_is_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe, "SECONDS", 1)
    thinks = f"{{% if enable_thinking is defined and not enable_thinking %}}{ENDLESS}{{% endif %}}{PLAIN}"
    context(thinks, template_kwargs={"enable_thinking": True})
    check_template(with_template(thinks))
    with pytest.raises(ModelError, match="does not come to an end"):
        context(thinks, template_kwargs={"enable_thinking": False})
    with pytest.raises(ModelError, match=r"fails \(TemplateError: who"):
        context("{% if who %}{{ raise_exception('who') }}{% endif %}" + PLAIN, template_kwargs={"who": [1]})


@pytest.mark.parametrize("name", NO_VARIABLES)
def test_how_a_prompt_is_made_is_no_variable(name: str) -> None:
    with pytest.raises(ValidationError, match=f"model.template_kwargs holds {name}, which is no variable"):
        Model(template_kwargs={name: ENDLESS})


def test_all_parameters_of_transformers_are_refused_but_what_templates_read() -> None:
    own = set(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters)
    assert own - {"self", "kwargs", "tools", "documents"} <= set(NO_VARIABLES)
    Model(template_kwargs={"enable_thinking": False, "tools": [], "documents": None})
