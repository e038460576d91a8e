"""λ = 0 is TRL's own GRPO: on the same rows, losses and weights are bit-identical after several steps.

TRL's ``GRPOTrainer`` runs as it comes; only its rollout is replaced by the same rows, and its shuffling
of rows inside a batch, which changes the order of floating-point sums, is switched off. Bits are compared on prompts
of one length: TRL pads others on their left, which moves their positions, and what is float32 of these.
"""

from __future__ import annotations

import pytest
import torch
from tiny_training import Replay, episodes, recipe, trainer, weights

from sdar_cli.models.load import load_model, load_tokenizer
from sdar_cli.objectives.registry import OBJECTIVES
from sdar_cli.objectives.settings import Settings
from sdar_cli.training.batch import collate
from sdar_cli.training.credit import assign_advantages
from sdar_cli.training.rows import make_rows, split_microbatches
from sdar_cli.training.trl_seam import PRIVATE_ATTRIBUTES, PRIVATE_NAMES, grpo_config

pytestmark = pytest.mark.train


def plain_trl(base, output, chosen, monkeypatch, **about):
    """TRL's GRPOTrainer on the replayed rows; returns losses and final weights."""
    from datasets import Dataset
    from trl import GRPOTrainer
    from trl.trainer import grpo_trainer

    monkeypatch.setattr(grpo_trainer, "shuffle_sequence_dict", lambda rows: rows)

    class Plain(GRPOTrainer):
        losses: list[float] = []

        def _generate_and_score_completions(self, inputs):
            played = episodes(self.state.global_step, len(self._tokenizer), **about)
            rows = make_rows(played, "window")
            assign_advantages(rows, played, OBJECTIVES["grpo"], Settings(), penalty=0.1, scores={})
            (order,) = split_microbatches(rows, range(len(rows)), 10**9)
            batch = collate([rows[i] for i in order], self._tokenizer.pad_token_id, self.accelerator.device)
            with torch.no_grad():
                batch["ref_per_token_logps"], _, _ = self._get_per_token_logps_and_entropies(
                    self.ref_model,
                    torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                    torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
                    batch["completion_ids"].size(1),
                )
            batch["num_items_in_batch"] = batch["completion_mask"].sum()
            return {name: value for name, value in batch.items() if name not in ("turns", "tool_mask")}

        def log(self, logs, start_time=None):
            if "loss" in logs:
                self.losses.append(logs["loss"])
            super().log(logs, start_time)

    args = grpo_config(chosen, output, 1, 64)
    args.save_strategy = "no"
    tokenizer = load_tokenizer(str(base))
    rows = Dataset.from_dict({"prompt": ["word1"] * 64})
    plain = Plain(
        model=load_model(str(base)),
        reward_funcs=lambda **_: [],
        args=args,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    plain.train()
    return plain.losses, weights(plain.model)


@pytest.mark.parametrize("chosen", [recipe(distill={"coef": 0.0}), recipe(method="grpo")], ids=["coef 0", "grpo"])
def test_without_distillation_it_is_trl_bit_for_bit(base, tmp_path, monkeypatch, chosen):
    losses, expected = plain_trl(base, tmp_path / "plain", chosen, monkeypatch, prompts=(7, 8))
    ours, record = trainer(base, tmp_path / "ours", chosen, prompts=(7, 8))
    ours.train()
    assert len(losses) == 3 and len(set(losses)) == 3
    assert [step["loss/total"] for step in record.steps] == losses
    for name, value in weights(ours.model).items():
        assert torch.equal(value, expected[name]), name
    assert all(step.get("loss/distill", 0.0) == 0.0 for step in record.steps)


def test_on_prompts_of_many_lengths_it_is_trl_but_for_rounding(base, tmp_path, monkeypatch):
    chosen = recipe(method="grpo")
    losses, expected = plain_trl(base, tmp_path / "plain", chosen, monkeypatch)
    ours, record = trainer(base, tmp_path / "ours", chosen)
    ours.train()
    assert [step["loss/total"] for step in record.steps] == pytest.approx(losses, rel=1e-5)
    for name, value in weights(ours.model).items():
        assert (value - expected[name]).norm() < 1e-3 * expected[name].norm(), name


def test_with_distillation_the_weights_differ(base, tmp_path):
    """The control of the test above: it would see a term that leaked in."""
    grpo, _ = trainer(base, tmp_path / "grpo", recipe(method="grpo"))
    sdar, record = trainer(base, tmp_path / "sdar", recipe(distill={"coef": 0.01}))
    grpo.train()
    sdar.train()
    assert any(not torch.equal(v, weights(grpo.model)[k]) for k, v in weights(sdar.model).items())
    assert all(step["loss/distill"] != 0.0 for step in record.steps)


def test_the_names_of_trl_that_we_use_exist(base, tmp_path):
    from trl import GRPOTrainer
    from trl.trainer import utils

    for name in PRIVATE_NAMES:
        assert callable(getattr(GRPOTrainer, name)), name
    assert utils._CHUNKED_LOGPROB_CHUNK_SIZE == 32768, "read at every call, and only made less"
    made, _ = trainer(base, tmp_path, recipe())
    for name in PRIVATE_ATTRIBUTES:
        assert hasattr(made, name), name
    assert isinstance(made.loop, Replay)
