"""A run's base: copied whole, found again, and made anew where it is damaged and only if it is the same then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_warmup import Said

from sdar_cli.errors import RunFailed
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.manifest import damage
from sdar_cli.runs.store import RunFolder
from sdar_cli.training import base as bases
from sdar_cli.training.warmup_cache import WarmBase

WEIGHTS = b"warm" * 30


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cached"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "warmup.json").write_text('{"seconds": 1.0}')
    monkeypatch.setattr(bases, "warm_base", lambda *about: WarmBase("0" * 64, folder, {}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", load_recipe("quickstart"), "mine")


def prepared(run: RunFolder) -> tuple[Path, list[str], bool]:
    """Where the base is, what was said, and whether it was made now."""
    workshop: Any = SimpleNamespace(recipe=run.recipe(), environment=None, bank=None)
    said = Said()
    base = bases.prepare_base(workshop, run, run.path.parent, said)
    assert damage(Path(base.path), deep=True) is None
    return Path(base.path), said.texts, base.warmup is not None


def test_it_is_made_once(run: RunFolder, cached: Path) -> None:
    assert prepared(run) == (run.base, [], True)
    assert prepared(run) == (run.base, [], False)
    assert (run.base / "model.safetensors").read_bytes() == WEIGHTS


def test_a_damaged_one_is_set_aside_and_made_again(run: RunFolder, cached: Path) -> None:
    """What of it tells the time may differ."""
    prepared(run)
    (run.base / "model.safetensors").write_bytes(WEIGHTS[:-1])
    (cached / "warmup.json").write_text('{"seconds": 2.0}')
    path, said, made = prepared(run)
    assert made and (path / "model.safetensors").read_bytes() == WEIGHTS
    assert len(said) == 1 and "has model.safetensors with 119 of 120 bytes and is kept as" in said[0]
    assert (run.path / ".torn-base" / "model.safetensors").stat().st_size == 119
    assert prepared(run) == (run.base, [], False)


def test_other_weights_do_not_take_its_place(run: RunFolder, cached: Path) -> None:
    """As after a warm-up on another GPU: checkpoints and evaluations of the run are of the base that is lost."""
    prepared(run)
    (run.base / "model.safetensors").write_bytes(WEIGHTS[:-1])
    (cached / "model.safetensors").write_bytes(b"cold" * 30)
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"has other weights than .*manifest\.json tells of: restore that folder"):
            prepared(run)
        assert not run.base.exists()
    (cached / "model.safetensors").write_bytes(WEIGHTS)
    assert prepared(run) == (run.base, [], True)


def test_one_of_before_there_were_manifests_is_believed(run: RunFolder, cached: Path) -> None:
    run.base.mkdir()
    (run.base / "model.safetensors").write_bytes(b"old")
    workshop: Any = SimpleNamespace(recipe=run.recipe())
    assert bases.prepare_base(workshop, run, run.path.parent, Said()).path == str(run.base)
