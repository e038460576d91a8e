"""A causal language model that follows a script: code of its own in a Hugging Face folder, and no weight that counts.

For every question the script holds responses, one a turn, each with words that must stand in the prompt by then.
Where they do not, it answers ``otherwise``. So what it wins depends on what its prompts showed, and on nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CODE = """
import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class ScriptedConfig(PretrainedConfig):
    model_type = "scripted"


def holds(row, words):
    return any(row[start : start + len(words)] == words for start in range(len(row) - len(words) + 1))


class ScriptedModel(PreTrainedModel, GenerationMixin):
    config_class = ScriptedConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = torch.nn.Linear(1, 1, bias=False)
        self.responses = {}
        self.post_init()

    def get_output_embeddings(self):
        return self.head

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        return {"input_ids": input_ids}

    def forward(self, input_ids, attention_mask=None, **kwargs):
        logits = torch.full((len(input_ids), 1, self.config.vocab_size), -1000.0)
        for row, ids in enumerate(input_ids.tolist()):
            logits[row, 0, self.next_token(ids)] = 0.0
        return CausalLMOutput(logits=logits)

    def next_token(self, ids):
        marker = self.config.marker
        at = max(start for start in range(len(ids)) if ids[start : start + len(marker)] == marker)
        prompt, said = ids[:at], ids[at + len(marker) :]
        if tuple(prompt) not in self.responses:
            self.responses[tuple(prompt)] = self.respond(prompt)
        return [*self.responses[tuple(prompt)], self.config.eos_token_id, *said][len(said)]

    def respond(self, prompt):
        turns = next(turns for question, turns in self.config.script if holds(prompt, question))
        searched = self.config.searched
        done = sum(prompt[start : start + len(searched)] == searched for start in range(len(prompt)))
        response, needs = turns[min(done, len(turns) - 1)]
        return response if holds(prompt, needs) else self.config.otherwise
"""


@dataclass(frozen=True, slots=True)
class Script:
    question: str
    turns: Sequence[tuple[str, str]]
    """Response, and what must stand in its prompt."""


def save_scripted(
    folder: Path, tokenizer: PreTrainedTokenizerBase, scripts: Sequence[Script], searched: str, otherwise: str
) -> Path:
    """``searched`` is what a prompt shows once for every turn that is past."""
    import torch
    from safetensors.torch import save_file

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    folder.mkdir(parents=True)
    (folder / "scripted.py").write_text(CODE)
    config = {
        "architectures": ["ScriptedModel"],
        "auto_map": {"AutoConfig": "scripted.ScriptedConfig", "AutoModelForCausalLM": "scripted.ScriptedModel"},
        "model_type": "scripted",
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 1,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "marker": ids("<|im_start|>assistant\n"),
        "searched": ids(searched),
        "otherwise": ids(otherwise),
        "script": [[ids(one.question), [[ids(said), ids(needs)] for said, needs in one.turns]] for one in scripts],
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"head.weight": torch.zeros(1, 1)}, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder
