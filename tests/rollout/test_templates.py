"""Prompt, chat template and parser agree, for every environment under Qwen2.5's and Qwen3's own templates.

1. A prompt ends where the model writes; with thinking off, behind Qwen3's shut think block.
2. That block belongs to the prompt: the parser sees what the policy wrote, and the prompts that need thoughts ask
   for them. So a response as the prompt asks for it is valid whatever the switch says.
3. With thinking on, Qwen3's own ``<think>`` serves as the thoughts. One more, as asked for, is one too many, which
   is why the released settings switch it off.
4. Later turns under full context add exactly the template's text, once, whether or not the end was sampled.
"""

from __future__ import annotations

import pytest
from chat_templates import (
    ASSISTANT,
    END,
    QWEN_SAYS,
    SHUT,
    TEMPLATES,
    THINK,
    USER,
    Scene,
    Template,
    context,
    response,
    tokenizer,
)
from chat_templates import scene as scene_of

from sdar_cli.recipe.load import load_recipe
from sdar_cli.rollout.context import Context, Dialogue
from sdar_envs.base import Action, Invalid

BLOCK = "Skills:\nBe thorough."

scenes = pytest.mark.parametrize("scene", THINK, indirect=True)
thoughtful = pytest.mark.parametrize("scene", [name for name, needed in THINK.items() if needed], indirect=True)
templates = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)


@pytest.fixture
def scene(request: pytest.FixtureRequest) -> Scene:
    return scene_of(request.param)


def opened(made: Context, scene: Scene, block: str = "") -> Dialogue:
    return made.open(scene.task, scene.first, block)


def heard(made, text: str, *, ended: bool = True) -> tuple[list[int], str]:
    """Tokens that a policy sampled for a response, and the text that the parser gets of them."""
    ids = made(text, add_special_tokens=False)["input_ids"] + [made.eos_token_id] * ended
    return ids, made.decode(ids, skip_special_tokens=True)


def user_message(made: Context, scene: Scene) -> str:
    dialogue = opened(made, scene)
    (message,) = scene.environment.prompt(made._history(dialogue, 0))
    return message["content"]


@scenes
@templates
@pytest.mark.parametrize("kind", ["window", "full"])
def test_a_prompt_ends_where_the_model_writes(scene: Scene, template: Template, kind: str) -> None:
    made = context(scene, template, kind=kind)
    prompt = made.prompt(opened(made, scene))
    message = user_message(made, scene)
    assert prompt.text == f"{template.opening}{USER}{message}{END}\n{template.start}"
    assert made.tokenizer.decode(prompt.ids) == prompt.text
    assert scene.task.goal in message


@scenes
@templates
def test_a_response_as_the_prompt_asks_is_valid(scene: Scene, template: Template) -> None:
    environment, made = scene.environment, tokenizer(template)
    for turn in scene.turns:
        _, text = heard(made, response(turn))
        assert environment.parse(text) == Action(turn.action)


@thoughtful
@templates
def test_the_prompt_asks_for_the_thoughts_that_the_parser_demands(scene: Scene, template: Template) -> None:
    made = context(scene, template)
    message = user_message(made, scene)
    assert "<think>" in message and "</think>" in message
    _, text = heard(made.tokenizer, response(scene.turns[0], thought=None))
    assert scene.environment.parse(text).reason == "no think tag"


@scenes
def test_a_shut_think_block_is_no_thought_of_the_policy(scene: Scene) -> None:
    """It stands in the prompt, so that an action alone is as valid or invalid as under any other template."""
    template = TEMPLATES["qwen3, thinking off"]
    made = context(scene, template)
    assert made.prompt(opened(made, scene)).text.endswith(SHUT)
    _, text = heard(made.tokenizer, response(scene.turns[0], thought=None))
    assert "<think>" not in text
    assert isinstance(scene.environment.parse(text), Invalid if scene.think else Action)


@scenes
@pytest.mark.parametrize("name", ["qwen3, thinking on", "qwen3, thinking off"])
def test_thoughts_in_the_templates_own_manner_are_valid(scene: Scene, name: str) -> None:
    """``<think>``, lines, ``</think>``, an empty line, the answer: how Qwen3 writes when it thinks."""
    turn = scene.turns[0]
    _, text = heard(tokenizer(TEMPLATES[name]), f"<think>\nFirst this.\n\nThen that.\n</think>\n\n{turn.reply}")
    assert scene.environment.parse(text) == Action(turn.action)


@scenes
def test_thinking_twice_is_invalid(scene: Scene) -> None:
    """Qwen3's own thoughts, and then those that the prompt asks for: thinking on asks for trouble."""
    made = tokenizer(TEMPLATES["qwen3, thinking on"])
    _, text = heard(made, f"<think>\nOwn thoughts.\n</think>\n\n{response(scene.turns[0])}")
    parsed = scene.environment.parse(text)
    assert isinstance(parsed, Invalid) and parsed.reason == "two thinks"


@scenes
@templates
def test_a_response_cut_off_in_its_thoughts_is_invalid(scene: Scene, template: Template) -> None:
    _, text = heard(tokenizer(template), "<think>I look at the", ended=False)
    assert isinstance(scene.environment.parse(text), Invalid)


@scenes
@templates
def test_a_windowed_prompt_is_one_message_however_many_turns(scene: Scene, template: Template) -> None:
    made = context(scene, template)
    dialogue = opened(made, scene)
    for turn in scene.turns:
        prompt = made.prompt(dialogue)
        ids, _ = heard(made.tokenizer, response(turn))
        made.advance(dialogue, prompt, ids, turn.action, turn.observation)
    text = made.prompt(dialogue).text
    assert text.startswith(template.opening + USER) and text.endswith(f"{END}\n{template.start}")
    assert text.count(USER) == text.count(ASSISTANT) == 1
    assert "I look first." not in text, "thoughts are not carried on"
    for turn in scene.turns:
        assert turn.action in text or turn.reply in text
    assert scene.task.goal in text


