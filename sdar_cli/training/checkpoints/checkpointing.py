"""The trainer's checkpoints: Hugging Face's, with our state beside them, in the folders of a run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sdar_cli.launch import dist
from sdar_cli.models.load import ADAPTER
from sdar_cli.models.quantised import Quantised
from sdar_cli.runs.disk import disk
from sdar_cli.training import ranks
from sdar_cli.training.checkpoints.damaged import reading
from sdar_cli.training.checkpoints.optimiser_state import PlainState
from sdar_cli.training.checkpoints.resumable import STATE
from sdar_cli.training.trl_seam import REFERENCE_ADAPTER

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.training.ema import MovingAverage
    from sdar_cli.training.events import Listener


class Checkpointing(PlainState):
    """Of ``SDARTrainer``: what Hugging Face's loop calls where a checkpoint is due."""

    recipe: Recipe
    checkpoint: Callable[[int], AbstractContextManager[Path]] | None
    checkpoint_state: Callable[[], dict]
    average: MovingAverage | None
    listener: Listener

    def create_model_card(self, *args, **kwargs) -> None:
        """TRL writes a card into every checkpoint; ours describe themselves in ``sdar.json``."""

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Weights and tokenizer; beside an adapter, what was held in four bits under it."""
        super()._save(output_dir, state_dict)
        if (held := Quantised.asked(self.recipe.model)) is not None:
            held.write(output_dir or self.args.output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: PreTrainedModel | None = None) -> None:
        """Checkpoints were once written with TRL's copy of the adapter as a reference beside the policy's; Hugging
        Face's loop would restore that copy alone."""
        folder = Path(resume_from_checkpoint)
        with reading(folder) if dist.in_use() == "ddp" else nullcontext():  # else ranks wait for each other in there
            self._load_weights(folder, model)

    def _load_weights(self, folder: Path, model: PreTrainedModel | None) -> None:
        if not (folder / REFERENCE_ADAPTER / ADAPTER).is_file():
            return super()._load_from_checkpoint(str(folder), model)
        with tempfile.TemporaryDirectory() as view:
            for path in folder.iterdir():
                if path.name != REFERENCE_ADAPTER:
                    (Path(view) / path.name).symlink_to(path.absolute())
            return super()._load_from_checkpoint(view, model)

    def _save_checkpoint(self, model, trial) -> None:
        if self.checkpoint is None:
            return
        step = self.state.global_step
        what = f"the checkpoint of step {step}"
        self.listener.saving(step)
        with self.checkpoint(step) as folder:
            self.args.output_dir, own = str(folder), self.args.output_dir
            try:
                with nullcontext() if dist.in_use() == "ddp" else ranks.in_step(), disk(folder.parent, what):
                    super()._save_checkpoint(model, trial)
            finally:
                self.args.output_dir = own
            ranks.together(lambda: None)  # each has written its random state
            if self.average is not None and ranks.is_main():
                self.average.save(folder)
            if ranks.is_main():
                _finish(folder, step, self.checkpoint_state())
        self.listener.checkpoint(step, folder)


def _finish(folder: Path, step: int, state: dict) -> None:
    """Move what Hugging Face wrote to the folder's top, without its pickled arguments, and add our state."""
    written = folder / f"checkpoint-{step}"
    for path in list(written.iterdir()):
        path.rename(folder / path.name)
    written.rmdir()
    for name in ("training_args.bin", "zero_to_fp32.py", "zero_to_torch.py"):
        (folder / name).unlink(missing_ok=True)
    (folder / STATE).write_text(json.dumps({"step": step} | state, indent=2), encoding="utf-8")
