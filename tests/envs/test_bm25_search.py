"""Rankings and scores against an independent reference (``bm25_reference.py``), bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from bm25_reference import ranking
from hypothesis import given, settings
from hypothesis import strategies as st

from sdar_envs.bm25 import Hit, Index
from sdar_envs.webshop.catalogue_files import write_files
from sdar_envs.webshop.catalogue_items import Catalogue
from sdar_envs.webshop.importing import import_store
from sdar_envs.webshop.index_text import index_text
from sdar_envs.webshop.store import Store

WORDS = st.sampled_from(["red", "blue", "wool", "scarf", "scarves", "men's", "3.5", "the", "of", "größe", "x-large"])
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)


@settings(max_examples=60)
@given(
    st.lists(TEXTS, max_size=14),
    st.lists(st.lists(WORDS | st.just("absent"), max_size=6).map(" ".join), min_size=1, max_size=5),
    st.sampled_from([1, 3, 50]),
    st.sampled_from([(0.9, 0.4), (1.2, 0.75), (0.5, 0.0), (2.0, 1.0)]),
)
def test_the_reference_ranks_and_scores_the_same(
    texts: list[str], queries: list[str], k: int, parameters: tuple[float, float]
) -> None:
    k1, b = parameters
    with TemporaryDirectory() as scratch:
        Index.build(Path(scratch) / "index", texts, k1=k1, b=b)
        index = Index.open(Path(scratch) / "index")
        assert len(index) == len(texts)
        for query in queries:
            expected = [Hit(*pair) for pair in ranking(texts, query, k, k1, b)]
            assert index.search(query, k) == expected


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("shop")
    write_files(Catalogue(2000, 3), folder)
    import_store(folder, folder / "store")
    return Store.open(folder / "store")


def test_overlap_at_ten_is_one_over_a_catalogue(shop: Store) -> None:
    asins = [asin for (asin,) in shop.database.execute("SELECT asin FROM products ORDER BY number")]
    texts = [index_text(shop.product(asin)) for asin in asins]
    goals = shop.goals()
    shared = same_order = 0
    queries = [goals[place].instruction for place in range(0, len(goals), len(goals) // 12)]
    for query in queries:
        expected = [asins[document] for document, _ in ranking(texts, query, 10)]
        found = shop.search(query, 10)
        assert len(found) == 10
        shared += len(set(expected) & set(found))
        same_order += expected == found
    assert shared == 10 * len(queries)
    assert same_order == len(queries)


def test_equal_documents_come_by_number(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", ["wool hat", "wool", "wool", "hat", "wool"])
    index = Index.open(tmp_path / "index")
    assert [hit.document for hit in index.search("wool", 3)] == [1, 2, 4]
    assert [hit.document for hit in index.search("wool", 2)] == [1, 2]
    assert index.search("wool", 0) == []
    assert index.search("cotton", 3) == index.search("the", 3) == index.search("", 3) == []


def test_a_repeated_word_counts_as_often(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", ["wool", "hat", "scarf scarf"])
    index = Index.open(tmp_path / "index")
    (once,), (twice,) = index.search("wool", 1), index.search("wool wools", 1)
    assert twice.score == pytest.approx(2 * once.score)


def test_a_score_by_hand(tmp_path: Path) -> None:
    """Two documents of two and one terms: mean 1.5, k1 0.9, b 0.4."""
    Index.build(tmp_path / "index", ["wool hat", "hat"])
    (hit,) = Index.open(tmp_path / "index").search("wool", 5)
    # idf = ln(1 + 1.5 / 1.5); norm = 0.9 (0.6 + 0.4 · 2 / 1.5) = 1.02; score = idf / (1 + 1.02)
    assert hit.document == 0
    assert hit.score == pytest.approx(0.693147 / 2.02, abs=1e-6)


def test_documents_without_terms_do_not_count(tmp_path: Path) -> None:
    Index.build(tmp_path / "full", ["wool hat", "hat"])
    Index.build(tmp_path / "gaps", ["", "wool hat", "the of", "hat", "…"])
    (full,) = Index.open(tmp_path / "full").search("wool", 5)
    (gaps,) = Index.open(tmp_path / "gaps").search("wool", 5)
    assert (gaps.document, gaps.score) == (1, full.score)


def test_threads_may_share_an_index(shop: Store) -> None:
    queries = [goal.instruction for goal in shop.goals()[:200]]
    alone = [shop.search(query) for query in queries]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(shop.search, queries)) == alone
