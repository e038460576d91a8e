"""A base in four bits under an adapter (QLoRA, Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes.

The linear layers of the blocks are held as NF4 with doubly quantised scales, everything else in float32; a product
is computed from the weights as they come out of the four bits. So the policy is exactly the dequantised base plus
the adapter, and whatever takes whole weights (a merged export, vLLM, ``init_from``) gets those.

A folder with an adapter says in ``quantised.json`` what it was trained upon.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sdar_cli.errors import ModelError
from sdar_cli.paths import user_path
from sdar_cli.reading import Missing, Unreadable, read_json

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import BitsAndBytesConfig, PreTrainedModel

    from sdar_cli.recipe.schema import Model

FILE = "quantised.json"
PACKED = "Params4bit"
"""What bitsandbytes calls a parameter of four bits."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """How a base is held."""

    kind: str
    """``nf4``."""
    compute: str
    """The dtype of products: ``float32`` or ``bfloat16``."""

    @classmethod
    def asked(cls, model: Model) -> Self | None:
        """What a recipe asks for."""
        if model.lora is None or model.lora.quantise is None:
            return None
        return cls(model.lora.quantise, model.dtype)

    @classmethod
    def beside(cls, folder: str | Path) -> Self | None:
        """What an adapter's folder says. Raises ModelError when that cannot be read."""
        file = user_path(folder) / FILE
        try:
            match read_json(file, 1 << 16):
                case {"kind": "nf4" as kind, "compute": "float32" | "bfloat16" as compute, **others} if not others:
                    return cls(kind, compute)
            raise Unreadable("does not say how weights are held")
        except Missing:
            return None
        except Unreadable as error:
            raise ModelError(f"{file} {error}: restore it, or use another checkpoint") from None

    def write(self, folder: str | Path) -> None:
        (Path(folder) / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def config(self) -> BitsAndBytesConfig:
        """For ``from_pretrained``. Raises ModelError where bitsandbytes is missing."""
        check_installed()
        import torch
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=self.kind,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, self.compute),
        )


def check_installed() -> None:
    """
    Raises:
        ModelError: bitsandbytes is missing.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            "weights in four bits (model.lora.quantise=nf4) need bitsandbytes, which is not installed: pip install "
            "'sdar[qlora]', or set model.lora.quantise=null"
        )


def settle(model: PreTrainedModel) -> PreTrainedModel:
    """Keep bitsandbytes from packing weights anew, with scales in bfloat16, at the first evaluation on some CPUs: what
    is sampled from, trained and exported must be the same weights."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def is_quantised(model: Module) -> bool:
    return bool(getattr(model, "is_loaded_in_4bit", False))


def whole(parameter: Tensor) -> Tensor:
    """The parameter, in float32 where it is held in four bits."""
    if type(parameter).__name__ != PACKED:
        return parameter
    from peft.utils.integrations import dequantize_bnb_weight

    return dequantize_bnb_weight(parameter).float()


@contextmanager
def adapter_in_float32(model: PreTrainedModel) -> Iterator[None]:
    """Around the making of TRL's trainer, which casts an adapter over a quantised base to bfloat16: there a weight of
    0.01 moves by 6e-5 or not at all, and what a learning rate of 1e-5 does to it is lost."""
    own: list[tuple[Any, Tensor]] = []
    if is_quantised(model):
        own = [(parameter, parameter.data) for parameter in model.parameters() if parameter.requires_grad]
    yield
    for parameter, values in own:
        parameter.data = values.to(parameter.device)
