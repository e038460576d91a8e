"""Where a person trusts a model's code, an adapter's folder chooses neither whose that is nor brings its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hollow_model
import pytest
from hollow_model import TOKENIZER_CONFIG, write, write_adapter, write_json

from sdar_cli.errors import ModelError
from sdar_cli.evaluation.evaluate import _weights, own_model
from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.models.merge import merged_adapter
from sdar_cli.models.whose_code import check_code
from sdar_cli.recipe.load import load_recipe
from sdar_cli.recipe.trust import VARIABLE
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.base import _full_weights, _started

CODE = "open({mark!r}, 'w').close()\nfrom transformers import PreTrainedTokenizerFast\n"
CODE += "class Words(PreTrainedTokenizerFast):\n    pass\n"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


def with_code(folder: Path, mark: Path, reference: str = "code.Words") -> Path:
    """The folder's tokenizer is made by code, which leaves a mark."""
    told = {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": [None, reference]}}
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG | told)
    (folder / "code.py").write_text(CODE.format(mark=str(mark)))
    return folder


def test_an_adapters_base_is_not_trusted_by_a_file(tmp_path: Path) -> None:
    """Only the recipe's model, or the base of the adapter's own run, may bring code that is run."""
    foreign = write(tmp_path / "foreign")
    adapter = write_adapter(tmp_path / "adapter", foreign)
    with pytest.raises(ModelError, match="is not the recipe's model, so its code is not trusted: name the base in"):
        load_model(str(adapter), trust_remote_code=True)
    load_model(str(adapter))
    load_model(str(adapter), trust_remote_code=True, own=str(foreign))
    run = write(tmp_path / "run" / "base").parent
    checkpoint = str(write_adapter(run / "checkpoints" / "step-1", run / "base"))
    with pytest.raises(ModelError, match="is not the recipe's model"):  # a folder that looks like a run's is none
        load_model(checkpoint, trust_remote_code=True)
    write_json(run / "run.json", "{}")
    load_model(checkpoint, trust_remote_code=True)


def test_an_adapter_brings_no_code(tmp_path: Path) -> None:
    base, mark = write(tmp_path / "base"), tmp_path / "ran"
    adapter = str(with_code(write_adapter(tmp_path / "adapter", base), mark))
    for own in (None, str(base)):
        with pytest.raises(ModelError, match=r"tokenizer_config\.json would run code of its own \('code\.Words'"):
            load_tokenizer(adapter, trust_remote_code=True, own=own)
    with pytest.raises(ModelError, match="would run code of its own"):
        merged_adapter(adapter, tmp_path / "out", trust_remote_code=True, own=str(base))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["config.json", "processor_config.json"])
@pytest.mark.parametrize("told", [{"AutoConfig": "code.Config"}, ["code.A", None], {"A": {"b": ["code.C"]}}, "code.D"])
def test_wherever_it_says_so(tmp_path: Path, name: str, told: Any) -> None:
    adapter = write_adapter(tmp_path / "adapter", "some/base")
    write_json(adapter / name, hollow_model.CONFIG | {"auto_map": told})
    with pytest.raises(ModelError, match="would run code of its own"):
        load_tokenizer(str(adapter), trust_remote_code=True, own="some/base")


def test_what_a_run_saved_is_the_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    run = write(tmp_path / "run" / "base").parent
    write_json(run / "run.json", "{}")
    checkpoint = with_code(write_adapter(run / "checkpoints" / "step-1", run / "base"), mark)
    load_tokenizer(str(checkpoint), trust_remote_code=True)
    assert mark.exists()


