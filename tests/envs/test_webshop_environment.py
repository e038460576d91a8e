"""The shop through the environment's protocol, over stores on disk: purchases, their worth, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webshop_files import entry, imported, record, written

from sdar_cli.cli.main import main
from sdar_envs.base import Action, Invalid, Step, Task
from sdar_envs.webshop.environment import Webshop, WebshopOptions

SCARF, HAT, LAMP = "B000000001", "B000000002", "B000000003"
HAT_RECORD = {"name": "Blue Wool Hat", "query": "hat", "product_category": "Hats", "pricing": "$9,000.00"}
LAMP_RECORD = {
    "name": "Steel Lamp",
    "query": "lamp",
    "product_category": "Home › Lamps",
    "full_description": "It shines.",
    "small_description": [],
    "customization_options": {},
}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of three products; the scarf alone has goals: two synthetic ones and one by a person."""
    folder = tmp_path_factory.mktemp("official")
    products = [record(SCARF), record(HAT, **HAT_RECORD), record(LAMP, **LAMP_RECORD)]
    people = [written(instruction="a warm one, please"), written(instruction_options=["red"])]
    imported(folder, products, {SCARF: entry()}, {SCARF: people}).close()
    return str(folder / "store")


def official_shop(store: str, **options: Any) -> Webshop:
    return Webshop(WebshopOptions(data=store, test=1, **options))


def generated(**options: Any) -> Webshop:
    return Webshop(WebshopOptions.model_validate({"products": "generated", "size": 140, "test": 40} | options))


@cache
def reused(brief: bool) -> Webshop:
    return generated(brief=brief)


def find(shop: Webshop, part: str) -> Task:
    """The task whose sentence holds ``part``."""
    (found,) = (task for split in ("train", "test") for task in shop.tasks(split) if part in task.goal)
    return found


def play(shop: Webshop, task: Task, actions: Sequence[str]) -> list[Step]:
    shop.reset(task)
    return [shop.step(action) for action in actions]


# --- a purchase and what it is worth ---


def test_from_the_first_page_to_the_reward(official: str) -> None:
    shop = official_shop(official)
    task = find(shop, "color: green")
    first = shop.reset(task)
    assert first.text == f"WebShop [SEP] Instruction: [SEP] {task.goal} [SEP] Search"
    assert first.admissible == ("search[<your query>]",)
    steps = play(shop, task, ["search[wool scarf]", f"click[{SCARF.lower()}]", "click[green]", "click[buy now]"])
    results, item, chosen, bought = steps
    assert "Page 1 (Total results: 2) [SEP] B000000001 [SEP] Ada Wool Scarf [SEP] $19.5" in results.observation.text
    assert results.observation.admissible == ("click[back to search]", "click[b000000001]", "click[b000000002]")
    assert item.observation.admissible[-2:] == ("click[red | blue]", "click[green]")
    assert item.observation == chosen.observation
    for step in (results, item, chosen):
        assert (step.reward, step.done, step.won, step.score) == (0.0, False, False, 0.0)
    assert (bought.reward, bought.done, bought.won, bought.score) == (10.0, True, True, 1.0)
    assert bought.observation.text.endswith("[SEP] 1.0") and bought.observation.admissible == ()


@pytest.mark.parametrize(
    ("asin", "clicks", "score"),
    [
        (SCARF, ["green"], 1.0),
        (SCARF, [], 2 / 3),
        (SCARF, ["red | blue"], 2 / 3),
        (SCARF, ["red | blue", "green"], 1.0),
        (HAT, ["green"], 2 / 3),  # the wool and the color, far above the limit
        (HAT, [], 1 / 3),
        (LAMP, [], 0.0),  # the price alone, of another kind
    ],
)
@pytest.mark.parametrize("brief", [False, True])
def test_only_a_score_of_1_is_won_and_rewarded(
    asin: str, clicks: list[str], score: float, brief: bool, official: str
) -> None:
    shop = official_shop(official, brief=brief)
    words = {SCARF: "scarf", HAT: "hat", LAMP: "lamp"}[asin]
    opened = "click[1]" if brief else f"click[{asin.lower()}]"
    actions = [f"search[{words}]", opened, *(f"click[{value}]" for value in clicks), "click[buy now]"]
    bought = play(shop, find(shop, "color: green"), actions)[-1]
    assert bought.done
    assert bought.score == pytest.approx(score)
    assert bought.won is (score == 1.0)
    assert bought.reward == (10.0 if score == 1.0 else 0.0)


