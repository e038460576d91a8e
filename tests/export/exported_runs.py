"""``sdar`` on runs that are made when a test first asks for them, and a fresh process that knows nothing of sdar."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from short_sdar import Done, Sdar

from sdar_cli.environments import build_environment
from sdar_cli.models.tiny import create
from sdar_cli.recipe.load import load_recipe
from sdar_cli.runs.store import RunFolder
from sdar_cli.skills import bank_for

SECRET = "open-sesame"
SHORT = (
    "train.steps=2",
    "train.checkpoint_every=1",
    "train.keep_checkpoints=2",
    "rollout.tasks=2",
    "rollout.group=3",
    "rollout.max_turns=2",
    "evaluation.tasks=6",
    "evaluation.transcripts=0",
    "optimiser.learning_rate=1e-2",
    "tracking.traces=0",
    "tracking.system_metrics=false",
    f"tracking.tags={{password: {SECRET}}}",
)
LORA = ("model.lora.rank=4", "model.lora.alpha=8", "train.steps=3")
"""One in which an update of 1e-2 changes the logits by more than rounding does."""


class Runs:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.sdar = Sdar(root)
        self._made: dict[tuple[str, ...], RunFolder] = {}

    @cached_property
    def base(self) -> Path:
        """A random model that states a license."""
        recipe = load_recipe("quickstart").recipe
        environment = build_environment(recipe.environment)
        folder = create(recipe, environment, bank_for(recipe.skills, environment), self.root / "random").folder
        (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n\nRandom weights.\n", encoding="utf-8")
        return folder

    def train(self, name: str, *words: str, start: str | None = None) -> RunFolder:
        """Once for the same words."""
        key = (name, *words)
        if key not in self._made:
            where = ("--init-from", start) if start is not None else ("--model", str(self.base))
            done = self.sdar("train", "--recipe", "quickstart", *SHORT, *where, "--name", name, "--json", *words)
            assert done.code == 0, done.err
            self._made[key] = RunFolder.open(self.root / name)
        return self._made[key]

    @property
    def adapted(self) -> RunFolder:
        return self.train("adapted", *LORA)

    def copied(self, name: str) -> RunFolder:
        """The run with an adapter under another name, to be changed."""
        shutil.copytree(self.adapted.path, self.root / name)
        return RunFolder.open(self.root / name)

    def export(self, *words: str) -> Done:
        return self.sdar("export", *words)


LOAD = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
assert "sdar_cli" not in sys.modules
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "You see: soap on table."}], add_generation_prompt=True, return_dict=False
)
ids = torch.arange(40).reshape(2, 20)
with torch.no_grad():
    logits = model(ids).logits
    said = model.generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False)
print(json.dumps({
    "logits": logits.float().tolist(), "dtype": str(logits.dtype), "class": type(model).__name__,
    "cache": model.config.use_cache, "end": model.generation_config.eos_token_id, "eos": tokenizer.eos_token_id,
    "said": said.shape[1] - len(prompt),
}))
"""


def loaded_elsewhere(folder: Path) -> dict[str, Any]:
    """What plain transformers, in a process of its own, makes of a folder."""
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