def test_the_recipes_model_may_be_an_adapter(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    adapter = with_code(write_adapter(tmp_path / "adapter", write(tmp_path / "base")), mark)
    load_tokenizer(str(adapter), trust_remote_code=True, own=str(adapter))
    assert mark.exists()


def test_code_of_another_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter may name the code of the recipe's model, as Transformers writes it down, and none else."""
    adapter = with_code(write_adapter(tmp_path / "adapter", "some/base"), tmp_path / "ran", "other/repo--code.Words")
    for own in (None, "some/base", "other/rep"):
        with pytest.raises(ModelError, match=r"'other/repo--code\.Words' in auto_map"):
            load_tokenizer(str(adapter), trust_remote_code=True, own=own)
    with pytest.raises(ModelError, match="cannot be loaded"):  # it is asked for, and not to be had here
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        load_tokenizer(str(adapter), trust_remote_code=True, own="other/repo")


def test_a_merged_adapter_has_its_bases_code(tmp_path: Path) -> None:
    base = write(tmp_path / "base")
    adapter = str(write_adapter(tmp_path / "adapter", base))
    with pytest.raises(ModelError, match="is not the recipe's model"):
        merged_adapter(adapter, tmp_path / "out", trust_remote_code=True)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    load_model(str(merged_adapter(adapter, tmp_path / "out", trust_remote_code=True, own=str(base))))


def test_training_from_an_adapter_trusts_the_recipes_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``init_from`` the adapter, ``model.path`` its base; the adapter may be given by ``~``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "1")
    base = with_code(write(tmp_path / "base"), tmp_path / "ran")
    write_adapter(tmp_path / "adapter", base)
    changes = ["model.tiny=null", "warmup=null", "init_from=~/adapter", f"model.path={base}"]
    trusted = {"model.trust_remote_code": ("--trust-remote-code", True)}
    run = RunFolder.create(tmp_path, load_recipe("quickstart", [], changes, trusted), "mine")
    assert _full_weights("~/adapter", run.recipe().model, run) == str(run.base)
    load_model(str(run.base))
    other = run.recipe().model.model_copy(update={"path": "some/other"})
    with pytest.raises(ModelError, match="is not the recipe's model"):
        _full_weights("~/adapter", other, run)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunFolder]:
    """Makes runs of quickstart with changes, in which a model's own code is asked for."""
    monkeypatch.setenv(VARIABLE, "1")
    trusted = {"model.trust_remote_code": ("--trust-remote-code", True)}

    def make(name: str, *changes: str) -> RunFolder:
        plain = ["model.tiny=null", "warmup=null", *changes]
        return RunFolder.create(tmp_path / "runs", load_recipe("quickstart", [], plain, trusted), name)

    return make


def trained(run: RunFolder, step: int, write: Callable[[Path], Any]) -> str:
    """A checkpoint of the run."""
    with run.saving_checkpoint(step) as folder:
        write(folder)
    return str(run.checkpoint(step).path)


def test_a_runs_base_may_be_another_run(tmp_path: Path, runs: Callable[..., RunFolder]) -> None:
    """Whole weights are left where they are; so are those that the other run has trained beyond by now."""
    mark, words = tmp_path / "ran", "some/base--code.Words"
    one = runs("one", "model.path=some/base")
    base = trained(one, 4, lambda folder: with_code(write(folder), mark, words))
    two = runs("two", f"init_from={one.path}", "model.lora.rank=2")
    adapter = trained(two, 2, lambda folder: with_code(write_adapter(folder, base), mark, words))
    for _ in range(2):
        own = own_model(two, adapter)
        assert _weights(two, "last", None).own == own
        load_model(adapter, trust_remote_code=True, own=own)
        check_code(adapter, own=own)
        with pytest.raises(ModelError, match="is not the recipe's model"):
            load_model(adapter, trust_remote_code=True, own="one")
        trained(one, 8, write)
    foreign = str(write(tmp_path / "foreign"))
    shutil.rmtree(adapter)
    adapter = trained(two, 2, lambda folder: with_code(write_adapter(folder, foreign), mark, "evil/base--code.Words"))
    with pytest.raises(ModelError, match="is not the recipe's model"):
        load_model(adapter, trust_remote_code=True, own=own_model(two, adapter))
    with pytest.raises(ModelError, match="would run code of its own"):
        check_code(adapter, own=own_model(two, adapter))
    shutil.rmtree(one.path)
    with pytest.raises(ModelError, match="is not the recipe's model"):
        load_model(adapter, trust_remote_code=True, own=own_model(two, adapter))


def test_whole_weights_need_no_base(runs: Callable[..., RunFolder]) -> None:
    two = runs("two", "init_from=gone")
    whole = trained(two, 2, write)
    load_model(whole, trust_remote_code=True, own=own_model(two, whole))


def test_training_from_a_runs_adapter_trusts_what_that_run_started_from(
    tmp_path: Path, runs: Callable[..., RunFolder]
) -> None:
    """``init_from`` alone names the other run, and that run's recipe its model."""
    base = with_code(write(tmp_path / "base"), tmp_path / "ran")
    one = runs("one", f"model.path={base}", "model.lora.rank=2")
    trained(one, 4, lambda folder: write_adapter(folder, base))
    two = runs("two", f"init_from={one.path}")
    assert _started(two.recipe(), two, two.path.parent) == str(two.base)
    three = runs("three", f"init_from={trained(one, 6, lambda folder: write_adapter(folder, 'some/other'))}")
    with pytest.raises(ModelError, match="is not the recipe's model"):
        _started(three.recipe(), three, three.path.parent)
