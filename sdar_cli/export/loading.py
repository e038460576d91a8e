"""How an exported folder is loaded: lines for the terminal, and a chapter of the card."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sdar_cli.export.markdown import code, fenced
from sdar_cli.export.source import Source

PLACE = "PATH/TO/THIS/FOLDER"
ADAPTER_NAME = "agent"
"""What an adapter is called in requests to vLLM."""


def transformers_line(source: Source, folder: str, *, as_adapter: bool) -> str:
    if as_adapter and source.quantised is not None:
        return f'PeftModel.from_pretrained(base, "{folder}"), base in four bits: see README.md there'
    return f'AutoModelForCausalLM.from_pretrained("{folder}")'


def vllm_line(source: Source, folder: str, *, as_adapter: bool) -> str | None:
    """None where vLLM would make another policy of it."""
    words = ["vllm", "serve", folder]
    if as_adapter:
        lora = source.recipe.model.lora
        if source.quantised is not None or (lora is not None and lora.dora):
            return None
        words = ["vllm", "serve", str(source.under), "--enable-lora", "--max-lora-rank", str(_rank(source))]
        words += ["--lora-modules", f"{ADAPTER_NAME}={folder}"]
    return shlex.join(words)


def _rank(source: Source) -> int:
    from sdar_cli.engines.colocate import lora_rank

    return lora_rank(source.recipe.model.lora.rank) if source.recipe.model.lora is not None else 16


def loading(source: Source, *, as_adapter: bool) -> str:
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    call = f'AutoModelForCausalLM.from_pretrained("{PLACE}")'
    if as_adapter and source.quantised is not None:
        held = source.quantised
        lines = [
            "import torch",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig",
            "",
            "four_bits = BitsAndBytesConfig(",
            f'    load_in_4bit=True, bnb_4bit_quant_type="{held.kind}", bnb_4bit_use_double_quant=True,',
            f"    bnb_4bit_compute_dtype=torch.{held.compute},",
            ")",
            f"base = AutoModelForCausalLM.from_pretrained({json.dumps(source.under)}, quantization_config=four_bits)",
        ]
        call = f'PeftModel.from_pretrained(base, "{PLACE}")'
    lines += [f'tokenizer = AutoTokenizer.from_pretrained("{PLACE}")', f"model = {call}"]
    parts = [fenced("\n".join(lines), "python")]
    served = vllm_line(source, PLACE, as_adapter=as_adapter)
    if served is not None:
        parts.append(fenced(served, "sh"))
    else:
        parts.append("vLLM would make another policy of this adapter: export it merged for that.")
    if as_adapter and Path(str(source.under)).is_absolute():
        parts.append(
            f"The adapter's base, {code(str(source.under))}, is a folder on the machine that trained it: it has to go "
            "along, and `base_model_name_or_path` in adapter_config.json to say where it is."
        )
    return "\n\n".join(parts)
