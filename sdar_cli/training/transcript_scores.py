"""Gap and gate of the tokens of a transcript, as training would see them: two forward passes without gradient.

Nothing of a training changes by it: no random number is drawn, no mode, adapter or gradient touched.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import add_fused_lm_head

from sdar_cli.evaluation.transcripts import Witness, save_transcript, transcript_file
from sdar_cli.objectives.gap import gate_input, token_gap
from sdar_cli.objectives.gates import GATES
from sdar_cli.objectives.objective import Tokens
from sdar_cli.objectives.settings import Settings
from sdar_cli.training.batch import collate
from sdar_cli.training.moments import gap_moments
from sdar_cli.training.rows import Row, make_rows, split_microbatches

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sdar_cli.evaluation.result import Evaluation
    from sdar_cli.recipe.schema import Recipe
    from sdar_cli.rollout.episode import Episode
    from sdar_cli.runs.store import RunFolder
    from sdar_cli.skills.bank import SkillBank
    from sdar_cli.training.events import Listener
    from sdar_cli.training.trainer import SDARTrainer

Forward = Callable[["Tensor", "Tensor", int], tuple["Tensor", "Tensor"]]
"""(ids, attention mask, T) → log-probs and entropies of the last T tokens, at the training's temperature."""
Advance = Callable[[int, int], None]
"""(sequences that were scored, all of them)."""
PATIENCE = 2.0
"""Seconds of scoring after which a user is shown its progress."""