def test_goals_that_people_wrote(official: str) -> None:
    shop = official_shop(official, goals="human")
    tasks = [*shop.tasks("train"), *shop.tasks("test")]
    assert {task.id for task in tasks} == {f"{SCARF}/human-0", f"{SCARF}/human-1"}
    task = find(shop, "a warm one, please")
    buy = ["search[scarf]", f"click[{SCARF.lower()}]", "click[green]", "click[buy now]"]
    assert play(shop, task, buy)[-1].won


def test_official_goals_have_no_expert_and_generated_ones_have(official: str) -> None:
    shop = official_shop(official)
    assert shop.expert(shop.tasks("test")[0]) is None
    assert generated().expert(generated().tasks("test")[0])


def test_the_shop_closes_for_nobody_and_the_recipe_limits_turns(capsys: pytest.CaptureFixture[str]) -> None:
    shop = generated()
    assert not any(step.done for step in play(shop, shop.tasks("test")[0], ["search[lamp]", "click[< prev]"] * 20))
    limit = ["--recipe", "webshop-tiny", "rollout.max_turns=2", "--expert", "--json"]
    assert main(["play", *limit]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["stop"], record["won"], record["reward"], len(record["turns"])) == ("max_turns", False, 0.0, 2)


# --- pages over the real search ---


def test_pages_hold_the_search_in_its_order_and_lead_to_products() -> None:
    shop = generated()
    words = "machine washable memory foam leather water resistant lightweight paraben free adjustable heavy duty"
    ranked = [asin.lower() for asin in shop.store.search(words, 50)]
    assert len(ranked) == 50
    (step,) = play(shop, shop.tasks("train")[0], [f"search[{words}]"])
    shown: list[str] = []
    for number in range(1, 6):
        listed = [command[6:-1] for command in step.observation.admissible]
        shown += [label for label in listed if label in ranked]
        assert f"Page {number} (Total results: 50)" in step.observation.text
        opened = shop.step(f"click[{shown[-1]}]").observation
        product = shop.store.product(shown[-1].upper())
        assert f" [SEP] {product.name} [SEP] Price: {product.price_tag} [SEP] " in opened.text
        assert {f"click[{value}]" for values in product.options.values() for value in values} <= set(opened.admissible)
        assert f" [SEP] {product.description}" in shop.step("click[description]").observation.text
        shop.step("click[< prev]")
        assert shop.step("click[< prev]").observation == step.observation
        step = shop.step("click[next >]")
    assert shown == ranked


# --- slots over one store ---


@pytest.mark.parametrize("brief", [False, True])
def test_slots_share_a_store_and_do_not_disturb_each_other(brief: bool) -> None:
    prototype = generated(brief=brief)
    tasks = list(prototype.tasks("test")[:6])
    ways = []
    for number, task in enumerate(tasks):
        plan = list(prototype.expert(task) or ())
        ways.append([*plan[:-1], "click[description]", "click[< prev]", plan[-1]] if number % 2 else plan)
    alone = [(prototype.reset(task), play(prototype, task, way)) for task, way in zip(tasks, ways, strict=True)]
    slots = [Webshop(prototype.options) for _ in tasks]
    assert all(slot.store is prototype.store for slot in slots)
    together: list[tuple[Any, list[Step]]] = [(slot.reset(task), []) for slot, task in zip(slots, tasks, strict=True)]
    turns = [number for number, way in enumerate(ways) for _ in way]
    Random(0).shuffle(turns)
    for number in turns:
        steps = together[number][1]
        steps.append(slots[number].step(ways[number][len(steps)]))
    assert together == alone
    assert all(steps[-1].won for _, steps in alone)


