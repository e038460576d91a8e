"""NaN and Inf: found with one wait, saved whole, and repeated from what was saved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from sdar_cli.errors import RunFailed
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.disk import disk
from sdar_cli.runs.store import RunFolder
from sdar_cli.training.failure import NotFinite, check_finite, save_failure

values = st.one_of(
    st.floats(width=32),
    st.lists(st.floats(width=32), max_size=6).map(torch.tensor),
    st.floats(width=32).map(lambda value: torch.tensor(value, requires_grad=True)),
    st.floats(width=16).map(lambda value: torch.full((2, 3), value, dtype=torch.bfloat16)),
)


@given(st.dictionaries(st.sampled_from("abcde"), values, max_size=5))
def test_the_first_term_that_is_not_finite_is_named(terms: dict[str, torch.Tensor | float]) -> None:
    bad = [
        name for name, value in terms.items() if not all(map(math.isfinite, torch.as_tensor(value).flatten().tolist()))
    ]
    try:
        check_finite(7, terms)
    except NotFinite as error:
        assert bad and (error.step, error.term) == (7, bad[0])
    else:
        assert not bad


def test_the_device_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, real=real, name=name: (waits.append(name), real(self))[1])
    check_finite(1, {"policy": torch.tensor(0.5), "distill": torch.zeros(3), "entropy": torch.ones(2, 2)})
    assert len(waits) == 1


# -- saving -------------------------------------------------------------------------------------------

BATCH = {
    "prompt_ids": torch.arange(12).reshape(3, 4),
    "advantages": torch.tensor([[1.0, math.nan], [-1.0, math.inf], [0.0, 0.5]]),
    "turns": torch.zeros(1, 2).expand(3, 2),
    "num_items_in_batch": torch.tensor(6.0),
    "episodes": [0, 1, 1],
    "unknown": None,
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", load_recipe("quickstart"), "broken")


class FakeTrainer:
    """Writes what a trainer would write."""

    def save_model(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "training_args.bin").write_bytes(b"pickled")

    def write_rollout(self, path: Path) -> None:
        path.write_bytes(b"episodes")

    def save(self, run: RunFolder, **changes: Any) -> str:
        about: dict[str, Any] = {
            "step": 3,
            "term": "policy",
            "rows_file_writer": self.write_rollout,
            "save_model": self.save_model,
            "inputs": BATCH,
        }
        with pytest.raises(RunFailed) as error:
            save_failure(run.path, **(about | changes))
        return str(error.value)


def test_all_that_repeats_the_step_is_kept(run: RunFolder) -> None:
    sentence = FakeTrainer().save(run)
    folder = run.path / "failure" / "step-3"
    assert sentence == (
        "step 3 met a NaN or an infinity in the policy loss: lower optimiser.learning_rate or "
        f"optimiser.max_grad_norm; to repeat the step, `sdar train --recipe {folder / 'recipe.yaml'}`"
    )
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"about.json", "batch.safetensors", "model/config.json", "recipe.yaml", "rollout.jsonl.gz"}
    kept = load_file(folder / "batch.safetensors")
    for name in ("prompt_ids", "advantages", "turns", "num_items_in_batch"):
        torch.testing.assert_close(kept[name], BATCH[name], rtol=0, atol=0, equal_nan=True)
    assert kept["episodes"].tolist() == [0, 1, 1]
    about = json.loads((folder / "about.json").read_text())
    assert (about["step"], about["term"], about["seed"], about["not_saved"]) == (3, "policy", 0, ["unknown"])
    assert about["batch"]["prompt_ids"] == {"shape": [3, 4], "dtype": "torch.int64"} and "torch" in about["versions"]


def test_the_kept_recipe_trains_one_step_on_the_kept_rollout(tmp_path: Path) -> None:
    """With the coefficients that the schedules had reached: λ goes from 1 to 0 in 4 steps, step 3 has ½."""
    changes = ["distill.schedule={to: 0, steps: 4}", "rollout.record=all.jsonl.gz", "evaluation.every=5"]
    run = RunFolder.create(tmp_path / "runs", load_recipe("quickstart", [], changes), "scheduled")
    FakeTrainer().save(run)
    folder = run.failure(3)
    recipe = load_recipe(str(folder / "recipe.yaml")).recipe
    assert recipe.init_from == str(folder / "model") and recipe.warmup is None
    assert recipe.rollout.replay == str(folder / "rollout.jsonl.gz") and recipe.rollout.record is None
    assert recipe.distill.coef == 0.5 and recipe.distill.schedule is None
    assert recipe.train.steps == 1 and recipe.evaluation.every == 0
    whole = run.recipe()
    for name in ("model", "environment", "skills", "teacher", "policy", "optimiser", "method", "seed"):
        assert getattr(recipe, name) == getattr(whole, name), name


def test_before_there_is_a_rollout(run: RunFolder) -> None:
    FakeTrainer().save(run, rows_file_writer=None, inputs=None)
    folder = run.failure(3)
    assert not (folder / "rollout.jsonl.gz").exists() and load_file(folder / "batch.safetensors") == {}
    assert load_recipe(str(folder / "recipe.yaml")).recipe.rollout.replay is None


def test_a_step_that_fails_again_replaces_what_was_kept(run: RunFolder) -> None:
    FakeTrainer().save(run)
    FakeTrainer().save(run, term="gradient")
    assert json.loads((run.failure(3) / "about.json").read_text())["term"] == "gradient"
    assert [path.name for path in (run.path / "failure").iterdir()] == ["step-3"]


def full(path: Path) -> None:
    path.write_bytes(b"some")
    raise OSError(28, "No space left on device")


def full_in_a_sentence(path: Path) -> None:
    """As recordings say it, who know nothing of the step."""
    with disk(path.parent, "the recording"):
        full(path)


@pytest.mark.parametrize("writer", [full, full_in_a_sentence])
def test_a_full_disk_leaves_nothing_half_done(run: RunFolder, writer: Callable[[Path], None]) -> None:
    sentence = FakeTrainer().save(run, rows_file_writer=writer)
    assert sentence == (
        "step 3 met a NaN or an infinity in the policy loss, and nothing could be saved in "
        f"{run.failure(3)} (No space left on device): lower optimiser.learning_rate or optimiser.max_grad_norm"
    )
    assert list((run.path / "failure").iterdir()) == []


def missed(path: Path) -> None:
    """Fails for a reason of its own, while something that was not there is being handled."""
    try:
        (path.parent / "absent").read_bytes()
    except FileNotFoundError:
        raise ValueError("the episodes make no sense")  # noqa: B904


def missed_in_a_sentence(path: Path) -> None:
    try:
        missed(path)
    except ValueError:
        try:
            (path.parent / "absent").read_bytes()
        except FileNotFoundError:
            raise RunFailed("the episodes make no sense: mend them") from None


@pytest.mark.parametrize("writer", [missed, missed_in_a_sentence])
def test_what_is_no_fault_of_the_disk_is_told_as_it_is(run: RunFolder, writer: Callable[[Path], None]) -> None:
    with pytest.raises((ValueError, RunFailed), match=r"^the episodes make no sense"):
        save_failure(
            run.path, step=3, term="policy", rows_file_writer=writer, save_model=FakeTrainer().save_model, inputs=BATCH
        )
    assert list((run.path / "failure").iterdir()) == []


@pytest.mark.train
def test_the_kept_batch_and_weights_give_the_same_term(base: Path, tmp_path: Path, run: RunFolder) -> None:
    """In a new trainer, from the files alone."""
    from tiny_training import recipe, trainer

    made, _ = trainer(base, tmp_path / "first", recipe(method="grpo"))
    with torch.no_grad():
        made.model.model.norm.weight[0] = math.inf
    with pytest.raises(NotFinite) as first:
        made.train()
    with pytest.raises(RunFailed):
        save_failure(
            run.path,
            step=first.value.step,
            term=first.value.term,
            rows_file_writer=None,
            save_model=lambda folder: made.save_model(str(folder)),
            inputs=made.inputs,
        )
    folder = run.failure(first.value.step)
    again, _ = trainer(folder / "model", tmp_path / "second", recipe(method="grpo"))
    inputs = load_file(folder / "batch.safetensors")
    with pytest.raises(NotFinite) as second:
        again.compute_loss(again.model, inputs | {"episodes": inputs["episodes"].tolist()})
    assert (second.value.step, second.value.term) == (first.value.step, first.value.term) == (1, "policy")
    assert all(torch.isfinite(value).all() for value in inputs.values()), "it is the weights, and not the batch"