@dataclass(frozen=True, slots=True)
class TokenScorer:
    """Scores episodes that hold the prompts with skills beside their own."""

    recipe: Recipe
    forward: Forward
    pad: int
    device: torch.device
    vocabulary: int
    as_it_is: Callable[[], AbstractContextManager] = nullcontext
    """What to run the passes in."""

    @classmethod
    def of_trainer(cls, trainer: SDARTrainer) -> TokenScorer:
        """The weights as they are now."""

        def forward(ids: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
            return trainer.score_tokens(trainer.model, ids, mask, length, compute_entropy=True)[:2]

        return cls(
            trainer.recipe,
            forward,
            trainer._tokenizer.pad_token_id,
            trainer.accelerator.device,
            _vocabulary(trainer.accelerator.unwrap_model(trainer.model)),
            lambda: disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs),
        )

    @classmethod
    def of_model(cls, recipe: Recipe, model: PreTrainedModel, pad: int) -> TokenScorer:
        """A model without a trainer, which gets TRL's head: it plays as before."""
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        temperature = recipe.rollout.sampling.temperature
        add_fused_lm_head(inner, temperature=temperature, outputs=("log_probs", "entropy"))

        def forward(ids: Tensor, mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
            labels = ids.masked_fill(mask == 0, -100)
            labels[:, :-length] = -100
            found = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
            return found.log_probs[:, -length:], found.entropy[:, -length:]

        return cls(recipe, forward, pad, model.device, _vocabulary(model))

    def about(self) -> dict[str, Any]:
        """What the numbers were made with, for the transcript's first line."""
        settings = self._settings()
        return {
            "temperature": self.recipe.rollout.sampling.temperature,
            "gate": {"kind": settings.gate, "beta": settings.beta, "normalise": settings.normalise},
        }

    def score(
        self, episodes: Sequence[Episode], advance: Advance = lambda done, total: None
    ) -> dict[tuple[int, int], tuple[list[float], list[float]]]:
        """(place of the episode, turn) → gap and gate of every response token.

        An episode whose environment failed, or that has no prompt with skills, is left out.
        """
        rows = make_rows(episodes, self.recipe.rollout.context)
        rows = [row for row in rows if row.teacher_prompt_ids is not None]
        total = 2 * len(rows)
        student = self._pass(rows, lambda done: advance(done, total), teacher=False)
        teacher = self._pass(rows, lambda done: advance(len(rows) + done, total), teacher=True)
        logps = {"old_logps": [own[0] for own in student], "teacher_logps": [theirs[0] for theirs in teacher]}
        settings = self._settings()
        moments = gap_moments(rows, logps) if settings.normalise == "zscore" else (0.0, 1.0)
        found: dict[tuple[int, int], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        for row, (own, entropy), (theirs, _) in zip(rows, student, teacher, strict=True):
            gap, gate = _signals(row, own, theirs, entropy / math.log(self.vocabulary), settings, moments)
            for place, said in enumerate(row.mask):
                if said:
                    gaps, gates = found[row.episode, row.turns[place]]
                    gaps.append(gap[place])
                    gates.append(gate[place])
        return dict(found)

    def _settings(self) -> Settings:
        return Settings.at(self.recipe, self.recipe.train.steps)

    @torch.no_grad()
    def _pass(
        self, rows: Sequence[Row], advance: Callable[[int], None], *, teacher: bool
    ) -> list[tuple[Tensor, Tensor]]:
        """Log-probs and entropies (T_i,) a row."""
        out: dict[int, tuple[Tensor, Tensor]] = {}
        with self.as_it_is():
            for indices in split_microbatches(rows, range(len(rows)), self.recipe.optimiser.tokens_per_microbatch):
                own = [rows[i] for i in indices]
                batch = collate(own, self.pad, self.device, teacher=teacher)
                ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
                mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
                logps, entropies = self.forward(ids, mask, batch["completion_ids"].size(1))
                for index, row, *values in zip(indices, own, logps, entropies, strict=True):
                    out[index] = tuple(value[: len(row.completion_ids)].float().cpu() for value in values)
                advance(len(out))
        return [out[index] for index in range(len(rows))]


def transcribe_evaluation(
    run: RunFolder,
    evaluation: Evaluation,
    episodes: Sequence[Episode],
    witness: Witness,
    scorer: TokenScorer,
    tokenizer: PreTrainedTokenizerBase,
    bank: SkillBank,
    listener: Listener,
    suffix: str = "",
) -> None:
    """Score the watched episodes and keep them in the run's folder, beside the evaluation of the same name.

    Where disk, folder or memory do not allow it, the listener is told so: no evaluation is lost for its transcript.
    """
    watched = witness.watched(episodes)
    file = transcript_file(run.path, evaluation.name + suffix)
    try:
        save_transcript(
            file,
            evaluation,
            watched,
            witness.first,
            decode=lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
            scores=scorer.score(watched, _shown_after_a_while(listener)),
            bank=bank,
            about=scorer.about(),
        )
    except (OSError, torch.OutOfMemoryError) as error:
        why = getattr(error, "strerror", None) or "out of memory"
        listener.message(f"no transcript was written to {file} ({why}): mend that, then run `sdar eval {run.name}`")


def _shown_after_a_while(listener: Listener) -> Advance:
    began, shown = time.monotonic(), False

    def advance(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began >= PATIENCE:
            listener.phase("scoring the transcript", total)
            shown = True
        if shown:
            listener.advance(done, total)

    return advance


def _signals(
    row: Row, student: Tensor, teacher: Tensor, entropy: Tensor, settings: Settings, moments: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Δ and g of a row's completion tokens; ``entropy`` is divided by log V."""
    mask = torch.tensor([row.mask])
    tokens = Tokens(
        student=student[None],
        old=student[None],
        mask=mask,
        turns=torch.tensor([row.turns]),
        advantages=torch.zeros(mask.shape),
        normaliser=1.0,
        gap_mean=moments[0],
        gap_std=moments[1],
    )
    gap = token_gap(tokens.student, teacher[None], mask)
    seen = gate_input(gap, tokens, settings)
    gate = GATES[settings.gate](seen, entropy[None].masked_fill(~mask.bool(), 0.0), settings.beta)
    return gap[0].tolist(), gate[0].tolist()


def _vocabulary(model: PreTrainedModel) -> int:
    return model.config.get_text_config().vocab_size
