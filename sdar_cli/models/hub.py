"""What the hub, or the cache of it, holds under an id."""

from __future__ import annotations

from sdar_cli.errors import ModelError
from sdar_cli.models.adapter_folder import ADAPTER
from sdar_cli.paths import is_folder


def check_id(path: str) -> None:
    """Refuse LoRA weights under a hub's id; a folder passes.

    Transformers would load the base that the adapter's file names, its code and pickles included, by settings that
    nobody has looked at; ``models.folder`` looks at a folder's.

    Raises:
        ModelError: they are LoRA weights.
    """
    if is_folder(path):
        return
    from transformers.utils.peft_utils import find_adapter_config_file

    if find_adapter_config_file(path) is not None:
        raise ModelError(
            f"the hub's {path!r} holds LoRA weights ({ADAPTER}), which are read from a folder only: fetch it with "
            f"`hf download {path} --local-dir FOLDER`, and give FOLDER"
        )