@scenes
@templates
@pytest.mark.parametrize("ended", [True, False], ids=["end sampled", "cut off"])
@pytest.mark.parametrize("thought", ["I look first.", None], ids=["thought", "no thought"])
def test_full_context_adds_what_the_template_says(
    scene: Scene, template: Template, ended: bool, thought: str | None
) -> None:
    """Exact text. Earlier thoughts stay, which Qwen3's template would drop: a policy is trained on what it saw."""
    made = context(scene, template, kind="full")
    dialogue = opened(made, scene)
    expected = f"{template.opening}{USER}{user_message(made, scene)}{END}\n{template.start}"
    for turn in scene.turns:
        prompt = made.prompt(dialogue)
        assert made.tokenizer.decode(prompt.ids) == expected
        ids, _ = heard(made.tokenizer, response(turn, thought), ended=ended)
        made.advance(dialogue, prompt, ids, turn.action, turn.observation)
        followup = scene.environment.followup(turn.observation)
        expected += f"{response(turn, thought)}{END}\n{USER}{followup}{END}\n{template.start}"
    last = made.prompt(dialogue)
    assert made.tokenizer.decode(last.ids) == expected
    assert last.teacher_ids is None, "a teacher reads the whole trajectory with the first prompt"


@scenes
def test_full_context_is_what_qwen2_5_renders_in_one_go(scene: Scene) -> None:
    made = context(scene, TEMPLATES["qwen2.5"], kind="full")
    dialogue = opened(made, scene)
    messages = [{"role": "user", "content": user_message(made, scene)}]
    for turn in scene.turns:
        ids, text = heard(made.tokenizer, response(turn))
        made.advance(dialogue, made.prompt(dialogue), ids, turn.action, turn.observation)
        messages += [
            {"role": "assistant", "content": text},
            {"role": "user", "content": scene.environment.followup(turn.observation)},
        ]
    whole = made.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert made.tokenizer.decode(made.prompt(dialogue).ids) == whole


@scenes
@templates
@pytest.mark.parametrize("kind", ["window", "full"])
def test_skills_stand_in_front_of_the_user_message(scene: Scene, template: Template, kind: str) -> None:
    """The teacher reads the student's prompt and the skills, and nothing else differs."""
    made = context(scene, template, kind=kind)
    prompt = made.prompt(opened(made, scene, BLOCK))
    teacher = made.tokenizer.decode(prompt.teacher_ids)
    assert teacher == prompt.text.replace(USER, f"{USER}{BLOCK}\n\n", 1)
    assert BLOCK not in prompt.text


@scenes
@templates
@pytest.mark.parametrize("kind", ["window", "full"])
def test_skills_stand_in_the_system_message(scene: Scene, template: Template, kind: str) -> None:
    """Behind what the template says there of its own accord, which stays."""
    made = context(scene, template, kind=kind, placement="system")
    prompt = made.prompt(opened(made, scene, BLOCK))
    own = f"{QWEN_SAYS}\n\n" if template.opening else ""
    expected = f"<|im_start|>system\n{own}{BLOCK}{END}\n{prompt.text.removeprefix(template.opening)}"
    assert made.tokenizer.decode(prompt.teacher_ids) == expected


@scenes
@templates
@pytest.mark.parametrize("placement", ["user", "system"])
def test_a_policy_that_reads_skills_keeps_them_in_full_context(
    scene: Scene, template: Template, placement: str
) -> None:
    made = context(scene, template, kind="full", placement=placement).seen_by(skills=True)
    dialogue = opened(made, scene, BLOCK)
    first = made.prompt(dialogue)
    turn = scene.turns[0]
    ids, _ = heard(made.tokenizer, response(turn))
    made.advance(dialogue, first, ids, turn.action, turn.observation)
    second = made.tokenizer.decode(made.prompt(dialogue).ids)
    assert second.startswith(first.text) and second.count(BLOCK) == 1
    assert second.endswith(template.start)


@pytest.mark.parametrize("model", ["qwen2.5-3b", "qwen2.5-7b", "qwen3-1.7b"])
@thoughtful
def test_the_recipes_switch_template_and_parser_go_together(scene: Scene, model: str) -> None:
    """What the shipped recipe passes to its model's template leaves one place for thoughts: the response."""
    recipe = load_recipe(f"{scene.environment.name}-{model}", check_environment=False).recipe
    template = TEMPLATES["qwen2.5" if model.startswith("qwen2.5") else "qwen3, thinking off"]
    assert recipe.model.template_kwargs == template.kwargs
    made = context(scene, template, kind=recipe.rollout.context, placement=recipe.skills.placement)
    prompt = made.prompt(opened(made, scene, BLOCK))
    assert prompt.text.endswith(template.start)
    tail = prompt.text.rpartition(ASSISTANT)[2]
    assert tail.count("<think>") == tail.count("</think>"), "no thought is left open for the model to close"
    _, text = heard(made.tokenizer, response(scene.turns[0]))
    assert scene.environment.parse(text) == Action(scene.turns[0].action)


@thoughtful
def test_thinking_is_on_where_nothing_is_said(scene: Scene) -> None:
    """Qwen3's default, which the recipes for Qwen3 must therefore override."""
    unsaid = context(scene, TEMPLATES["qwen3, thinking off"], template_kwargs={})
    assert unsaid.prompt(opened(unsaid, scene)).text.endswith(ASSISTANT)
