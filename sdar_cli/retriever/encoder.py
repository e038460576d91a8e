"""Texts to vectors, as E5 is used: prefix, 256 tokens, mean over the tokens, length 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdar_cli.errors import EnvironmentSetupError, ModelError
from sdar_cli.paths import user_path

if TYPE_CHECKING:
    import numpy as np

QUERY = "query: "
PASSAGE = "passage: "
TOKENS = 256
BATCH = 64


class Encoder:
    """Gives unit vectors; inner products of a query's and a passage's rank the passages. Not safe in threads."""

    def __init__(self, path: str, device: str) -> None:
        """
        Raises:
            ModelError: the model or its tokenizer cannot be loaded.
            EnvironmentSetupError: the device is not there.
        """
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise EnvironmentSetupError("there is no CUDA device that torch can use: leave out --device cuda")
        self.path = check_model(path)
        self._model, self._tokenizer = _load(self.path)
        self._model.to(device).eval()
        self._device = device
        self.dimension: int = self._model.config.hidden_size
        self._tokens = min(TOKENS, getattr(self._model.config, "max_position_embeddings", TOKENS))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(N, dimension), float32; the texts bring their prefixes."""
        import numpy as np

        parts = [self._encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        inputs = self._tokenizer(
            list(texts), max_length=self._tokens, truncation=True, padding=True, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            hidden_B_T_D = self._model(**inputs).last_hidden_state
            mask_B_T_1 = inputs["attention_mask"].unsqueeze(-1)
            sums_B_D = torch.where(mask_B_T_1.bool(), hidden_B_T_D, 0.0).sum(1)
            means_B_D = sums_B_D / mask_B_T_1.sum(1)
            return torch.nn.functional.normalize(means_B_D, dim=-1).float().cpu().numpy()


def check_model(path: str) -> str:
    """The model's folder, absolute, or its hub id.

    Raises:
        ModelError: it looks like a folder and is none, or holds no model.
    """
    folder = user_path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"the folder {path} holds no config.json: give a Hugging Face model with --model")
        return str(folder.absolute())
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise ModelError(f"there is no model folder {path}: give one, or a hub id such as intfloat/e5-base-v2")
    return path


def _load(path: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModel.from_pretrained(path, dtype="float32", use_safetensors=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
        if Path(path).is_dir():
            raise ModelError(
                f"the encoder in {path} cannot be loaded ({reason}): give a complete Hugging Face folder with "
                "safetensors weights"
            ) from error
        raise ModelError(
            f"the encoder {path} is neither a folder here, nor in the Hugging Face cache, nor could it be fetched "
            "from the hub: give a local folder with --model"
        ) from error
    return model, tokenizer
