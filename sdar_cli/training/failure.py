"""NaN or Inf ends a run, with the step, the term and all that reproduces it.

RUN/failure/step-51/
    about.json          step (counted from 1), term, seed, versions, commit
    batch.safetensors   tensors of the micro-batch, log-probabilities of teacher and reference included
    model/              the weights that the term was computed with, before the update
    rollout.jsonl.gz    the step's episodes, for ``rollout.replay``
    recipe.yaml         ``sdar train --recipe`` on it trains on that rollout from those weights, one step
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from sdar_cli.errors import RunFailed
from sdar_cli.evaluation.files import write_bytes, write_json
from sdar_cli.models.finite import LogitsNotFinite, finite_logits
from sdar_cli.runs.disk import error_number, told_number
from sdar_cli.runs.state import git_commit, package_versions
from sdar_cli.runs.store import RunFolder
from sdar_cli.training import ranks

if TYPE_CHECKING:
    from torch import Tensor

    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.training.trainer import SDARTrainer

FORMAT = 1
REMEDY = "lower optimiser.learning_rate or optimiser.max_grad_norm"
NAMES = {"policy": "policy loss", "distill": "distillation loss", "entropy": "entropy bonus"}
"""What the terms of the loss are called in a sentence; others are called by their own name."""


class NotFinite(Exception):
    """A term of the loss, or the gradient, is NaN or infinite. For the trainer, which saves what it has.

    ``here``: on this rank; every rank raises it where one has found it.
    """

    def __init__(self, step: int, term: str, here: bool = True) -> None:
        super().__init__(f"{term} is not finite at step {step}")
        self.step = step
        self.term = term
        self.here = here


def check_finite(step: int, terms: Mapping[str, Tensor | float]) -> None:
    """Look at all terms with one wait for the device. All ranks must look at terms of the same names.

    Args:
        step: the step under way, counted from 1.
        terms: name → scalar or tensor of any shape.

    Raises:
        NotFinite: names the first term that holds a NaN or an infinity on any rank.
    """
    if not terms:
        return
    values = [
        value.detach() if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)
        for value in terms.values()
    ]
    device = next((value.device for value in values if value.device.type != "cpu"), torch.device("cpu"))
    own = torch.stack([torch.isfinite(value).all().to(device) for value in values])
    everywhere = ranks.all_true(own)
    for name, here, well in zip(terms, *torch.stack([own, everywhere]).tolist(), strict=True):
        if not well:
            raise NotFinite(step, name, here=not here)


@contextmanager
def checking_draws(trainer: SDARTrainer, folder: Path) -> Iterator[None]:
    """Around training: weights that give no finite logits to draw tokens from are saved, and end the run.

    The step that drew has no rollout and no batch yet.

    Raises:
        RunFailed: see ``save_failure``.
    """
    try:
        with finite_logits(trainer.accelerator.unwrap_model(trainer.model)):
            yield
    except LogitsNotFinite:
        save_failure(
            folder,
            step=trainer.state.global_step + 1,
            term="logits",
            rows_file_writer=None,
            save_model=lambda path: trainer.save_model(str(path)),
            inputs=None,
        )


def save_failure(
    folder: Path,
    *,
    step: int,
    term: str,
    rows_file_writer: Callable[[Path], None] | None,
    save_model: Callable[[Path], None],
    inputs: Mapping[str, Any] | None,
) -> NoReturn:
    """Write ``failure/step-N`` into a run's folder, whole or not at all, and end the run.

    Args:
        folder: the run's.
        step: the step that failed, counted from 1.
        rows_file_writer: writes the step's episodes as step 0 of a recording; None where there are none yet.
        save_model: writes weights and tokenizer into a folder, as Hugging Face does.
        inputs: the micro-batch; tensors, numbers and lists of numbers are kept.

    Raises:
        RunFailed: always, on all ranks; the sentence names step, term, folder and the command that repeats the step.
    """
    run = RunFolder(folder.absolute())
    final = run.failure(step)
    what = f"step {step} met a NaN or an infinity in the {NAMES.get(term, term)}"
    found: Exception | None = None
    try:
        tensors, left_out = _of_first_rank(inputs)
        with ranks.on_main(run.saving_failure(step)) as beside:
            save_model(beside / "model")
            if ranks.is_main():
                recipe = run.recipe()
                (beside / "model" / "training_args.bin").unlink(missing_ok=True)
                _save_tensors(beside / "batch.safetensors", tensors)
                if rows_file_writer is not None:
                    rows_file_writer(beside / "rollout.jsonl.gz")
                _save_recipe(beside / "recipe.yaml", recipe, step, final, rows_file_writer is not None)
                write_json(beside / "about.json", _about(recipe, step, term, tensors, left_out))
    except Exception as error:
        found = error

    def end() -> NoReturn:
        number = None if found is None else told_number(found) or error_number(found)
        if number is not None:
            reason = os.strerror(number)
            raise RunFailed(f"{what}, and nothing could be saved in {final} ({reason}): {REMEDY}") from found
        if found is not None:
            raise found
        raise RunFailed(f"{what}: {REMEDY}; to repeat the step, `sdar train --recipe {final / 'recipe.yaml'}`")

    ranks.from_main(end)


def _of_first_rank(inputs: Mapping[str, Any] | None) -> tuple[dict[str, Tensor], list[str]]:
    """The micro-batch of the first rank that has one to save, and the names of what is not saved of it."""
    own = None
    if inputs is not None:
        tensors = _tensors(inputs)
        own = tensors, [name for name in inputs if name not in tensors]
    return next((found for found in ranks.gather(own) if found is not None), ({}, []))


def _tensors(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor):
            out[name] = value.detach().cpu().contiguous().clone()
        elif isinstance(value, int | float) or (isinstance(value, list) and _numbers(value)):
            out[name] = torch.tensor(value)
    return out


def _numbers(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    write_bytes(path, save(dict(tensors)))


def _save_recipe(path: Path, recipe: Recipe, step: int, final: Path, has_rollout: bool) -> None:
    """One step on the saved rollout from the saved weights, with the coefficients that the step had."""
    from sdar_cli.objectives.settings import Settings
    from sdar_cli.recipe.dump import dump

    settings = Settings.at(recipe, step - 1)
    changes: dict[str, dict[str, Any]] = {
        "rollout": {"record": None, "replay": str(final / "rollout.jsonl.gz") if has_rollout else None},
        "distill": {"coef": settings.coef, "schedule": None},
        "gate": {"beta": settings.beta, "schedule": None},
        "credit": {"mu": settings.mu, "schedule": None},
        "train": {"steps": 1},
        "evaluation": {"every": 0, "tasks": 1},
    }
    sections = {name: getattr(recipe, name).model_copy(update=own) for name, own in changes.items()}
    about = {"init_from": str(final / "model"), "warmup": None, "name": f"{recipe.name}-failure"}
    write_bytes(path, dump(recipe.model_copy(update=sections | about)).encode())


def _about(recipe: Recipe, step: int, term: str, tensors: Mapping[str, Tensor], left_out: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "step": step,
        "term": term,
        "seed": recipe.seed,
        "method": recipe.method,
        "batch": {name: {"shape": list(value.shape), "dtype": str(value.dtype)} for name, value in tensors.items()},
        "not_saved": left_out,
        "versions": package_versions(),
        "git_commit": git_commit(),
    }