def test_a_slot_forgets_the_episode_before() -> None:
    shop = generated()
    first, second = shop.tasks("test")[:2]
    plan = shop.expert(second) or ()
    fresh = play(shop, second, plan)
    for stop in range(4):
        play(shop, first, list(shop.expert(first) or ())[:stop])
        assert play(shop, second, plan) == fresh


def test_a_step_needs_an_episode() -> None:
    with pytest.raises(RuntimeError, match="before reset"):
        generated().step("search[lamp]")


# --- what is sent and what is not ---

HIDDEN = ["<r>", "<q> wool scarf", "<c> fashion", "<a> hand wash", "< R >", "<Q>Scarf"]


@pytest.mark.parametrize("words", HIDDEN)
@pytest.mark.parametrize("brief", [False, True])
def test_hidden_commands_are_invalid_and_do_nothing_on_any_page(words: str, brief: bool, official: str) -> None:
    shop = official_shop(official, brief=brief)
    response = f"<think>a way around</think><action>search[{words}]</action>"
    assert shop.parse(response) == Invalid("hidden command"), "nothing is sent"
    unclosed = shop.parse(f"<think><action>search[{words}]</action>")
    assert unclosed == Invalid("unclosed think tag", fallback=f"search[{words.lower()}]")
    opened = "click[1]" if brief else f"click[{SCARF.lower()}]"
    before = shop.reset(shop.tasks("test")[0])
    for action in ("search[scarf]", opened, "click[features]" if not brief else "click[green]"):
        for sent in (f"search[{words}]", unclosed.fallback):
            step = shop.step(sent)
            assert (step.observation, step.done, step.reward) == (before, False, 0.0)
        before = shop.step(action).observation


def test_a_word_model_that_parts_a_hidden_command_is_refused_too() -> None:
    shop = generated(brief=True)
    assert shop.parse("<action> search [ < r > ] </action>") == Invalid("hidden command")
    assert shop.parse("<action> search [ r ] </action>") == Action("search[r]")


@pytest.mark.parametrize(
    ("response", "reason", "fallback"),
    [
        ("<action>Click[Buy Now]</action>", "no think tag", "click[buy now]"),
        ("<think>x<action>search[a]</action>", "unclosed think tag", "search[a]"),
        ("I would now like to SEARCH[red  shoes]", "no action tag", "o search[red shoes]"),
        ("<think>x</think><action> </action>", "empty action", ""),
        ("", "no action tag", ""),
    ],
)
def test_an_invalid_response_says_why_and_sends_what_upstream_sends(response: str, reason: str, fallback: str) -> None:
    assert generated().parse(response) == Invalid(reason, fallback)


def test_valid_responses_are_read_and_written_alike() -> None:
    full, brief = generated(), generated(brief=True)
    for action in ("search[red shoes]", "click[< prev]", "click[5.5 | wide]", "look around"):
        assert full.parse(full.format_response(action)) == brief.parse(brief.format_response(action)) == Action(action)
    assert brief.parse("<action> search [ red shoes ] </action>") == Action("search[red shoes]")
    assert full.parse("<think> a </think>\n<action> Search[Red\n Shoes] </action>") == Action("search[red shoes]")
    assert isinstance(full.parse("<action>search[red shoes]</action>"), Invalid)


PIECES = ["<think>", "</think>", "<action>", "</action>", "search[", "click[", "]", "lamp", "1", "buy now", "<r>", " "]


@settings(max_examples=150)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=6)).map("".join), max_size=6), st.booleans())
def test_nothing_that_a_model_may_write_raises(responses: list[str], brief: bool) -> None:
    shop = reused(brief)
    shop.reset(shop.tasks("test")[0])
    for response in responses:
        parsed = shop.parse(response)
        assert isinstance(parsed, Action | Invalid)
        for sent in (parsed.text if isinstance(parsed, Action) else parsed.fallback, response):
            assert isinstance(shop.step(sent), Step)
