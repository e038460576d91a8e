"""One sentence is said once, though every process of a run may have found the same thing wrong."""

from __future__ import annotations

import os
from pathlib import Path

SAID = "sdar-said"


def may_speak(text: str) -> bool:
    """Whether this process is the first of its machine that ends with a sentence; always true where it is the only
    one. The others learn it by ``said``.

    The launcher (torchrun, or accelerate through it) gives the processes of a machine a folder in common.
    """
    file = _file()
    if file is None:
        return True
    beside = file.with_name(f".{SAID}-{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        os.link(beside, file)
    except FileExistsError:
        return False
    except OSError:
        return True
    finally:
        beside.unlink(missing_ok=True)
    return True


def said() -> str | None:
    """The sentence that a process of this machine ended with, if one has."""
    file = _file()
    try:
        return None if file is None else file.read_text(encoding="utf-8")
    except OSError:
        return None


def _file() -> Path | None:
    """Beside the processes' own error files: ``…/attempt_0/<local rank>/error.json``."""
    own = os.environ.get("TORCHELASTIC_ERROR_FILE")
    return Path(own).parent.parent / SAID if own and "RANK" in os.environ else None
