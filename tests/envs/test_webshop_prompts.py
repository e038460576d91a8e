"""What the policy reads: the protocol's parts in full, the same in very few words, and both short enough."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from webshop_shelf import Shelf, goal, product

from sdar_cli.models.word_tokenizer import WORD, words
from sdar_cli.recipe.load import load_recipe
from sdar_envs.base import Exchange, History, Observation
from sdar_envs.webshop import brief as brief_form
from sdar_envs.webshop.actions import read_action
from sdar_envs.webshop.environment import Webshop, WebshopOptions
from sdar_envs.webshop.prompts import CUT, MOST_CHARACTERS, brief_goal, quoted_page, shorten
from sdar_envs.webshop.session import Session
from sdar_envs.webshop.splits import goal_of, task_of

UPSTREAM_MOST = 13_000
"""Characters of a prompt from which on the released code leaves the history out: 4,096 tokens of 3.2 each."""

WAY = ("search[cotton shirt]", "click[b000000000]", "click[red]", "click[small]", "click[buy now]")
BRIEF_WAY = ("search[cotton shirt]", "click[1]", "click[red]", "click[small]", "click[buy now]")


def environment(**options: Any) -> Webshop:
    return Webshop(WebshopOptions.model_validate({"products": "generated"} | options))


def generated(size: int = 60, seed: int = 0, **options: Any) -> Webshop:
    return environment(size=size, seed=seed, test=20, **options)


def history(turns: int, window: int = 2, *, brief: bool = False, **changes: Any) -> History:
    """``turns`` steps of ``WAY`` in a shop of two products; changes are the first product's."""
    shelf = Shelf([product(0, **changes), product(1, name="Wide Cotton Hat")])
    session = Session(shelf, goal(), brief_form.RESULTS_PER_PAGE if brief else 10)  # type: ignore[arg-type]

    def observe() -> Observation:
        return brief_form.observe(session) if brief else Observation(session.page.text, session.page.commands)

    past = []
    for action in (BRIEF_WAY if brief else WAY)[:turns]:
        past.append(Exchange(observe(), action))
        read = read_action(action)
        session.act(brief_form.resolve(read, session) if brief else read)
    task = task_of(goal())
    return History(task, task.goal, tuple(past), observe(), window)


def text_of(shown: History, *, brief: bool = False) -> str:
    (message,) = environment(brief=brief).prompt(shown)
    assert message["role"] == "user"
    return message["content"]


# --- the parts of the protocol ---


@pytest.mark.parametrize("window", [0, 1, 2, 5])
@pytest.mark.parametrize("turns", [0, 1, 2, 4])
def test_a_full_prompt_holds_what_the_protocol_says(window: int, turns: int) -> None:
    shown = history(turns, window)
    text = text_of(shown)
    assert text.count(shown.goal) == 1, "the task, always and once"
    assert f"Steps taken so far: {turns}." in text
    visible = min(window, turns)
    for number, action in enumerate(WAY[:turns], 1):
        assert (f"You did: {action}\n" in text) == (f"Step {number}." in text) == (number > turns - visible)
    assert text.count("You saw:") == text.count("You did:") == visible
    assert text.count("Total results") == (turns - visible <= 1 <= turns), "that page was the second"
    listed = "\n".join(f"'{command}'" for command in shown.observation.admissible)
    assert f"\n{listed}\n" in text
    assert text.count("'click[buy now]'") == (1 if turns >= 2 else 0), "the list of the page that is seen now alone"


@pytest.mark.parametrize("window", [0, 1, 5])
@pytest.mark.parametrize("turns", [0, 1, 2, 4])
def test_a_brief_prompt_holds_the_same_in_few_words(window: int, turns: int) -> None:
    shown = history(turns, window, brief=True)
    text = text_of(shown, brief=True)
    did = "".join(f" did: {action}." for action in BRIEF_WAY[max(0, turns - window) : turns])
    wanted = "soft cotton shirt with color: red, and size: small"
    assert text == f"task: {wanted}. step {turns}.{did} now: {shown.observation.text}"


