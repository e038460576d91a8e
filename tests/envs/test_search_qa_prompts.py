"""What the policy reads in Search-QA, in full and in few words; and the words of a tiny model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import regex

from sdar_cli.models.word_tokenizer import ALWAYS, WORD, words
from sdar_cli.skills import Retrieval, SkillBank, render_block
from sdar_envs.base import Exchange, History, Observation, Task
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.search_qa.parsing import REASONS
from sdar_envs.search_qa.prompts import information

TASK = Task("test/nq-0", "nq", "Which bell is old?", {"targets": ("Big Ben",)})
DOCUMENTS = ['"Bell"\nA bell rings.\n', '"Ben"\nBen is "big".']


def environment(**options: object) -> SearchQa:
    return SearchQa(SearchQaOptions.model_validate(options))


def generated(**options: object) -> SearchQa:
    return environment(questions="generated", brief=True, **options)


def history(turns: int, window: int = 4) -> History:
    """Searches, the second turn an invalid one: the same is observed after it."""
    seen = [Observation("Which bell is old?\nhint")]
    actions = []
    for number in range(1, turns + 1):
        if number == 2:
            actions.append("(invalid: two answers)")
            seen.append(seen[-1])
        else:
            actions.append(f"search[query {number}]")
            seen.append(
                Observation(f'<information>{{"result": "Doc 1: \\"T{number}\\"\\nfound {number}\\n"}}</information>')
            )
    past = tuple(Exchange(observation, action) for observation, action in zip(seen, actions, strict=False))
    return History(TASK, "Which bell is old?", past, seen[-1], window)


@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("window", [0, 1, 2, 4])
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4])
def test_a_prompt_holds_what_the_protocol_says(brief: bool, window: int, turns: int) -> None:
    (message,) = environment(brief=brief).prompt(history(turns, window))
    text = message["content"]
    assert message["role"] == "user"
    assert text.count("Which bell is old?") == 1, "the question, always and once"
    assert "hint" not in text, "the first observation is for people"
    latest = {0: 0, 1: 1, 2: 1}.get(turns, turns)
    for number in range(1, turns + 1):
        shown = number > turns - window or number == latest
        if number == 2:
            assert ("(invalid: two answers)" in text) == shown
            assert "found 2" not in text
            continue
        asked = f"search: query {number}\n" if brief else f"<search>query {number}</search>\n"
        assert text.count(asked) == shown
        assert text.count(f"found {number}") == shown, "with what it found, and once"


def test_the_full_prompt_says_how_to_respond_and_counts_the_steps() -> None:
    text = environment(max_searches=2).prompt(history(3))[0]["content"]
    for words_ in ("<think> </think>", "<search> query </search>", "<answer> answer </answer>", "<information>"):
        assert words_ in text
    assert "Steps taken so far: 3. Searches that you may make in all: 2." in text


def test_a_brief_prompt_shows_the_best_document_last_and_no_title_twice() -> None:
    documents = ['"Ann Lee"\nAnn Lee was born in Rye.', '"Rye"\nA town.', '"A"\nAn A  a']
    shown = information(documents)
    seen = History(TASK, "Q?", (Exchange(Observation("Q?"), "search[Rye]"),), Observation(shown), 4)
    text = environment(brief=True).prompt(seen)[0]["content"]
    assert text == "question: Q?\nsearch: Rye\nAn A a\nRye: A town.\nAnn Lee was born in Rye."


def test_a_followup_shows_the_observation_and_asks_again() -> None:
    shown = Observation(information(DOCUMENTS))
    full = environment().followup(shown)
    assert full.startswith(shown.text + "\n") and "<think>" in full
    assert environment(brief=True).followup(shown).splitlines()[-1] == "Bell: A bell rings."


def brief_texts(world: SearchQa, split: str) -> Iterator[tuple[str, str]]:
    """Prompt and response of each turn of the expert."""
    for task in world.tasks(split):
        observation, past = world.reset(task), []
        for action in world.expert(task) or ():
            seen = History(task, task.goal, tuple(past), observation, 4)
            yield world.prompt(seen)[0]["content"], world.format_response(action)
            past.append(Exchange(observation, action))
            observation = world.step(action).observation
        yield observation.text, world.followup(world.reset(task))


def test_a_tiny_models_vocabulary_holds_every_word_of_every_world() -> None:
    """Also of worlds larger than, and with other names than, the one whose expert episodes are sampled."""
    known = words(generated(entities=5).vocabulary()) | set(ALWAYS)
    assert len(known) < 450
    for entities, seed in ((40, 0), (80, 7)):
        world = generated(entities=entities, seed=seed, test=128, train=128)
        for split in world.splits:
            read = words(text for pair in brief_texts(world, split) for text in pair)
            assert read - known == set(), (entities, seed, split)
    said = [f"(invalid: {reason})" for reason in REASONS]
    world.reset(world.tasks("test")[0])
    shown = [world.step(action).observation for action in ("dance", "search[zzz]", "search[]", "answer[zzz]")]
    said += [world.followup(observation) for observation in shown]
    assert words(said) - known == set()


def tokens(text: str) -> int:
    """As the word tokenizer cuts it."""
    return len(regex.findall(WORD, text))


def test_a_brief_prompt_with_its_skills_fits_the_tiny_recipes_limit() -> None:
    """256 tokens; the longest is at the end of three hops."""
    world = generated(test=256)
    bank = SkillBank.from_texts(world.describe_skills() or {})
    blocks = {
        kind: render_block(Retrieval(chosen, {}, True))
        for kind in ("one_hop", "two_hop", "three_hop", "comparison")
        if (chosen := tuple(skill for skill in bank.skills if skill.general or kind in skill.task_types))
    }
    longest = max(blocks.values(), key=lambda block: len(block.split()))
    lengths = []
    for prompt, response in brief_texts(world, "test"):
        lengths.append(tokens(f"{longest}\n{prompt}"))
        if response.startswith("<think>"):
            assert tokens(response) + 1 <= 10, "max_response_tokens of the recipe"
    assert max(lengths) + 16 <= 256, "with the template's own"
    assert max(lengths) > 100, "the control: documents are shown"
