"""The generated world: whose questions one search cannot answer, held apart by islands, the same on every machine."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_cli.errors import EnvironmentSetupError
from sdar_envs.base import Task
from sdar_envs.bm25 import analyse
from sdar_envs.search_qa import names
from sdar_envs.search_qa.generated import World, corpus_lines, open_generated
from sdar_envs.search_qa.questions import COMPARISONS, TEMPLATES, TYPES, make_tasks, wordings
from sdar_envs.search_qa.scoring import exact_match
from sdar_envs.search_qa.world import MOST_ISLANDS, Island, draw_islands, islands_of, pages

LISTS = (*names.COUNTRY, *names.CITY, *names.PERSON, *names.WORK)
WORLDS = [(40, 0), (5, 1), (6, 3), (MOST_ISLANDS, 2)]


def most(split: str, entities: int, seed: int) -> int:
    """How many questions a split has."""
    with pytest.raises(EnvironmentSetupError, match=rf"of {entities} countries has \d+ {split} questions, not 1000000"):
        make_tasks(split, 1_000_000, entities, seed)
    try:
        make_tasks(split, 1_000_000, entities, seed)
    except EnvironmentSetupError as error:
        return int(str(error).split(" has ")[1].split()[0])
    raise AssertionError


def names_of(island: Island) -> Iterator[str]:
    return (title for title, _ in island.pages)


# --- words ---


def test_every_name_word_is_one_stem_of_its_own() -> None:
    stems = Counter(stem for words in LISTS for word in words for stem in analyse(word))
    assert set(stems.values()) == {1}
    assert len(stems) == sum(map(len, LISTS)), "none is a stop word, none is cut in two"


def test_the_words_of_questions_stand_on_no_page() -> None:
    """Names and kinds apart; this is why a question itself finds only what its names name."""
    name_stems = {stem for words in (*LISTS, names.KINDS) for word in words for stem in analyse(word)}
    islands = draw_islands(3, 0)
    on_pages = {stem for island in islands for _, text in island.pages for stem in analyse(text)} - name_stems
    asked = {stem for island in islands for text in wordings(island) for stem in analyse(text)} - name_stems
    assert {"born", "built", "rule", "li"} <= on_pages
    assert {"birthplac", "author", "nation", "capit"} <= asked
    assert not on_pages & asked


# --- the world ---


@pytest.mark.parametrize(("entities", "seed"), WORLDS)
def test_all_names_are_distinct_pairs_of_words(entities: int, seed: int) -> None:
    islands = draw_islands(entities, seed)
    titles = [title for island in islands for title in names_of(island)]
    assert len(titles) == len(set(titles)) == 25 * entities
    assert {len(title.split()) for title in titles} == {2}
    for island in islands:
        words = [word for person in island.people for word in person.name.split()]
        assert len(set(words)) == 16, "neighbours share no name, so no page of another's answers for them"
        assert len({person.year for person in island.people}) == 8


def test_a_world_is_a_function_of_its_seed() -> None:
    assert draw_islands(10, 4) == draw_islands(10, 4)
    assert draw_islands(10, 4) != draw_islands(10, 5)
    assert sorted(pages(10, 4)) == sorted(page for island in draw_islands(10, 4) for page in island.pages)


def test_the_bytes_are_these_on_every_machine() -> None:
    """A change of these hashes changes published panels: raise GENERATOR with it."""
    corpus = "\n".join(corpus_lines(World(5, 0)))
    assert hashlib.sha256(corpus.encode()).hexdigest()[:16] == "d455b10d8ae20de4"
    tasks = "\n".join(f"{t.id} {t.goal} {t.data}" for split in ("train", "test") for t in make_tasks(split, 64, 5, 0))
    assert hashlib.sha256(tasks.encode()).hexdigest()[:16] == "6021506ffd84d072"


# --- splits ---


@pytest.mark.parametrize(("entities", "seed"), WORLDS)
def test_no_test_entity_stands_in_training(entities: int, seed: int) -> None:
    islands = {split: islands_of(split, entities, seed) for split in ("train", "test")}
    assert len(islands["test"]) == entities // 5 and len(islands["train"]) == entities - entities // 5
    own = {split: {name for island in islands[split] for name in names_of(island)} for split in islands}
    assert not own["train"] & own["test"]
    trained = make_tasks("train", most("train", entities, seed), entities, seed)
    tested = make_tasks("test", most("test", entities, seed), entities, seed)
    for tasks, split in ((trained, "train"), (tested, "test")):
        for task in tasks:
            assert set(task.data["searches"]) <= own[split]
            answer = task.data["targets"][0]
            assert answer.isdigit() or answer in own[split]
    for name in own["test"]:
        assert not any(name in task.goal for task in trained)
    assert not {task.goal for task in trained} & {task.goal for task in tested}


def test_both_splits_are_made_of_the_same_words() -> None:
    """So a model whose tokens are words meets none that it has never seen."""
    trained = {word for island in islands_of("train", 40, 0) for name in names_of(island) for word in name.split()}
    tested = {word for island in islands_of("test", 40, 0) for name in names_of(island) for word in name.split()}
    assert tested <= trained


# --- questions ---


@pytest.mark.parametrize(("entities", "seed"), WORLDS)
def test_one_search_for_the_question_never_answers_what_takes_two(entities: int, seed: int) -> None:
    corpus = open_generated(World(entities, seed))
    found: dict[str, list[bool]] = {kind: [] for kind in TYPES}
    for split in ("train", "test"):
        for task in make_tasks(split, most(split, entities, seed), entities, seed):
            held = any(task.data["targets"][0] in document for document in corpus.search(task.goal, 3))
            found[task.task_type].append(held)
    corpus.close()
    assert all(found["one_hop"]), "the control: there it does"
    assert not any(found["two_hop"]) and not any(found["three_hop"])
    assert min(map(len, found.values())) > 80


@pytest.mark.parametrize(("entities", "seed"), WORLDS)
def test_a_name_finds_its_own_page_first(entities: int, seed: int) -> None:
    corpus = open_generated(World(entities, seed))
    for title, text in pages(entities, seed):
        assert corpus.search(title, 1) == [f'"{title}"\n{text}']
    corpus.close()


def test_every_search_can_be_read_off_what_was_found_before() -> None:
    corpus = open_generated(World(5, 1))
    for split in ("train", "test"):
        for task in make_tasks(split, most(split, 5, 1), 5, 1):
            read = task.goal
            for name in task.data["searches"]:
                assert name in read, task.id
                if task.task_type == "comparison":
                    read += corpus.search(name, 3)[0]
                else:
                    read = corpus.search(name, 3)[0]
            (answer,) = task.data["targets"]
            assert answer in read and exact_match(answer, [answer])
            hops = {"one_hop": 1, "two_hop": 2, "three_hop": 3, "comparison": 2}[task.task_type]
            assert len(task.data["searches"]) == hops
    corpus.close()


def test_comparisons_are_right_and_ask_about_either_order() -> None:
    years = {
        thing.name: int(thing.year) for island in draw_islands(40, 0) for thing in (*island.people, *island.cities)
    }
    tasks = [task for task in make_tasks("train", 1024, 40, 0) if task.task_type == "comparison"]
    places = Counter()
    for task in tasks:
        one, other = task.data["searches"]
        (answer,) = task.data["targets"]
        assert years[one] != years[other]
        assert answer == min((one, other), key=years.__getitem__)
        places[task.data["searches"].index(answer)] += 1
    assert min(places.values()) > 0.4 * len(tasks), "the first name is no better a guess than the second"


def test_types_take_turns_and_so_do_wordings() -> None:
    tasks = make_tasks("train", 1024, 40, 0)
    assert [task.task_type for task in tasks[:8]] == list(TYPES) * 2
    templates = Counter(tuple(task.id.split("/")[:2]) for task in tasks)
    assert len(templates) == sum(map(len, TEMPLATES.values())) + len(COMPARISONS)
    assert min(templates[kind, name] for kind, name in templates if kind != "one_hop") >= 64


@settings(max_examples=30)
@given(st.integers(10, 40), st.integers(0, 2**32), st.sampled_from(["train", "test"]), st.integers(1, 60))
def test_fewer_questions_are_the_first_of_more(entities: int, seed: int, split: str, count: int) -> None:
    tasks: list[Task] = make_tasks(split, count, entities, seed)
    assert len({task.id for task in tasks}) == len({task.goal for task in tasks}) == count
    assert tasks == make_tasks(split, 64, entities, seed)[:count]
