"""``Environment.facts``: what shapes episodes beside the options, as far as it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from webshop_files import imported, record

from sdar_cli.errors import EnvironmentSetupError
from sdar_cli.evaluation.conditions import episode_options
from sdar_envs.alfworld.environment import Alfworld, AlfworldOptions
from sdar_envs.household.environment import Household, HouseholdOptions
from sdar_envs.search_qa.corpus import FILE
from sdar_envs.search_qa.environment import SearchQa, SearchQaOptions
from sdar_envs.webshop import titles
from sdar_envs.webshop.environment import Webshop, WebshopOptions

DOCUMENTS = ["Kelm is a town.", "Dorn lies by the sea."]


@pytest.fixture(autouse=True)
def _fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(titles.importlib.util, "find_spec", lambda name: None)


# --- WebShop ---


def test_a_generated_store_is_a_fact_when_it_is_there(tmp_path: Path) -> None:
    shop = Webshop(WebshopOptions(products="generated", size=30, seed=3))
    assert shop.facts() == {"title_matcher": "words"}
    assert not (tmp_path / "cache").exists(), "facts make nothing"
    shop.prepare()
    assert shop.facts() == {"products": "30", "store": shop.store.digest[:16], "title_matcher": "words"}


def test_two_imports_differ_in_their_store_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = imported(tmp_path / "one")
    second = imported(tmp_path / "two", [record(name="A lamp")])
    found = [Webshop(WebshopOptions(data=str(store.folder))).facts() for store in (first, second)]
    assert found[0]["store"] == first.digest[:16] != second.digest[:16] == found[1]["store"]


def test_an_official_store_that_is_absent_is_left_out_and_one_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    store = imported(tmp_path / "shop")
    store.close()
    assert Webshop(WebshopOptions(data=str(tmp_path / "none"))).facts() == {"title_matcher": "words"}
    (store.folder / "store.json").write_text("{")
    with pytest.raises(EnvironmentSetupError, match="is damaged"):
        Webshop(WebshopOptions(data=str(store.folder))).facts()


def test_the_title_matcher_is_named_without_loading_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titles.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(titles, "_spacy", lambda: pytest.fail("spaCy was loaded"))
    shop = Webshop(WebshopOptions(products="generated", size=30))
    assert shop.facts()["title_matcher"] == shop.title_matcher == "en_core_web_sm"


# --- Search-QA ---


def own(folder: Path, documents: list[str] = DOCUMENTS) -> SearchQa:
    lines = [json.dumps({"id": str(number), "contents": text}) for number, text in enumerate(documents)]
    (folder / FILE).write_text("\n".join(lines) + "\n")
    return SearchQa(SearchQaOptions(data=str(folder), retriever="bm25"))


def test_a_server_is_named_and_not_asked() -> None:
    assert SearchQa(SearchQaOptions(urls=["http://127.0.0.1:9"])).facts() == {"retriever": "http"}


def test_the_default_retriever_is_the_one_that_is_meant() -> None:
    plain = SearchQa(SearchQaOptions(questions="generated", entities=5))
    named = SearchQa(SearchQaOptions(questions="generated", entities=5, retriever="bm25"))
    assert plain.facts() == named.facts() == {"retriever": "bm25"}
    assert episode_options(plain) == episode_options(named)


def test_a_generated_corpus_is_a_fact_when_it_is_indexed(tmp_path: Path) -> None:
    worlds = [SearchQa(SearchQaOptions(questions="generated", entities=5, seed=seed)) for seed in (1, 2)]
    worlds[0].facts()
    assert not (tmp_path / "cache").exists(), "facts make nothing"
    for world in worlds:
        world.prepare()
    first, second = (world.facts() for world in worlds)
    assert first["retriever"] == "bm25" and first["documents"] == second["documents"] == "125"
    assert len(first["corpus"]) == 16 and first["corpus"] != second["corpus"]


def test_a_corpus_of_ones_own_is_told_from_another_by_its_words_and_its_length(tmp_path: Path) -> None:
    found = []
    for change in ("Dorn lies by the sea.", "Dorn lies by the lake.", "Dorn lies by the sea!!"):
        environment = own(tmp_path, [DOCUMENTS[0], change])
        assert environment.facts() == {"retriever": "bm25"}, "it is not indexed yet"
        environment.prepare()
        found.append(environment.facts())
    assert {facts["documents"] for facts in found} == {"2"}
    assert len({facts["corpus"] for facts in found}) == 3


def test_a_corpus_has_one_hash_wherever_it_lies(tmp_path: Path) -> None:
    found = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        environment = own(tmp_path / name)
        environment.prepare()
        found.append(environment.facts())
    assert found[0] == found[1]


def test_a_corpus_that_is_absent_is_left_out_and_a_damaged_index_is_an_error(tmp_path: Path) -> None:
    environment = own(tmp_path)
    (tmp_path / FILE).rename(tmp_path / "aside")
    assert environment.facts() == {"retriever": "bm25"}
    (tmp_path / "aside").rename(tmp_path / FILE)
    environment.prepare()
    (manifest,) = (tmp_path / "cache").rglob("index.json")
    manifest.write_text("{")
    with pytest.raises(EnvironmentSetupError, match="is damaged"):
        environment.facts()


# --- options that shape an episode ---


def test_what_shapes_an_episode_beside_the_tasks() -> None:
    assert episode_options(Webshop(WebshopOptions(data="x", brief=True))) == {"brief": True}
    assert episode_options(Alfworld(AlfworldOptions(data="x"))) == {"brief": False}
    household = Household(HouseholdOptions(wrong_rules=0.5))
    assert episode_options(household) == {"wrong_rules": 0.5, "show_admissible": True}
    assert household.facts() == {}
    here = SearchQaOptions(urls=["http://127.0.0.1:9"], dialect="queries", timeout=1, tries=1, connections=1, data="x")
    assert episode_options(SearchQa(here)) == episode_options(SearchQa(SearchQaOptions())) == {"brief": False}


@pytest.mark.parametrize("built", [Webshop, SearchQa, Alfworld, Household])
def test_what_is_named_beside_the_episodes_is_an_option(built: type[Webshop]) -> None:
    named = built.beside_episodes - {"data"}
    assert named <= built.Options.beside_tasks <= set(built.Options.model_fields)
