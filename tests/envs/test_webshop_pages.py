"""The shop's pages and the ways between them, against upstream's text mode, string by string."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webshop_shelf import Shelf, goal, product

from sdar_envs.webshop import brief
from sdar_envs.webshop.actions import Click, Search, is_hidden, read_action, written
from sdar_envs.webshop.pages import done_page, item_page, results_page, start_page, sub_page
from sdar_envs.webshop.session import Session

ASK = "find me a soft cotton shirt with color: red, and size: small, and price lower than 40.00 dollars"
ITEM = (
    f"Instruction: [SEP] {ASK} [SEP] Back to Search [SEP] < Prev [SEP] color [SEP] red [SEP] dark blue [SEP] size "
    "[SEP] small [SEP] large [SEP] Soft Cotton Shirt [SEP] Price: $25.0 [SEP] Rating: N.A. [SEP] Description [SEP] "
    "Features [SEP] Reviews [SEP] Buy Now"
)
ITEM_CLICKS = "back to search|< prev|description|features|reviews|buy now|red|dark blue|small|large"


def shop(count: int = 1, **changes: object) -> Session:
    shelf = Shelf([product(number, **changes) for number in range(count)])
    return Session(shelf, goal())  # type: ignore[arg-type]


def act(session: Session, *actions: str) -> Session:
    for action in actions:
        session.act(read_action(action))
    return session


def clicks(labels: str) -> tuple[str, ...]:
    return tuple(f"click[{label}]" for label in labels.split("|"))


# --- what pages show ---


def test_the_start_page() -> None:
    page = start_page(ASK)
    assert page.text == f"WebShop [SEP] Instruction: [SEP] {ASK} [SEP] Search"
    assert page.commands == ("search[<your query>]",), "click[search] does nothing upstream: it is not listed"


def test_a_page_of_results() -> None:
    products = [product(1), product(2, name="Red  Hat", prices=()), product(3, prices=(5.0, 12.5))]
    page = results_page(ASK, products, 2, 23, last=False)
    assert page.text == (
        f"Instruction: [SEP] {ASK} [SEP] Back to Search [SEP] Page 2 (Total results: 23) [SEP] < Prev [SEP] Next > "
        "[SEP] B000000001 [SEP] Soft Cotton Shirt [SEP] $25.0 [SEP] B000000002 [SEP] Red  Hat [SEP] $100.0 "
        "[SEP] B000000003 [SEP] Soft Cotton Shirt [SEP] $5.0 to $12.5"
    )
    assert page.commands == clicks("back to search|< prev|next >|b000000001|b000000002|b000000003")


@pytest.mark.parametrize(
    ("number", "last", "buttons"),
    [(1, False, "back to search|next >"), (1, True, "back to search"), (5, True, "back to search|< prev")],
)
def test_only_buttons_that_lead_somewhere_are_on_a_page_of_results(number: int, last: bool, buttons: str) -> None:
    assert results_page(ASK, [], number, 0, last=last).commands == clicks(buttons)


def test_a_product_page() -> None:
    page = item_page(ASK, product())
    assert page.text == ITEM
    assert page.commands == clicks(ITEM_CLICKS)


def test_labels_are_listed_once_and_empty_ones_not() -> None:
    page = item_page(ASK, product(options={"size": ("small", "", "2  pack"), "fit": ("small", "reviews")}))
    assert page.commands == clicks("back to search|< prev|description|features|reviews|buy now|small|2 pack")


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("Description", " [SEP] A shirt for every day."),
        ("Features", " [SEP] Machine wash cold [SEP] Made of cotton"),
        ("Reviews", ""),
    ],
)
def test_sub_pages(name: str, texts: str) -> None:
    page = sub_page(ASK, product(), name)
    assert page.text == f"Instruction: [SEP] {ASK} [SEP] Back to Search [SEP] < Prev{texts}"
    assert page.commands == clicks("back to search|< prev")


def test_the_last_page_says_the_score() -> None:
    assert done_page(0.75).text == "Thank you for shopping with us! [SEP] Your score (min 0.0, max 1.0) [SEP] 0.75"
    assert done_page(1.0).commands == ()


# --- reading actions ---


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("search[Red Shoes]", Search("red shoes")),
        ("  click[Buy Now]  ", Click("buy now")),
        ("click[< prev]", Click("< prev")),
        ("click[size [eu] 42]", Click("size [eu] 42")),
        ("search[red] and then more", Search("red")),
        ("search[red] b]", Search("red] b")),
        ("search[a [b] c]", None),
        ("search[]", None),
        ("search[  ]", None),
        ("search [red]", None),
        ("search red", None),
        ("please search[red]", None),
        ("buy[now]", None),
        ("search[red", None),
        ("", None),
    ],
)
def test_actions_are_read_as_upstream_reads_them(text: str, action: Search | Click | None) -> None:
    assert read_action(text) == action


def test_a_word_model_may_part_the_brackets() -> None:
    assert read_action("search [ red shoes ]", loose=True) == Search("red shoes")
    assert read_action("click [ < prev ]", loose=True) == Click("< prev")


@given(st.text(max_size=30))
def test_reading_is_total_and_written_actions_are_read_again(text: str) -> None:
    for action in (read_action(text), read_action(f"search[{text}]"), read_action(f"click[{text}]")):
        if action is not None:
            assert read_action(written(action)) == action


# --- ways between pages ---


def test_five_pages_of_ten_results() -> None:
    session = act(shop(60), "search[cotton]")
    shown = []
    for number in range(1, 6):
        assert f"Page {number} (Total results: 50)" in session.page.strings
        shown += [label for label in session.page.labels if label.startswith("b0")]
        assert ("next >" in session.page.labels) == (number < 5)
        act(session, "click[next >]")
    assert len(shown) == len(set(shown)) == 50
    assert session.number == 5, "there is no sixth page"
    act(session, *["click[< prev]"] * 6)
    assert session.number == 1 and session.place == "results"


def test_paging_does_not_search_again() -> None:
    shelf = Shelf([product(number) for number in range(30)])
    act(Session(shelf, goal()), "search[cotton]", "click[next >]", "click[b00000000A]", "click[< prev]")  # type: ignore[arg-type]
    assert shelf.searches == 1


def test_going_back_from_a_product_returns_to_its_page_of_results() -> None:
    session = act(shop(30), "search[cotton]", "click[next >]", "click[b00000000b]", "click[red]", "click[< prev]")
    assert (session.place, session.number, session.chosen, session.product) == ("results", 2, {}, None)


def test_going_back_from_a_sub_page_keeps_what_was_chosen() -> None:
    session = act(shop(), "search[cotton]", "click[b000000000]", "click[dark blue]", "click[features]")
    assert session.place == "sub"
    act(session, "click[< prev]")
    assert (session.place, session.chosen) == ("item", {"color": "dark blue"})
    assert session.page.text == ITEM, "the text mode marks no choice"


def test_a_second_choice_replaces_the_first() -> None:
    session = act(shop(), "search[cotton]", "click[b000000000]", "click[red]", "click[small]", "click[dark blue]")
    assert session.chosen == {"color": "dark blue", "size": "small"}


def test_choices_are_forgotten_with_another_visit() -> None:
    session = act(shop(2), "search[cotton]", "click[b000000000]", "click[red]", "click[< prev]", "click[b000000000]")
    assert session.chosen == {}
    act(session, "click[red]", "search[cotton]", "click[b000000001]")
    assert session.chosen == {}


def test_a_search_is_possible_on_every_page() -> None:
    ways = ((), ("search[cotton]",), ("search[cotton]", "click[b000000000]"))
    for way in (*ways, (*ways[2], "click[reviews]")):
        session = act(shop(2), *way, "search[soft shirt]")
        assert (session.place, session.number, len(session.results)) == ("results", 1, 2)


def test_a_search_without_results_and_the_way_out() -> None:
    session = act(shop(), "search[kettle]")
    assert session.page.strings[2:] == ("Back to Search", "Page 1 (Total results: 0)")
    act(session, "click[back to search]")
    assert session.page == start_page(ASK)


def test_back_to_search_forgets_all() -> None:
    session = act(shop(), "search[cotton]", "click[b000000000]", "click[red]", "click[back to search]")
    assert (session.place, session.chosen, session.product, session.results) == ("start", {}, None, [])


def test_a_value_of_two_options_belongs_to_the_last() -> None:
    session = shop(options={"size": ("one", "two"), "pack": ("one",)})
    assert act(session, "search[cotton]", "click[b000000000]", "click[one]").chosen == {"pack": "one"}


def test_a_button_goes_before_an_option_of_its_name() -> None:
    session = act(shop(options={"style": ("description", "next >")}), "search[cotton]", "click[b000000000]")
    assert act(session, "click[next >]").chosen == {"style": "next >"}, "no such button here"
    assert act(session, "click[description]").place == "sub"


def test_buying_ends_the_session() -> None:
    session = act(shop(), "search[cotton]", "click[b000000000]", "click[red]", "click[small]", "click[buy now]")
    assert session.outcome is not None and session.outcome.total == 1.0
    page = session.page
    assert act(session, "search[cotton]", "click[back to search]", "click[buy now]").page == page


@pytest.mark.parametrize(
    "action",
    ["click[search]", "click[buy now]", "click[b000000000]", "click[next >]", "look", "", "click[]", "search[ ]"],
)
def test_what_the_page_does_not_offer_changes_nothing(action: str) -> None:
    assert act(shop(), action).page == start_page(ASK)


@pytest.mark.parametrize("command", ["<r>", "<q> cotton shirts", "<c> fashion", "<a> machine wash", "< q > x", "<Q> x"])
def test_hidden_commands_are_refused_on_every_page(command: str) -> None:
    assert is_hidden(command)
    shelf = Shelf([product(0)])
    session = Session(shelf, goal())  # type: ignore[arg-type]
    for way in ((), ("search[cotton]",), ("click[b000000000]",), ("click[features]",)):
        act(session, *way)
        page, searches = session.page, shelf.searches
        act(session, f"search[{command}]")
        assert (session.page, shelf.searches) == (page, searches)


@pytest.mark.parametrize("words", ["<3 necklace", "a <q> b", "q", "<qq> x", "(r)"])
def test_other_searches_are_not_hidden_commands(words: str) -> None:
    assert not is_hidden(words)


LABELS = st.sampled_from([*ITEM_CLICKS.split("|"), "next >", "b000000000", "b00000000f", "search", "1", "9", "zzz"])
ACTIONS = st.one_of(LABELS.map("click[{}]".format), st.sampled_from(["search[cotton]", "search[kettle]"]), st.text())


@settings(max_examples=200)
@given(st.lists(ACTIONS, max_size=25))
def test_no_way_through_the_shop_fails_and_every_listed_click_is_taken(actions: list[str]) -> None:
    for in_brief in (False, True):
        shelf = Shelf([product(number) for number in range(16)])
        session = Session(shelf, goal(), 4 if in_brief else 10)  # type: ignore[arg-type]
        for text in actions:
            read = read_action(text, loose=in_brief)
            session.act(brief.resolve(read, session) if in_brief else read)
            listed = brief.observe(session).admissible if in_brief else session.page.commands
            assert all(count == 1 for count in Counter(listed).values())
            assert (session.outcome is not None) == (session.place == "done") == (not listed)
            for command in listed:
                read = read_action(command, loose=in_brief)
                label = brief.resolve(read, session) if in_brief else read
                if isinstance(label, Click):
                    assert label.label in session.page.labels


# --- the brief form ---


def test_the_brief_form_shows_titles_numbers_and_options() -> None:
    shelf = Shelf([product(number, name=f"Cotton Shirt {'ABCDEFG'[number]}") for number in range(6)])
    session = Session(shelf, goal(), brief.RESULTS_PER_PAGE)  # type: ignore[arg-type]

    def after(action: str) -> tuple[str, str]:
        session.act(brief.resolve(read_action(action, loose=True), session))
        seen = brief.observe(session)
        return seen.text, " ".join(seen.admissible)

    assert after("look") == ("start", "search[words]")
    assert after("search [ cotton ]") == (
        "results: 1 cotton shirt a; 2 cotton shirt b; 3 cotton shirt c; 4 cotton shirt d; next >.",
        "click[1] click[2] click[3] click[4] click[next >] click[back to search]",
    )
    assert after("click [ next > ]") == (
        "results: 1 cotton shirt e; 2 cotton shirt f.",
        "click[1] click[2] click[< prev] click[back to search]",
    )
    assert after("click [ 3 ]")[0].startswith("results: 1"), "there is no third one"
    buttons = "click[buy now] click[< prev] click[back to search]"
    assert after("click [ 2 ]") == (
        "cotton shirt f. color: red, dark blue. size: small, large. buy now.",
        f"click[red] click[dark blue] click[small] click[large] {buttons}",
    )
    assert after("click [ dark blue ]") == (
        "cotton shirt f. dark blue. size: small, large. buy now.",
        f"click[small] click[large] {buttons}",
    )
    assert after("click [ features ]") == ("machine wash cold made of cotton", "click[< prev] click[back to search]")
    assert after("click [ < prev ]")[0] == "cotton shirt f. dark blue. size: small, large. buy now."
    assert after("click [ buy now ]") == ("done, score 0.50", "")


def test_the_brief_form_reads_labels_whose_punctuation_was_parted() -> None:
    session = shop(options={"size": ("x-large", "5.5 | wide")})
    act(session, "search[cotton]", "click[b000000000]")
    for said, value in (("x - large", "x-large"), ("5 . 5 | wide", "5.5 | wide")):
        session.act(brief.resolve(read_action(f"click [ {said} ]", loose=True), session))
        assert session.chosen == {"size": value}
    assert brief.observe(act(shop(), "search[kettle]")).text == "results: none."
