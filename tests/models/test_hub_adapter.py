"""LoRA weights under a hub's id: nothing that they name is loaded, least of all code."""

from __future__ import annotations

import shutil
from pathlib import Path

import hollow_model
import huggingface_hub.constants
import pytest

from sdar_cli.errors import ModelError
from sdar_cli.models.load import load_adapter, load_model

COMMIT = "0" * 40
CODE = "open({mark!r}, 'w').close()\nfrom transformers import Qwen2Config as Config, Qwen2ForCausalLM as Model\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which is out of reach."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put(cache: Path, hub_id: str, folder: Path) -> None:
    place = cache / f"models--{hub_id.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)


@pytest.mark.parametrize("trust", [False, True])
def test_an_adapter_under_a_hubs_id_is_refused(cache: Path, tmp_path: Path, trust: bool) -> None:
    mark = tmp_path / "ran"
    base = hollow_model.write(tmp_path / "base")
    config = hollow_model.CONFIG | {"auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    hollow_model.write_json(base / "config.json", config)
    (base / "code.py").write_text(CODE.format(mark=str(mark)))
    put(cache, "someone/adapter", hollow_model.write_adapter(tmp_path / "adapter", base))
    sentence = r"the hub's 'someone/adapter' holds LoRA weights .* `hf download someone/adapter --local-dir FOLDER`"
    with pytest.raises(ModelError, match=sentence):
        load_model("someone/adapter", trust_remote_code=trust, own="someone/adapter")
    over = hollow_model.write_adapter(tmp_path / "over", "someone/adapter")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_adapter(str(over), trust_remote_code=trust, own="someone/adapter")
    assert not mark.exists()


def test_whole_weights_under_a_hubs_id_load(cache: Path, tmp_path: Path) -> None:
    put(cache, "someone/whole", hollow_model.write(tmp_path / "base"))
    load_model("someone/whole")
    with pytest.raises(ModelError, match="nor could it be fetched"):
        load_model("someone/unknown")
