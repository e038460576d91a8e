"""Dense retrieval: vectors against numpy, indexes against brute force, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from retriever_toys import WORDS, no_bar, save_tiny_bert, write_corpus

from sdar_cli.errors import EnvironmentSetupError, ModelError, SdarError
from sdar_cli.retriever import dense as dense_module
from sdar_cli.retriever.dense import Dense
from sdar_cli.retriever.encoder import BATCH, PASSAGE, QUERY, Encoder
from sdar_cli.retriever.engine import Settings
from sdar_cli.retriever.service import Service, plan
from sdar_cli.retriever.store import MANIFEST, build
from sdar_cli.retriever.vectors import read_index

faiss = pytest.importorskip("faiss", reason="the dense extra is not installed")

_RANDOM = Random(5)
PASSAGES = [
    f'"{_RANDOM.choice(WORDS.split())}"\n' + " ".join(_RANDOM.choices(WORDS.split(), k=_RANDOM.randrange(1, 30)))
    for _ in range(3 * BATCH + 7)
]
QUESTIONS = ["capital of france", "loch", "a blue lake in scotland , paris", "abc"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("model") / "e5")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "c.jsonl", PASSAGES)


@pytest.fixture(scope="module")
def flat(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flat") / "index"
    build(corpus, folder, Dense, Settings(model=str(model)), no_bar)
    return folder


def numpy_vectors(model: Path, texts: list[str], tokens: int = 256) -> np.ndarray:
    """One text at a time, so without padding; pooled and normalised in 64 bits."""
    import torch
    from transformers import BertModel, BertTokenizerFast

    tokenizer, bert = BertTokenizerFast.from_pretrained(model), BertModel.from_pretrained(model).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        ids = ids if len(ids) <= tokens else [*ids[: tokens - 1], tokenizer.sep_token_id]
        with torch.no_grad():
            hidden = bert(torch.tensor([ids])).last_hidden_state[0].numpy().astype(np.float64)
        mean = hidden.sum(0) / len(ids)
        rows.append(mean / np.sqrt((mean**2).sum()))
    return np.array(rows)


def brute_force(model: Path) -> np.ndarray:
    """(questions, passages): every score."""
    passages = numpy_vectors(model, [PASSAGE + text for text in PASSAGES])
    return numpy_vectors(model, [QUERY + text for text in QUESTIONS]) @ passages.T


def found(service: Service, topk: int) -> tuple[np.ndarray, np.ndarray]:
    rows = service.retrieve(QUESTIONS, topk)
    return (
        np.array([[int(passage["id"]) for passage, _ in row] for row in rows]),
        np.array([[score for _, score in row] for row in rows]),
    )


def test_vectors_are_e5s(model: Path) -> None:
    """Mixed lengths in one batch, an unknown word, no word, and far too many."""
    texts = [
        "query: capital of france",
        "query: ",
        "passage: zzz",
        "passage: " + "red lake " * 400,
        "query: loch " * 30,
    ]
    encoder = Encoder(str(model), "cpu")
    vectors = encoder.encode(texts)
    assert vectors.shape == (5, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, numpy_vectors(model, texts), atol=2e-6)
    np.testing.assert_allclose(encoder.encode(texts * BATCH), np.tile(vectors, (BATCH, 1)), atol=2e-6)
    assert encoder.encode([]).shape == (0, 16)


def test_a_model_of_fewer_positions_is_cut_there(tmp_path: Path) -> None:
    model = save_tiny_bert(tmp_path / "short", positions=20)
    texts = ["passage: " + "red lake " * 400, "query: loch"]
    np.testing.assert_allclose(Encoder(str(model), "cpu").encode(texts), numpy_vectors(model, texts, 20), atol=2e-6)


@pytest.mark.parametrize("in_memory", [False, True])
def test_flat_is_brute_force(in_memory: bool, model: Path, flat: Path) -> None:
    scores = brute_force(model)
    service = plan(flat, None, Settings(in_memory=in_memory), no_bar)()
    numbers, values = found(service, 10)
    np.testing.assert_allclose(values, -np.sort(-scores, axis=1)[:, :10], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scores, numbers, 1), values, atol=1e-5)
    assert all(len(set(row)) == 10 for row in numbers)


def test_topk_beyond_the_corpus(flat: Path) -> None:
    numbers, values = found(plan(flat, None, Settings(), no_bar)(), 10_000)
    assert sorted(numbers[0]) == list(range(len(PASSAGES)))
    assert np.isfinite(values).all()


def test_hnsw_finds_the_best(model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "LINKED_AT_ONCE", 64)
    build(corpus, tmp_path / "index", Dense, Settings(model=str(model), index_type="hnsw"), no_bar)
    index = read_index(tmp_path / "index" / dense_module.FILE)
    assert isinstance(index, faiss.IndexHNSWFlat)
    assert (index.ntotal, index.hnsw.nb_neighbors(1), index.hnsw.efSearch) == (len(PASSAGES), 64, 128)
    scores = brute_force(model)
    for settings in (Settings(), Settings(ef_search=300), Settings(in_memory=True)):
        numbers, values = found(plan(tmp_path / "index", None, settings, no_bar)(), 3)
        assert list(numbers[:, 0]) == list(scores.argmax(1))
        np.testing.assert_allclose(np.take_along_axis(scores, numbers, 1), values, atol=1e-5)


@pytest.mark.parametrize("kind", ["Flat", "HNSW32", "IVF4,Flat", "SQ8"])
def test_an_index_that_faiss_wrote(kind: str, model: Path, corpus: Path, tmp_path: Path) -> None:
    vectors = numpy_vectors(model, [PASSAGE + text for text in PASSAGES]).astype(np.float32)
    index = faiss.index_factory(16, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    if kind.startswith("IVF"):
        index.nprobe = 4
    faiss.write_index(index, str(tmp_path / "e5.index"))
    scores = brute_force(model)
    for in_memory in (False, True):
        settings = Settings(model=str(model), in_memory=in_memory)
        service = plan(tmp_path / "e5.index", corpus, settings, no_bar)()
        numbers, values = found(service, 3)
        tolerance = 0.05 if kind == "SQ8" else 1e-5
        np.testing.assert_allclose(values, -np.sort(-scores, axis=1)[:, :3], atol=tolerance)
        np.testing.assert_allclose(np.take_along_axis(scores, numbers, 1), values, atol=tolerance)


def test_the_vectors_of_a_built_index_are_not_kept_twice(flat: Path) -> None:
    assert {path.name for path in flat.iterdir()} == {"offsets.npy", MANIFEST, dense_module.FILE}


class TestWhatDoesNotFit:
    def test_another_models_index(self, flat: Path, tmp_path: Path) -> None:
        other = save_tiny_bert(tmp_path / "wide", width=32)
        load = plan(flat, None, Settings(model=str(other)), no_bar)
        with pytest.raises(EnvironmentSetupError, match="vectors of 16 numbers and the model gives 32"):
            load()

    def test_another_corpus(self, flat: Path, model: Path, tmp_path: Path) -> None:
        other = write_corpus(tmp_path / "d.jsonl", PASSAGES[:-1])
        load = plan(flat / dense_module.FILE, other, Settings(model=str(model)), no_bar)
        with pytest.raises(EnvironmentSetupError, match=r"indexes 199 passages and .* holds 198"):
            load()

    def test_distances(self, model: Path, corpus: Path, tmp_path: Path) -> None:
        faiss.write_index(faiss.IndexFlatL2(16), str(tmp_path / "l2.index"))
        with pytest.raises(EnvironmentSetupError, match="does not rank by inner product"):
            plan(tmp_path / "l2.index", corpus, Settings(model=str(model)), no_bar)()

    def test_ef_search_of_a_flat_index(self, flat: Path) -> None:
        with pytest.raises(EnvironmentSetupError, match="--ef-search is for HNSW indexes"):
            plan(flat, None, Settings(ef_search=64), no_bar)()

    @pytest.mark.parametrize("keep", [0, 3, 20, 2000, -1])
    def test_a_cut_index(self, keep: int, flat: Path, model: Path, corpus: Path, tmp_path: Path) -> None:
        whole = (flat / dense_module.FILE).read_bytes()
        (tmp_path / "cut.index").write_bytes(whole[:keep])
        for in_memory in (False, True):
            load = plan(tmp_path / "cut.index", corpus, Settings(model=str(model), in_memory=in_memory), no_bar)
            with pytest.raises(
                EnvironmentSetupError, match=r"cut\.index is damaged or no faiss index \(.*\): rest"
            ) as caught:
                load()
            assert "\n" not in str(caught.value)

    def test_a_text_file(self, model: Path, corpus: Path) -> None:
        with pytest.raises(EnvironmentSetupError, match="is damaged or no faiss index"):
            plan(corpus, corpus, Settings(model=str(model)), no_bar)()

    def test_a_model_is_needed(self, corpus: Path, flat: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="needs its encoder: name it with --model"):
            build(corpus, tmp_path / "index", Dense, Settings(), no_bar)
        with pytest.raises(EnvironmentSetupError, match="is a file, so a faiss index: name its corpus"):
            plan(flat / dense_module.FILE, corpus, Settings(), no_bar)

    @pytest.mark.parametrize(
        ("path", "says"),
        [
            ("./gone", r"there is no model folder \./gone"),
            ("{folder}", "holds no config.json"),
            ("nobody/nothing", "is neither a folder here, nor in the Hugging Face cache"),
            ("{folder}/empty", "cannot be loaded"),
        ],
    )
    def test_a_model_that_is_none(self, path: str, says: str, corpus: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / "config.json").write_text("{}")
        with pytest.raises(ModelError, match=says) as caught:
            build(corpus, tmp_path / "index", Dense, Settings(model=path.format(folder=tmp_path)), no_bar)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "index").exists()

    def test_a_device_that_is_not_there(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(EnvironmentSetupError, match="no CUDA device"):
            Encoder(str(model), "cuda")

    def test_the_extra_is_missing(
        self, model: Path, corpus: Path, flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "faiss", None)
        for attempt in (
            lambda: build(corpus, tmp_path / "index", Dense, Settings(model=str(model)), no_bar),
            lambda: plan(flat, None, Settings(), no_bar),
            lambda: plan(flat / dense_module.FILE, corpus, Settings(model=str(model)), no_bar),
        ):
            with pytest.raises(SdarError, match=r"faiss is not installed: run `pip install 'sdar\[dense\]'`"):
                attempt()