def test_the_full_prompt_asks_for_both_tags_and_names_the_search() -> None:
    text = text_of(history(0))
    assert "\n'search[<your query>]'\n" in text
    assert "<think> </think>" in text and "<action> </action>" in text
    assert text.index("<think>") < text.index("<action>")


def test_a_page_is_quoted_piece_by_piece_from_the_goal_on() -> None:
    shown = history(1)
    assert quoted_page(shown.observation.text, shown.goal) == (
        "'Back to Search' [SEP] 'Page 1 (Total results: 2)' [SEP] 'B000000000' [SEP] 'Soft Cotton Shirt' [SEP] '$25.0' "
        "[SEP] 'B000000001' [SEP] 'Wide Cotton Hat' [SEP] '$25.0'"
    )
    assert quoted_page(shown.turns[0].observation.text, shown.goal) == "'Search'"
    assert quoted_page("no page [SEP] of the shop", shown.goal) == "'no page' [SEP] 'of the shop'"


@pytest.mark.parametrize("brief", [False, True])
def test_a_turn_in_which_nothing_was_sent_says_so(brief: bool) -> None:
    seen = history(1, brief=brief)
    unsent = History(seen.task, seen.goal, (Exchange(seen.turns[0].observation, ""),), seen.turns[0].observation, 2)
    assert ("did: nothing. now: start" if brief else "You did: (nothing)\n") in text_of(unsent, brief=brief)


def test_a_followup_shows_the_page_and_what_is_possible() -> None:
    seen = history(2).observation
    text = environment().followup(seen)
    assert text.startswith(seen.text) and text.endswith("\n'click[large]'")
    assert environment(brief=True).followup(history(2, brief=True).observation) == (
        "now: soft cotton shirt. color: red, dark blue. size: small, large. buy now."
    )


# --- length ---

LONG = "a very long text of a seller who says all of it twice, "
WORST: dict[str, dict[str, Any]] = {
    "a title that has no end": {"name": f"Cotton Shirt {LONG * 400}"},
    "240 values": {"options": {"color": [f"heather blue {number}" for number in range(240)]}},
    "a few values that are sentences": {"options": {"size": [f"{number} {LONG * 3}" for number in range(12)]}},
}


@pytest.mark.parametrize("case", WORST)
def test_the_longest_product_pages_fit(case: str) -> None:
    shown = history(2, 0, **WORST[case])
    text = text_of(shown)
    assert len(text) <= UPSTREAM_MOST
    assert "'Buy Now'" in text and "'click[buy now]'" in text, "short strings stay whole"
    assert all(f"'{command}'" in text for command in shown.observation.admissible), "what is possible is never cut"


@pytest.mark.parametrize("page", ["Description", "Features"])
def test_the_longest_texts_of_a_product_fit_and_show_that_they_were_cut(page: str) -> None:
    texts = {"description": LONG * 1000, "bullets": tuple(f"{number}: {LONG * 20}" for number in range(40))}
    session = Session(Shelf([product(0, **texts)]), goal())  # type: ignore[arg-type]
    for action in (*WAY[:2], f"click[{page.lower()}]"):
        session.act(read_action(action))
    task = task_of(goal())
    seen = Observation(session.page.text, session.page.commands)
    assert len(seen.text) > 40_000, "the observation itself is whole, as upstream's"
    text = text_of(History(task, task.goal, (), seen, 2))
    assert MOST_CHARACTERS < len(text) < MOST_CHARACTERS + 1500
    assert text.count(f"{CUT}'") == (1 if page == "Description" else 40)
    assert "'< Prev'" in text


def test_ten_results_with_endless_titles_fit() -> None:
    shelf = Shelf([product(number, name=f"Cotton Shirt {LONG * 50}") for number in range(10)])
    session = Session(shelf, goal())  # type: ignore[arg-type]
    session.act(read_action("search[cotton]"))
    task = task_of(goal())
    text = text_of(History(task, task.goal, (), Observation(session.page.text, session.page.commands), 2))
    assert len(text) <= MOST_CHARACTERS + 1500
    assert all(text.count(f"B{number:09X}") == 1 for number in range(10))


