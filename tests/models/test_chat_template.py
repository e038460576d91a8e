"""Chat templates are programs of others: one that fails, hides words or never ends is a sentence when it is loaded."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hollow_model import TOKENIZER_CONFIG, write
from jinja2 import TemplateError

from sdar_cli.errors import ModelError
from sdar_cli.models import template_probe
from sdar_cli.models.load import load_tokenizer
from sdar_cli.models.template import check_template
from sdar_cli.models.word_tokenizer import CHAT_TEMPLATE, build_tokenizer
from sdar_cli.rollout.context import Context
from sdar_envs.base import Environment, History, Observation, Options, Task

PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"
LONG = "{% for a in range(99999) %}"


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
        f"{{% if messages[0].role == 'system' %}}{LONG}{LONG}{{% endfor %}}{{% endfor %}}{{% endif %}}{PLAIN}",
    ],
    ids=["loops", "memory", "output", "little by little", "after a system message"],
)
def test_a_template_that_does_not_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe, "SECONDS", 1)
    with pytest.raises(ModelError, match="does not come to an end within 1 s, 1024 MiB of memory and 1 MiB of text"):
        check_template(with_template(template))


def test_what_cannot_be_tried_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe.sys, "executable", "/bin/sh")  # ends with another code than asked for
    assert not template_probe.ends(PLAIN + "{# of nobody else #}")
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
        (asked,), more = probes = template_probe.probes()
        first, both = template_probe.render_all(template, given, probes)
        assert asked["content"] in first and more[-1]["content"] in both
        assert probes != template_probe.probes(), "no template can know the words"
    check_template(with_template((folder / "qwen3_training.jinja").read_text(encoding="utf-8")))
    with pytest.raises(TemplateError):
        template_probe.render_all("{{ raise_exception('x') }}", given, template_probe.probes())


def test_our_own_template_costs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_probe, "ends", lambda template: pytest.fail("a process was started"))
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