def test_two_turns_of_history_fit_on_pages_of_a_usual_size() -> None:
    usual = {"name": f"Cotton Shirt {LONG * 3}", "options": {"size": [f"us {number} wide" for number in range(40)]}}
    assert len(text_of(history(4, 2, **usual))) <= UPSTREAM_MOST


@given(st.lists(st.text("ab ", max_size=60), max_size=12), st.integers(0, 300))
def test_shortening_cuts_the_longest_alone_and_to_one_length(texts: list[str], most: int) -> None:
    cut = shorten(texts, most)
    assert len(cut) == len(texts)
    assert sum(map(len, cut)) <= most + len(CUT) * len(texts)
    shortened = [(old, new) for old, new in zip(texts, cut, strict=True) if old != new]
    assert bool(shortened) <= (sum(map(len, texts)) > most)
    for old, new in shortened:
        assert new.endswith(CUT) and old.startswith(new.removesuffix(CUT))
        assert len(old) > max(map(len, cut)), "what was cut was longer than anything that is left"
        assert len(old) * len(texts) > most, "a string of its share at most is never cut"


# --- the brief form's words ---


def episodes(shop: Webshop, *, wander: bool) -> Iterator[tuple[str, str, Observation]]:
    """Prompt, response and page of every turn along experts, and with ``wander`` of listed clicks by chance."""
    rng = Random(0)
    for task in shop.tasks("test"):
        observation = shop.reset(task)
        turns: tuple[Exchange, ...] = ()
        plan = list(shop.expert(task) or ())
        for action in [*plan[:-1], *[""] * 9] if wander else plan:
            clicks = [command for command in observation.admissible if command.startswith("click")]
            chosen = action or rng.choice(clicks or plan[:1])
            (message,) = shop.prompt(History(task, task.goal, turns, observation, 2))
            yield message["content"], shop.format_response(chosen), observation
            turns = (*turns, Exchange(observation, chosen))
            step = shop.step(chosen)
            observation = step.observation
            if step.done:
                break


@pytest.mark.parametrize("goals", ["synthetic", "human"])
@pytest.mark.parametrize(("size", "seed"), [(300, 0), (300, 3), (1000, 1)])
def test_every_word_that_is_read_or_written_is_in_the_vocabulary(size: int, seed: int, goals: str) -> None:
    shop = generated(size, seed, goals=goals, brief=True)
    known = words(shop.vocabulary())
    largest = max(int(word) for word in known if word.isdigit() and len(word) <= 2)
    assert largest >= 15, "all steps of an episode"
    met: set[str] = set()
    for wander in (False, True):
        for prompt, response, observation in episodes(shop, wander=wander):
            met |= words([prompt, response, *observation.admissible])
    unknown = {word for word in met - known if not word.isdigit() or int(word) > largest}
    assert unknown == {"<action>", "</action>"}, "tags are in every tokenizer"
    assert len(met) > 200


def test_the_brief_form_fits_the_tiny_recipe() -> None:
    recipe = load_recipe("webshop-tiny", [], []).recipe
    options = dict(recipe.environment.options) | {"test": 128}
    longest = [0, 0]
    for prompt, response, _ in episodes(environment(**options), wander=False):
        for place, text in enumerate((prompt, response)):
            longest[place] = max(longest[place], len(regex.findall(WORD, text)))
    assert 60 < longest[0] + 8 <= recipe.rollout.max_prompt_tokens, "the chat template adds a handful"
    assert 10 < longest[1] + 1 <= recipe.rollout.max_response_tokens


@pytest.mark.parametrize("goals", ["synthetic", "human"])
def test_a_brief_goal_keeps_what_is_asked_for_and_drops_how(goals: str) -> None:
    shop = generated(300, goals=goals)
    for split in ("train", "test"):
        for task in shop.tasks(split):
            short, asked = brief_goal(task.goal), goal_of(task)
            values = [option if isinstance(option, str) else f"{option[0]}: {option[1]}" for option in asked.options]
            assert all(part in short for part in (*asked.attributes, *values)), short
            assert asked.query in short.split(",")[0].split()
            said = set(short.replace(",", "").replace(".", "").split())
            assert not said & {"find", "need", "needs", "want", "looking", "me", "my", "friend", "price", "dollars"}
